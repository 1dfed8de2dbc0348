"""The ingested set: a few large files, memory-mapped. Written by ``ingest``, read by every later stage.

``images.npy``      uint8 (N, C, H, W), rows in the order train, val, test
``labels.npy``      int64 (N,), indices into ``classes``
``manifest.parquet``  one row an image of the source, kept or not
``summary.json``    classes, mode, size, the rows of each split, counts, what was skipped and why

Images of more than :data:`SHARD_BYTES` lie in ``images-00000.npy``, ``images-00001.npy`` and so on instead; all but the
last hold as many rows as fit, and ``summary.json`` says how many each has. So files stay of a size that caches and
remotes handle well, and where they are cut follows from the images alone.
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import numpy as np
from pydantic import Field, model_validator

from pipeline.atomic import write_json
from pipeline.disk import save_array, write_blocks
from pipeline.errors import UserError
from pipeline.reading.arrays import open_array
from pipeline.reading.documents import Document, again, fault, read_document
from pipeline.reading.sharded import ShardedArray, span

SplitName = Literal["train", "val", "test"]
IMAGES = "images.npy"
SHARD_BYTES = 2**28  # of pixels in a file
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
MOST_SIDE = 2**15  # pixels; far above what ingest makes


@dataclass(frozen=True)
class Split:
    """One split of the store.

    Attributes:
        images: uint8 (N, C, H, W), memory-mapped and read-only; of a set in several files a
            :class:`pipeline.reading.sharded.ShardedArray`, which is looked up in the same ways.
        labels: int64 (N,).
    """

    name: SplitName
    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self, classes: int) -> np.ndarray:
        """Images a class, int64 (classes,)."""
        return np.bincount(self.labels, minlength=classes)


class GreyEnds(Document):
    """What became black and white in grey images of more than 8 bits."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low is not below high")
        return self


class Figures(Document):
    """What is read of the figures of ``ingest``."""

    grey_range: GreyEnds | None = None
    given_splits: list[SplitName] = Field([])


class Summary(Document):
    """What ``summary.json`` has to say: the splits follow one another from the first row to the last."""

    classes: Annotated[list[str], Field(min_length=1)]
    channels: Literal[1, 3]
    image_size: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    splits: dict[SplitName, Annotated[list[int], Field(min_length=2, max_length=2)]]
    counts: dict[SplitName, dict[str, int]] | None = None
    shards: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2)] | None = None
    ingest: Figures | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: a name comes twice")
        if set(self.splits) != set(SPLITS):
            raise ValueError(f"splits: not {', '.join(SPLITS)}")
        starts, stops = ([self.splits[name][end] for name in SPLITS] for end in (0, 1))
        if starts != [0, *stops[:-1]] or stops != sorted(stops) or not stops[0] >= 0:
            raise ValueError("splits: do not follow one another from row 0 on")
        if self.shards is not None and sum(self.shards) != stops[-1]:
            raise ValueError("shards: have other rows than the splits")
        return self


@dataclass(frozen=True)
class Store:
    """An ingested set on disk; opening it reads the summary alone, and arrays are checked against it when asked for."""

    folder: Path
    summary: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Opens the set in ``folder``.

        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> images, labels = np.zeros((3, 1, 8, 8), np.uint8), {name: np.array([0]) for name in SPLITS}
        >>> write_store(folder, [images], labels, ["cat"], (1, 8, 8), {})
        >>> len(Store.open(folder).split("train")), Store.open(folder).classes
        (1, ('cat',))

        Raises:
            UserError: there is no ingested set, or it is not whole.
        """
        if not os.path.lexists(folder / "summary.json"):
            raise UserError(f"{folder}: no ingested set here; run `dvc repro ingest` first")
        return cls(folder, read_document(folder / "summary.json", Summary, "ingest"))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a label is an index into them."""
        return tuple(self.summary["classes"])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.summary["channels"])

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return int(self.summary["image_size"])

    @property
    def grey_range(self) -> tuple[float, float] | None:
        """What became black and white in grey images of more than 8 bits; None if the set has none."""
        found = (self.summary.get("ingest") or {}).get("grey_range")
        return (found["low"], found["high"]) if found else None

    @property
    def given_splits(self) -> tuple[SplitName, ...]:
        """The splits that came with the source; all others were drawn from its images."""
        return tuple((self.summary.get("ingest") or {}).get("given_splits", ()))

    @cached_property
    def images(self) -> np.ndarray:
        """Every image, uint8 (N, C, H, W), memory-mapped and read-only; see :class:`Split`."""
        shape = (self.channels, self.image_size, self.image_size)
        sizes = self.summary.get("shards") or [self._rows]
        parts = [
            self._array(name, np.uint8, (size, *shape)) for name, size in zip(_names(len(sizes)), sizes, strict=True)
        ]
        return parts[0] if len(parts) == 1 else cast(np.ndarray, ShardedArray(parts))

    @cached_property
    def labels(self) -> np.ndarray:
        """Every label, int64 (N,)."""
        labels = np.array(self._array("labels.npy", np.int64, (self._rows,)))
        strange = np.flatnonzero((labels < 0) | (labels >= len(self.classes)))
        if len(strange):
            raise self._damaged("labels.npy", f"row {strange[0]} has label {labels[strange[0]]}, which is no class")
        for name, counts in (self.summary.get("counts") or {}).items():
            start, stop = self.summary["splits"][name]
            found = np.bincount(labels[start:stop], minlength=len(self.classes)).tolist()
            if found != [counts.get(each, 0) for each in self.classes]:
                raise self._damaged("labels.npy", f"the {name} split has other counts than summary.json says")
        return labels

    @property
    def _rows(self) -> int:
        return int(self.summary["splits"][SPLITS[-1]][1])

    def _array(self, name: str, kind: type[np.generic], shape: tuple[int, ...]) -> np.ndarray:
        try:
            return open_array(self.folder / name, kind, shape)
        except (OSError, ValueError) as error:
            raise self._damaged(name, fault(error)) from None

    def _damaged(self, name: str, reason: str) -> UserError:
        return UserError(f"{self.folder / name}: not what ingest writes ({reason}); {again('ingest')}")

    def split(self, name: SplitName) -> Split:
        """The rows of one split; no copy is made."""
        start, stop = self.summary["splits"][name]
        return Split(name, span(self.images, start, stop), self.labels[start:stop])


def set_files(folder: Path) -> list[Path]:
    """The files that a result made of the set in ``folder`` depends on; they need not be there."""
    images = sorted(folder.glob(f"{Path(IMAGES).stem}-*.npy")) or [folder / IMAGES]
    return [*images, folder / "labels.npy", folder / "summary.json"]


def write_store(
    folder: Path,
    images: Iterable[np.ndarray],
    labels: Mapping[SplitName, np.ndarray],
    classes: Sequence[str],
    shape: tuple[int, int, int],
    facts: Mapping[str, Any],
) -> None:
    """Writes an ingested set, all but its manifest, into ``folder``; one block of images is in memory at a time.

    Args:
        folder: exists.
        images: blocks of uint8 (n, C, H, W), which follow one another in the order train, val, test.
        labels: int64 (N_split,) of each split.
        classes: names, sorted as the labels count them.
        shape: (C, H, W); H equals W.
        facts: further keys of ``summary.json``.

    Raises:
        ValueError: ``images`` are not as many as ``labels``, or of another shape or type.
    """
    joined = np.concatenate([labels[name] for name in SPLITS]).astype(np.int64)
    sizes = _sizes(len(joined), math.prod(shape))
    feed = _Feed(images)
    for name, size in zip(_names(len(sizes)), sizes, strict=True):
        write_blocks(folder / name, feed.take(size), (size, *shape))
    if feed.more:
        raise ValueError(f"more images than {len(joined)} labels")
    save_array(folder / "labels.npy", joined)
    stops = np.cumsum([len(labels[name]) for name in SPLITS]).tolist()
    counts = {name: np.bincount(labels[name], minlength=len(classes)).tolist() for name in SPLITS}
    summary = {
        "classes": list(classes),
        "channels": shape[0],
        "image_size": shape[1],
        "splits": {name: list(rows) for name, rows in zip(SPLITS, zip([0, *stops], stops, strict=False), strict=True)},
        "counts": {name: dict(zip(classes, values, strict=True)) for name, values in counts.items()},
        **({"shards": sizes} if len(sizes) > 1 else {}),
    }
    write_json(folder / "summary.json", {**facts, **summary})


def _sizes(count: int, image_bytes: int) -> list[int]:
    """Rows of each file."""
    most = max(1, SHARD_BYTES // image_bytes)
    return [min(most, count - start) for start in range(0, count, most)] or [0]


def _names(files: int) -> list[str]:
    stem = Path(IMAGES).stem
    return [IMAGES] if files == 1 else [f"{stem}-{number:05d}.npy" for number in range(files)]


class _Feed:
    """Blocks of images, cut anew."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks = iter(blocks)
        self._rest: np.ndarray | None = None

    def take(self, count: int) -> Iterator[np.ndarray]:
        """The next ``count`` images, or as many as there are, in blocks."""
        while count and self.more:
            assert self._rest is not None
            block, self._rest = self._rest[:count], self._rest[count:]
            count -= len(block)
            yield block

    @property
    def more(self) -> bool:
        """Whether there are further images."""
        while self._rest is None or not len(self._rest):
            self._rest = next(self._blocks, None)
            if self._rest is None:
                return False
        return True
