"""What every source of images has in common."""

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

SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""How data sets call their splits, in lower case."""

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
    """

    paths: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: np.ndarray
    groups: list[str] | None = None
    ignored: Counter[str] = field(default_factory=Counter)

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
        """
        ...


def class_names(names: list[str], where: str) -> tuple[str, ...]:
    """Class names that can name a folder, as every export needs: ``T-shirt/top`` becomes ``T-shirt-top``.

    Raises:
        UserError: a name is empty, or two of them become the same.
    """
    cleaned = tuple(printable(name).strip().replace("/", "-").replace("\\", "-") for name in names)
    if bad := [name for name, clean in zip(names, cleaned, strict=True) if clean in ("", ".", "..")]:
        raise UserError(f"{where}: {bad[0]!r} cannot name a class; give it a name of at least one letter or digit")
    if len(set(cleaned)) < len(cleaned):
        twice = next(name for name, count in Counter(cleaned).items() if count > 1)
        raise UserError(f"{where}: two classes are both called {twice!r} once slashes are replaced; rename one")
    return cleaned


def used_classes(labels: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels and classes without the classes that no image has: sets name more of them than they hold."""
    used = np.unique(labels)
    return np.searchsorted(used, labels), tuple(classes[label] for label in used.tolist())


def printable(text: str) -> str:
    """``text`` without the surrogates that stand for undecodable bytes of a file name; Parquet and JSON need that."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def read_file(path: Path) -> bytes:
    """The bytes of one file; at most one byte above :data:`MAX_FILE_BYTES`, which the decoder refuses.

    Raises:
        BadImageError: it is not there or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise BadImageError("no such file") from None
    except OSError as error:
        raise BadImageError("cannot be read", error.strerror or str(error)) from None
