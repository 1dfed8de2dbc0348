"""Sets in the form of Hugging Face: Parquet or Arrow files that hold the images' bytes, and labels.

The images are in a column of structs (``image: {bytes, path}``) or of bytes, the class names in the schema's metadata
or in the card; the files' names, their folders or the card say which split they are of.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError
from pipeline.sources.base import BadImageError, Listing, Payload, printable, used_classes
from pipeline.sources.tables.columns import say, say_unread
from pipeline.sources.tables.facts import UNLABELLED, Facts
from pipeline.sources.tables.features import ImageColumns, image_columns
from pipeline.sources.tables.shards import read_batches, read_schema
from pipeline.sources.tables.splits import Shards
from pipeline.store import SPLITS

SHOWN = 5


class HuggingFaceSource:
    """The shards of one set, read a few rows at a time.

    Args:
        folder: of the set; images are named by their shard's path below it and their row, counted from 0.
        shards: the files by split.
        label: the column of the labels, where it is not plain.

    Raises:
        UserError: a shard cannot be read, lacks a column, or disagrees with another.
    """

    def __init__(self, folder: Path, shards: Shards, label: str = "") -> None:
        given = {file: SPLITS.index(split) if split else -1 for split, files in shards.splits.items() for file in files}
        self._shards = sorted(given)
        self._columns = [image_columns(read_schema(shard), shard, shards.names, label) for shard in self._shards]
        _check_agreement(self._shards, self._columns)
        placed = ["split"] if any(part >= 0 for part in given.values()) else []
        say_unread(read_schema(self._shards[0]).names, [*self._columns[0].extra, *placed], self._shards[0])
        facts = Facts(folder)
        for shard, columns in zip(self._shards, self._columns, strict=True):
            facts.add_shard(shard, columns, given[shard])
        labels, classes = facts.labels(self._columns[0])
        kept = labels != UNLABELLED
        numbers, used = used_classes(labels[kept], classes)
        self._kept = np.split(kept, np.cumsum(facts.rows)[:-1])
        names = [printable(shard.relative_to(folder).as_posix()) for shard in self._shards]
        rows = [np.flatnonzero(mask).tolist() for mask in self._kept]
        self.listing = Listing(
            paths=[f"{name}#{row:08d}" for name, part in zip(names, rows, strict=True) for row in part],
            labels=numbers,
            classes=used,
            splits=np.concatenate(facts.splits)[kept],
            groups=list(compress(facts.groups, kept.tolist())) if any(facts.groups) else None,
            ignored=shards.ignored + _left_out(kept, classes, used),
        )

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`.

        Raises:
            UserError: a shard is damaged.
        """
        index = 0
        for shard, columns, kept in zip(self._shards, self._columns, self._kept, strict=True):
            for value, wanted in zip(_values(shard, columns), kept.tolist(), strict=True):
                if wanted:
                    yield index, partial(_bytes, *value)
                    index += 1


def _check_agreement(shards: list[Path], columns: list[ImageColumns]) -> None:
    first = columns[0]
    for shard, other in zip(shards[1:], columns[1:], strict=True):
        if (other.label, other.numeric) != (first.label, first.numeric):
            raise UserError(
                f"data.path: {shard}: its columns are not those of {shards[0]}; keep one data set in a folder"
            )
        if other.names != first.names:
            raise UserError(
                f"data.path: {shard}: its class names, or their order, are not those of {shards[0]}; write both anew "
                "with the same ones"
            )
    if first.label != "label":
        say(shards[0], f"the column {first.label!r} is read as 'label'")


def _left_out(kept: np.ndarray, classes: tuple[str, ...], used: tuple[str, ...]) -> Counter[str]:
    left_out = Counter[str]()
    if unlabelled := int((~kept).sum()):
        left_out["images without a label (-1)"] = unlabelled
    if unused := sorted(set(classes) - set(used), key=classes.index):
        shown = ", ".join(unused[:SHOWN]) + (", …" if len(unused) > SHOWN else "")
        left_out[f"class names that no image has ({shown})"] = len(unused)
    return left_out


def _values(shard: Path, columns: ImageColumns) -> Iterator[tuple[Any, Any]]:
    """The bytes and the path of every image, as scalars."""
    for batch in read_batches(shard, [columns.image]):
        column = batch.column(columns.image)
        if not columns.nested:
            yield from ((value, None) for value in column)
            continue
        fields = column.flatten()
        path = column.type.get_field_index("path")
        paths = fields[path] if path >= 0 else [None] * len(column)
        yield from zip(fields[column.type.get_field_index("bytes")], paths, strict=True)


def _bytes(value: pa.Scalar, path: pa.Scalar | None) -> bytes:
    data = value.as_py()
    if data is None:
        outside = path.as_py() if path is not None else None
        raise BadImageError("no bytes in the table", f"only the path of a file, {outside}" if outside else "")
    return bytes(data)
