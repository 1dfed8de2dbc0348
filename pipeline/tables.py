"""CSV files, as ``dvc plots`` and spreadsheets read them."""

import csv
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.escaping import spreadsheet


def read_csv(path: Path, text: Collection[str] = ("class",)) -> list[dict[str, Any]]:
    """The rows of a table that :func:`write_csv` wrote: numbers, ``None`` for an empty cell, and text in some columns.

    Args:
        path: of the file.
        text: the columns that hold text, as it stands in the file.

    Raises:
        OSError, ValueError: there is no such file, or a cell is no number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: cell if name in text else float(cell) if cell else None for name, cell in row.items()}
            for row in csv.DictReader(file, strict=True)
        ]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a table in which no text is a formula; UTF-8, a line feed a row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(map(spreadsheet, row) for row in chain([header], rows))
