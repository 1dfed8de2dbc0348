"""Images and labels as arrays in one ``.npz``: MedMNIST's, Keras's, or any with one array of each."""

import ast
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from pipeline.errors import UserError
from pipeline.sources.archives.directory import read_directory
from pipeline.sources.archives.members import damaged
from pipeline.sources.archives.streams import DamagedError
from pipeline.sources.base import BadImageError, Listing, Payload, class_names, printable, split_of, used_classes
from pipeline.store import SPLITS, SplitName
from pipeline.wording import listed

LABELS = ("label", "labels", "y", "target", "targets", "class")
NAMES = ("classes", "class_names", "label_names", "names")
MOST_LABELS = 100_000_000
LARGEST_HEADER = 1 << 16
LARGEST_IMAGE = 4 << 20
"""Bytes of one image; some hundred wait to be decoded. Larger ones belong into files of their own."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Array:
    """What the header of an array says: its name without ``.npy``, its shape and its type."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {'x'.join(map(str, self.shape))}"


@dataclass(frozen=True)
class Part:
    """The images and labels of one split; None for all there is."""

    split: SplitName | None
    images: Array
    labels: Array


class NpzSource:
    """Images as arrays (N, H, W), (N, H, W, C) or (N, C, H, W) of uint8, or of uint16 in grey, and a label each.

    Arrays belong together by the split in their names (``train_images``, ``x_test``), and where one split has several
    that could be its labels, by :data:`LABELS` or by ``label``. They are read row by row: a set may be larger than the
    memory. Objects are refused, as they are pickles, which run programs.

    Raises:
        UserError: no such file, damaged, or arrays that are not as said above.
    """

    def __init__(self, path: Path, label: str = "") -> None:
        if not path.is_file():
            raise UserError(f"data.path: {path}: {_what(path)}; source: npz needs an .npz file")
        self._path = path
        arrays = self._headers()
        self._parts = _parts(arrays, path, label)
        columns = [_checked(self._whole(part.labels), part, path) for part in self._parts]
        labels, classes = self._labels(columns, [array for array in arrays if array.name.lower() in NAMES])
        counts = [len(column) for column in columns]
        named = {array.name for part in self._parts for array in (part.images, part.labels)}
        others = [array.name for array in arrays if array.name not in named and array.name.lower() not in NAMES]
        self.listing = Listing(
            paths=[
                f"{printable(part.images.name)}/{row:08d}"
                for part, count in zip(self._parts, counts, strict=True)
                for row in range(count)
            ],
            labels=labels,
            classes=classes,
            splits=np.repeat([SPLITS.index(p.split) if p.split else -1 for p in self._parts], counts).astype(np.int8),
            ignored=Counter(
                {f"arrays that are neither images nor labels ({listed(others)})": len(others)} if others else {}
            ),
        )

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`; in the order of the file.

        Raises:
            UserError: an array is cut short or its checksum is wrong.
        """
        index = 0
        for part in self._parts:
            shape, dtype = part.images.shape, part.images.dtype
            size = math.prod(shape[1:]) * dtype.itemsize
            with self._open(part.images) as file:
                for _ in range(shape[0]):
                    yield index, partial(_image, _exactly(file, size, self._path, part.images), shape[1:], dtype)
                    index += 1
                if self._read(file, 1, part.images):
                    raise damaged(str(self._path), f"{part.images.name} is longer than its header says")

    def _headers(self) -> list[Array]:
        """Every array of the file, by its header, which has to fit what the directory says."""
        try:
            with self._path.open("rb") as file:
                names, packed = read_directory(file)
        except DamagedError as error:
            raise damaged(str(self._path), str(error)) from None
        except OSError as error:
            raise UserError(f"data.path: {self._path}: cannot be read ({error.strerror or error})") from None
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise damaged(str(self._path), f"it holds {twice[0]!r} twice")
        found = [
            self._header(name, member.size) for name, member in zip(names, packed, strict=True) if name[-1:] != "/"
        ]
        return [array for array in found if array is not None]

    def _header(self, name: str, size: int) -> Array | None:
        if not name.endswith(".npy"):
            return None
        array = Array(name.removesuffix(".npy"), (), np.dtype(np.uint8))
        with self._member(array) as file:
            begin, shape, fortran, dtype = _header(file, array.name, self._path)
        if dtype.hasobject:
            raise UserError(
                f"data.path: {self._path}: {array.name} holds Python objects, which are pickles and are not read: they "
                "may run any program; save images as uint8 and labels as whole numbers or texts"
            )
        if begin + math.prod(shape) * dtype.itemsize != size:
            raise damaged(str(self._path), f"{name} has {size:,} bytes, and its header says another number")
        if fortran and len(shape) > 1 and min(shape) > 1:
            raise UserError(
                f"data.path: {self._path}: {array.name} is stored column by column; save it as "
                "np.ascontiguousarray(array)"
            )
        return Array(array.name, shape, dtype)

    def _member(self, array: Array) -> IO[bytes]:
        try:
            return zipfile.ZipFile(self._path).open(f"{array.name}.npy")
        except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise damaged(str(self._path), f"{array.name}: {error}") from None

    def _open(self, array: Array) -> IO[bytes]:
        file = self._member(array)
        _header(file, array.name, self._path)
        return file

    def _read(self, file: IO[bytes], size: int, array: Array) -> bytes:
        try:
            return file.read(size)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise damaged(str(self._path), f"{array.name}: {error}") from None

    def _whole(self, array: Array) -> np.ndarray:
        with self._open(array) as file:
            size = math.prod(array.shape) * array.dtype.itemsize
            data = _exactly(file, size, self._path, array)
            self._read(file, 1, array)  # at the end the checksum is looked at
        return np.frombuffer(data, array.dtype).reshape(array.shape)

    def _labels(self, columns: list[np.ndarray], named: list[Array]) -> tuple[np.ndarray, tuple[str, ...]]:
        together = _joined(columns, self._parts, self._path)
        if together.dtype.kind in "US":
            texts, numbers = np.unique(together, return_inverse=True)
            return numbers.astype(np.int64), class_names([_text(text) for text in texts.tolist()], str(self._path))
        names = [_text(name) for name in self._whole(named[0]).ravel().tolist()] if named else []
        if names:
            if together.min() < 0 or together.max() >= len(names):
                raise UserError(
                    f"data.path: {self._path}: the labels go from {together.min()} to {together.max()}, and "
                    f"{named[0].name} has {len(names)} names, counted from 0"
                )
            labels, used = used_classes(together.astype(np.int64), tuple(names))
            return labels, class_names(list(used), str(self._path))
        values, numbers = np.unique(together, return_inverse=True)
        width = len(str(values.max()))
        return numbers.astype(np.int64), class_names(
            [f"{value:0{width}d}" for value in values.tolist()], str(self._path)
        )


def _what(path: Path) -> str:
    return "no such file or folder" if not path.exists() else "this is a folder" if path.is_dir() else "no regular file"


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _header(file: IO[bytes], name: str, path: Path) -> tuple[int, tuple[int, ...], bool, np.dtype]:
    """Where an array's data begin in its file, its shape, whether it is column by column, and its type."""
    try:
        major, _ = np.lib.format.read_magic(file)
        length = int.from_bytes(file.read(2 if major == 1 else 4), "little")
        if not 0 < length <= LARGEST_HEADER:
            raise ValueError(f"a header of {length:,} bytes")
        header = ast.literal_eval(file.read(length).decode("latin-1" if major < 3 else "utf-8"))
        shape = tuple(header["shape"])
        dtype = np.lib.format.descr_to_dtype(header["descr"])
        if any(type(side) is not int or side < 0 for side in shape) or dtype.itemsize == 0:
            raise ValueError(f"a shape of {shape}")
        return 8 + (2 if major == 1 else 4) + length, shape, bool(header["fortran_order"]), dtype
    except (ValueError, KeyError, TypeError, SyntaxError, MemoryError, RecursionError, OSError, EOFError) as error:
        raise damaged(str(path), f"{name}.npy is no array of NumPy's ({error})") from None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise damaged(str(path), f"{name}.npy: {error}") from None


def _parts(arrays: list[Array], path: Path, label: str) -> list[Part]:
    """Images and labels of each split, in the splits' order."""
    by_split: dict[SplitName | None, list[Array]] = {}
    for array in arrays:
        by_split.setdefault(split_of(array.name), []).append(array)
    parts = []
    for split in (*SPLITS, None):
        group = by_split.get(split, [])
        images = [array for array in group if _is_images(array)]
        if not images:
            continue
        if len(images) > 1:
            raise UserError(
                f"data.path: {path}: {len(images)} arrays could be the images{f' of {split}' if split else ''} "
                f"({listed([str(array) for array in images])}); keep one"
            )
        parts.append(Part(split, images[0], _labels_of(images[0], group, split, path, label)))
    if not parts:
        found = listed([str(array) for array in arrays]) or "nothing"
        raise UserError(
            f"data.path: {path}: no array of images ({found}); save them as uint8 (N, H, W) or (N, H, W, 3), such as "
            "np.savez('set.npz', images=images, labels=labels)"
        )
    if len(parts) > 1 and parts[-1].split is None:
        raise UserError(
            f"data.path: {path}: {parts[-1].images.name} is in no split, and others are; keep the ones or the other"
        )
    return parts


def _is_images(array: Array) -> bool:
    return len(array.shape) in (3, 4) and array.shape[0] > 0 and array.dtype.kind in "uifb"


def _labels_of(images: Array, group: list[Array], split: SplitName | None, path: Path, label: str) -> Array:
    fitting = [
        a for a in group if a.shape[:1] == images.shape[:1] and len(a.shape) in (1, 2) and a.dtype.kind in "uibUS"
    ]
    wanted = [a for a in fitting if label and (a.name == label or label in a.name.split("_"))]
    named = [a for a in fitting if set(a.name.lower().split("_")) & set(LABELS)]
    for choice in (wanted,) if label else (fitting, named):
        if len(choice) == 1:
            return choice[0]
    where = f" of {split}" if split else ""
    others = [array for array in group if array.shape[:1] == images.shape[:1] and not _is_images(array)]
    neither = (
        f"none that is whole numbers or texts, but {listed([str(array) for array in others])}" if others else "none"
    )
    found = listed([str(array) for array in fitting]) or neither
    raise UserError(
        f"data.path: {path}: which array holds the labels{where} is not plain (for {images}: {found}); save one label "
        f"an image, as {f'{split}_' if split else ''}labels, or name the array by data.label_column"
    )


def _checked(labels: np.ndarray, part: Part, path: Path) -> np.ndarray:
    """One label an image, (N,), after checking both arrays of a split."""
    shape, dtype = part.images.shape, part.images.dtype
    where = f"data.path: {path}: {part.images}"
    if labels.ndim == 2 and labels.shape[1] != 1:
        raise UserError(
            f"data.path: {path}: {part.labels}: {labels.shape[1]} labels an image; augmint makes images of one class "
            "each, so choose one of them"
        )
    if math.prod(shape[1:]) * dtype.itemsize > LARGEST_IMAGE:
        raise UserError(f"{where}: over {LARGEST_IMAGE >> 20} MiB an image; save such images as files in class folders")
    if _layout(shape[1:]) is None or not math.prod(shape[1:]):
        raise UserError(f"{where}: not images; (N, H, W), (N, H, W, 1 or 3 or 4) or (N, 1 or 3 or 4, H, W) are read")
    if not (dtype == np.uint8 or (dtype == np.uint16 and _layout(shape[1:]) == 1)):
        raise UserError(f"{where}: what is black and white there is not known; save it as uint8, 0 to 255")
    if len(labels) > MOST_LABELS:
        raise UserError(f"{where}: more than {MOST_LABELS:,} images")
    return labels.ravel()


def _joined(columns: list[np.ndarray], parts: list[Part], path: Path) -> np.ndarray:
    """The labels of all splits: texts, or int64, whatever whole numbers or truth values each split has.

    Raises:
        UserError: texts in one split and numbers in another, or numbers that int64 does not hold.
    """
    texts = [column.dtype.kind in "US" for column in columns]
    if all(texts):
        return np.concatenate([np.array([_text(text) for text in column.tolist()], str) for column in columns])
    if any(texts):
        named = listed([str(part.labels) for part in parts])
        raise UserError(f"data.path: {path}: labels that are texts in one split and numbers in another ({named})")
    for column, part in zip(columns, parts, strict=True):
        if column.dtype == np.uint64 and column.max(initial=0) > np.iinfo(np.int64).max:
            raise UserError(f"data.path: {path}: {part.labels}: a label of {column.max()}; save smaller numbers")
    return np.concatenate([column.astype(np.int64) for column in columns])


def _layout(shape: tuple[int, ...]) -> int | None:
    """The channels of images of this shape, or None if it is none."""
    if len(shape) == 2:
        return 1
    return next((shape[axis] for axis in (2, 0) if shape[axis] in MODES), None)


def _exactly(file: IO[bytes], size: int, path: Path, array: Array) -> bytes:
    try:
        data = file.read(size)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise damaged(str(path), f"{array.name}: {error}") from None
    if len(data) < size:
        raise damaged(str(path), f"{array.name} ends early")
    return data


def _image(data: bytes, shape: tuple[int, ...], dtype: np.dtype) -> Image.Image:
    pixels = np.frombuffer(data, dtype).reshape(shape)
    if len(shape) == 3:
        pixels = pixels if shape[2] in MODES else np.moveaxis(pixels, 0, 2)
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    try:
        return Image.fromarray(np.ascontiguousarray(pixels.astype(dtype.newbyteorder("="))))
    except (TypeError, ValueError) as error:
        raise BadImageError("damaged", str(error)) from None
