"""The rows of a table of paths, checked and in columns."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.errors import UserError
from pipeline.sources.base import SPLIT_NAMES
from pipeline.sources.tables.columns import find_columns, plain_names
from pipeline.sources.tables.labels import Texts, number_labels
from pipeline.store import SPLITS


class PathTable(Protocol):
    """A header and rows of text, whatever the file's kind.

    Attributes:
        path: the file.
        unit: what ``rows`` counts: lines or rows.
        header: the names of the columns.
        numeric: the labels are whole numbers, and count as such.
    """

    path: Path
    unit: str
    header: list[str]
    numeric: bool

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The number and the cells of each row."""
        ...


@dataclass
class Rows:
    """One row an image, in the order of the table.

    Attributes:
        paths: as they stand in the table, without spaces around them.
        places: the number of each row in the table, counted in ``unit``.
        labels: int64 (N,), indices into ``classes``.
        splits: int8 (N,), indices into :data:`pipeline.store.SPLITS`, -1 for none.
        groups: or None if the table has no such column.
        ignored: rows that are none, counted by reason.
    """

    table: Path
    unit: str
    paths: list[str]
    places: "array[int]"
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: np.ndarray
    groups: list[str] | None
    ignored: Counter[str]

    def where(self, row: int) -> str:
        """The file and the place of a row, for messages."""
        return f"data.path: {self.table}: {self.unit} {self.places[row]}"


def collect(table: PathTable, label: str = "") -> Rows:
    """Reads the whole table; about 200 bytes a row stay in memory.

    Raises:
        UserError: a column or a cell is missing, a row is too long, or a cell cannot be what its column says.
    """
    reader = _Reader(table, label)
    for place, cells in table.rows():
        reader.add(place, cells)
    return reader.finish()


@dataclass
class _Reader:
    table: PathTable
    label: str = ""
    paths: list[str] = field(default_factory=list)
    places: "array[int]" = field(default_factory=lambda: array("q"))
    ignored: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        positions = find_columns(self.table.header, self.table.path, self.label)
        self._first = {role: found[0] for role, found in positions.items()}
        self._again = {role: found[1:] for role, found in positions.items() if len(found) > 1}
        self._width = len(self.table.header)
        self._names, self._label_name = plain_names(self.table.header), self.table.header[self._first["label"]]
        self._needed = 1 + max(max(found) for found in positions.values())
        self._texts = {role: Texts() for role in positions if role != "path"}

    def add(self, place: int, cells: Sequence[str]) -> None:
        """Takes one row."""
        if len(cells) != self._width and not self._fits(place, cells):
            return
        path = cells[self._first["path"]].strip()
        if not path:
            if any(cell.strip() for cell in cells):
                raise self._error(place, "has no path; fill it in or take the row out")
            self.ignored["empty rows of the table"] += 1
            return
        if cells[self._first["label"]] == self._label_name and plain_names(cells) == self._names:
            self.ignored["the header again, between the rows"] += 1
            return
        if self._again:
            self._agree(place, cells)
        self.paths.append(path)
        self.places.append(place)
        for role, texts in self._texts.items():
            texts.add(cells[self._first[role]])

    def finish(self) -> Rows:
        """All rows that were added."""
        if not self.paths:
            raise UserError(f"data.path: {self.table.path}: the table has no rows")
        labels, classes = number_labels(self._texts["label"], self.table.numeric, self.table.path, self._place)
        group = self._texts.get("group")
        names = [text.strip() for text in group.texts] if group else []
        return Rows(
            table=self.table.path,
            unit=self.table.unit,
            paths=self.paths,
            places=self.places,
            labels=labels,
            classes=classes,
            splits=self._splits(),
            groups=[names[code] for code in group.codes] if group else None,
            ignored=self.ignored,
        )

    def _fits(self, place: int, cells: Sequence[str]) -> bool:
        """Whether a row of another length than the header's can be read; False if it is empty."""
        if not any(cell.strip() for cell in cells):
            self.ignored["empty rows of the table"] += 1
            return False
        extra = [cell for cell in cells[self._width :] if cell.strip()]
        if extra or len(cells) < self._needed:
            raise self._error(
                place,
                f"has {len(cells)} cells where the header has {self._width}; put quotation marks round a cell that "
                "holds the delimiter, and fill in what is missing",
            )
        return True

    def _agree(self, place: int, cells: Sequence[str]) -> None:
        for role, others in self._again.items():
            values = [cells[i].strip() for i in (self._first[role], *others)]
            if len(set(values)) > 1:
                raise self._error(
                    place,
                    f"has {' and '.join(map(repr, values))} in its {len(values)} columns {role!r}; keep one of them",
                )

    def _splits(self) -> np.ndarray:
        if "split" not in self._texts:
            return np.full(len(self.paths), -1, np.int8)
        texts = self._texts["split"]
        codes = []
        for code, text in enumerate(texts.texts):
            name = text.strip().lower()
            if name and name not in SPLIT_NAMES:
                place = self.places[texts.first(code)]
                raise self._error(place, f"split {text!r}; expected train, val, test or nothing", ":")
            codes.append(SPLITS.index(SPLIT_NAMES[name]) if name else -1)
        return np.array(codes, np.int8)[np.array(texts.codes, np.int32)]

    def _place(self, row: int) -> str:
        return f"{self.table.unit} {self.places[row]}"

    def _error(self, place: int, text: str, mark: str = "") -> UserError:
        return UserError(f"data.path: {self.table.path}: {self.table.unit} {place}{mark} {text}")
