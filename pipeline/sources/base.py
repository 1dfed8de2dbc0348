"""What every source of images has in common."""

import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from pipeline.errors import UserError
from pipeline.store import SplitName

MAX_FILE_BYTES = 192 * 2**20
"""Of one image: 64 megapixels of colour without any compression. :mod:`pipeline.ingest.memory` is laid out for it."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI", "DIB", "TGA")
"""The image formats that are read, by Pillow's names, for ``Image.open(formats=FORMATS)``: raster formats alone that
Pillow decodes in its own process, none that starts a program (EPS) or follows text (XPM, FITS). Several pictures in one
JPEG (MPO) come with JPEG. TGA stands last: it has no mark to be known by, and would take what belongs to others."""

HEAD_BYTES = 64
"""What is read of a file to tell its kind."""

SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""How data sets call their splits, in lower case; the words that the `datasets` library knows."""

UNSEEN = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
"""Signs without a shape of their own: soft hyphens, spaces of no width, marks of direction and of byte order."""

_BETWEEN_WORDS = re.compile(r"[-._ 0-9]+")

Payload = bytes | Image.Image


class BadImageError(Exception):
    """One image that cannot be used: ``reason`` is a short category to count by, ``detail`` is about this image."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True)
class Listing:
    """What a source holds, in columns, before any pixel is read.

    The order is a function of the content alone: by path, or by row where images lie in a table or an array.

    Attributes:
        paths: where each image lies inside the source, with ``/``; printable.
        labels: int64 (N,), indices into ``classes``.
        splits: int8 (N,), indices into :data:`pipeline.store.SPLITS`, -1 where the source gives none.
        groups: the source's group key of each image (``""`` for none), or None where it has no groups at all.
        ignored: files that are no images of the set, counted by reason.
        notes: what a reader of these files should know of how they were read, in sentences.
    """

    paths: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: np.ndarray
    groups: list[str] | None = None
    ignored: Counter[str] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)


class Source(Protocol):
    """A set of labelled images."""

    @property
    def listing(self) -> Listing:
        """The images' paths, labels and splits."""
        ...

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """Each image once, as its index in the listing and a function that reads it.

        The order is whatever the source reads fastest. The function may be called in any thread; it returns the
        file's bytes, or an image where the source has no files, and raises :class:`BadImageError`.

        Of a source with an attribute ``apart`` that is true, it may also be called in any process that is forked from
        this one, with a ``limit``: of a file of so many bytes or more it then reads that many at most, or none, and
        raises :class:`BadImageError` as for one that is too large.
        """
        ...


def split_of(name: str) -> SplitName | None:
    """The split that a folder or file name speaks of: ``Train``, ``01_test``, ``val-split``; None for none or several.

    As in the `datasets` library a word of :data:`SPLIT_NAMES` counts between digits, ``-``, ``.``, ``_`` and spaces;
    here in any case.
    """
    found = {SPLIT_NAMES[word] for word in _BETWEEN_WORDS.split(name.lower()) if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else None


def class_names(names: list[str], where: str) -> tuple[str, ...]:
    """Class names that can name a folder, as every export needs: ``T-shirt/top`` becomes ``T-shirt-top``.

    They come in Unicode's composed form (NFC), without white space at their ends, with ``-`` for slashes and control
    characters, and in the order of ``names``.

    Raises:
        UserError: a name is empty, or two of them become the same.
    """
    cleaned = tuple(_cleaned(name) for name in names)
    if bad := [name for name, clean in zip(names, cleaned, strict=True) if clean in ("", ".", "..")]:
        raise UserError(f"{where}: {bad[0]!r} cannot name a class; give it a name of at least one letter or digit")
    if len(set(cleaned)) < len(cleaned):
        twice = next(name for name, count in Counter(cleaned).items() if count > 1)
        first, second = [name for name, clean in zip(names, cleaned, strict=True) if clean == twice][:2]
        raise UserError(
            f"{where}: {first!r} and {second!r} would both be the class {twice!r}; rename one, or give both one name "
            "if they are one class"
        )
    return cleaned


def _cleaned(name: str) -> str:
    text = trimmed(composed(printable(name)))
    return "".join("-" if char in "/\\" or unicodedata.category(char) == "Cc" else char for char in text)


def composed(name: str) -> str:
    """``name`` in Unicode's composed form (NFC), in which a Mac's ``Käfer`` and everybody else's are the same."""
    return unicodedata.normalize("NFC", name)


def trimmed(name: str) -> str:
    """``name`` without white space, and signs that nobody sees, at its ends."""
    seen = [index for index, char in enumerate(name) if not (char.isspace() or UNSEEN.match(char))]
    return name[seen[0] : seen[-1] + 1] if seen else ""


def look_of(name: str) -> str:
    """What is the same for names that an eye hardly tells apart: without case, spaces, forms of letters and signs that
    nobody sees."""
    text = UNSEEN.sub("", unicodedata.normalize("NFKC", name).casefold())
    return "".join(text.split())


def used_classes(labels: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels and classes without the classes that no image has: sets name more of them than they hold."""
    used = np.unique(labels)
    return np.searchsorted(used, labels), tuple(classes[label] for label in used.tolist())


def printable(text: str) -> str:
    """``text`` without the surrogates that stand for undecodable bytes of a file name; Parquet and JSON need that."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_below(folder: str, path: str, limit: int = MAX_FILE_BYTES + 1) -> bytes:
    """:func:`read_file` of ``path`` in ``folder``."""
    return read_file(f"{folder}/{path}", limit)


def read_file(path: Path | str, limit: int = MAX_FILE_BYTES + 1) -> bytes:
    """The bytes of one file; at most one byte above :data:`MAX_FILE_BYTES`, which the decoder refuses.

    Raises:
        BadImageError: it is not there, cannot be read, or is none that ends: a pipe, a socket or a device.
    """
    try:
        found = os.stat(path)  # noqa: PTH116, as all here: of small files it takes half of the time that Path's take
        if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait for a writer
            raise BadImageError("not a regular file")
        # what is called a regular file may give nothing for ever, such as /proc/kmsg
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read(file, min(limit, found.st_size or limit))
        finally:
            os.close(file)
    except FileNotFoundError:
        raise BadImageError("no such file") from None
    except BlockingIOError:
        raise BadImageError("cannot be read", "it gives nothing") from None
    except OSError as error:
        raise BadImageError("cannot be read", error.strerror or str(error)) from None
    except ValueError:
        raise BadImageError("no such file", "a NUL in its name") from None


def _read(file: int, size: int) -> bytes:
    """Up to ``size`` bytes; room is made for all that is asked for."""
    data = os.read(file, size)
    if len(data) in (0, size):
        return data
    parts = [data]
    while (missing := size - sum(map(len, parts))) and (data := os.read(file, missing)):
        parts.append(data)
    return b"".join(parts)
