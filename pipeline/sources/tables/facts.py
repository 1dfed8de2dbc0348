"""What the shards of a set say of their images: labels, splits and groups."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError
from pipeline.sources.base import SPLIT_NAMES, class_names
from pipeline.sources.tables.features import ImageColumns
from pipeline.sources.tables.labels import Texts, number_labels
from pipeline.sources.tables.shards import read_batches
from pipeline.store import SPLITS

ROWS_AT_ONCE = 1 << 16
UNLABELLED = -1
"""What `datasets` writes for a row without a label."""


class Facts:
    """Labels, splits and groups of all rows, shard after shard.

    Attributes:
        rows: the number of rows of each shard.
        splits: int8, one array a shard; indices into :data:`pipeline.store.SPLITS`, -1 for none.
        groups: ``""`` for none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: list[Path] = []
        self._numbers: list[np.ndarray] = [np.zeros(0, np.int64)]
        self._texts = Texts()
        self.rows: list[int] = []
        self.splits: list[np.ndarray] = []
        self.groups: list[str] = []

    def add_shard(self, shard: Path, columns: ImageColumns, given: int) -> None:
        """Reads one more shard, all but its images; ``given`` is the split that its place gives, or -1.

        Raises:
            UserError: a label is missing, or the column ``split`` says something unknown or against ``given``.
        """
        rows, splits = 0, Texts()
        for batch in read_batches(shard, [columns.label, *columns.extra], ROWS_AT_ONCE):
            self._add_labels(batch.column(columns.label), columns, f"data.path: {shard}: row", rows)
            rows += batch.num_rows
            if "split" in columns.extra:
                for text in as_texts(batch.column("split")):
                    splits.add(text)
            groups = as_texts(batch.column("group")) if "group" in columns.extra else [""] * batch.num_rows
            self.groups += [sys.intern(text.strip()) for text in groups]
        self._shards.append(shard)
        self.rows.append(rows)
        self.splits.append(_splits(splits, given, shard) if splits.texts else np.full(rows, given, np.int8))

    def labels(self, columns: ImageColumns) -> tuple[np.ndarray, tuple[str, ...]]:
        """Labels int64 (N,) of all rows and the class names; -1 for a row without a label, where they have names.

        Raises:
            UserError: a number has no name, or a text cannot name a class.
        """
        numbers = np.concatenate(self._numbers)
        if columns.names is None:
            texts = Texts(map(str, numbers.tolist())) if columns.numeric else self._texts
            return number_labels(texts, columns.numeric, self._folder, self._place)
        wrong = np.flatnonzero((numbers < UNLABELLED) | (numbers >= len(columns.names)))
        if len(wrong):
            raise UserError(
                f"data.path: {self._folder}: {self._place(int(wrong[0]))} has the label {numbers[wrong[0]]}, but there "
                f"are {len(columns.names)} class names, counted from 0; mend the label or the names"
            )
        return numbers, class_names(list(columns.names), str(self._folder))

    def _add_labels(self, labels: pa.Array, columns: ImageColumns, where: str, before: int) -> None:
        if labels.null_count:
            row = before + labels.is_null().to_pylist().index(True) + 1
            raise UserError(f"{where} {row} has no label; fill it in or take the row out")
        if not columns.numeric:
            for text in as_texts(labels):
                self._texts.add(text)
            return
        try:
            self._numbers.append(plain(labels).cast(pa.int64()).to_numpy(zero_copy_only=False))
        except pa.ArrowException as error:
            raise UserError(f"{where}s from {before + 1} on: a label is too large ({error})") from None

    def _place(self, row: int) -> str:
        stops = np.cumsum(self.rows)
        shard = int(np.searchsorted(stops, row, side="right"))
        return f"{self._shards[shard].name}: row {row - int(stops[shard]) + self.rows[shard] + 1}"


def plain(column: pa.Array) -> pa.Array:
    """A column without Arrow's dictionary, if it has one."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def as_texts(column: pa.Array) -> list[str]:
    """A column of text, numbers or truth values as text; ``""`` for null."""
    return ["" if value is None else value for value in plain(column).cast(pa.string()).to_pylist()]


def _splits(texts: Texts, given: int, shard: Path) -> np.ndarray:
    """The splits of a shard's rows, int8 (N,): as the file is placed, else as its column says."""
    codes = []
    for code, text in enumerate(texts.texts):
        name, where = text.strip().lower(), f"data.path: {shard}: row {texts.first(code) + 1}"
        if name and name not in SPLIT_NAMES:
            raise UserError(f"{where}: split {text!r}; expected train, val, test or nothing")
        split = SPLITS.index(SPLIT_NAMES[name]) if name else given
        if given not in (-1, split):
            raise UserError(f"{where} is of the split {text!r}, but its file is of {SPLITS[given]}; mend one of them")
        codes.append(split)
    return np.array(codes, np.int8)[np.array(texts.codes, np.int32)]
