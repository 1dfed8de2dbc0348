"""What is said of each image, as CSV or JSON, row by row."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TextIO

import numpy as np

from pipeline.escaping import spreadsheet, terminal

DIGITS = 6
Form = Literal["csv", "json"]


class Row(NamedTuple):
    """One image.

    Attributes:
        file: its path in what was asked about.
        label: the most probable class, an index; -1 for an image that cannot be read.
        probabilities: of each class, float (classes,); empty for such an image.
        error: why it cannot be read.
    """

    file: str
    label: int
    probabilities: np.ndarray
    error: str


def write_rows(rows: Iterable[Row], classes: Sequence[str], form: Form, stream: TextIO) -> Iterator[Row]:
    """Writes each row as it comes, and passes it on."""
    return (_write_csv if form == "csv" else _write_json)(rows, classes, stream)


def _write_csv(rows: Iterable[Row], classes: Sequence[str], stream: TextIO) -> Iterator[Row]:
    """Columns ``file``, ``class``, ``p_<class>`` for each class, ``error``; no text acts in a spreadsheet."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(_cell, ["file", "class", *(f"p_{name}" for name in classes), "error"]))
    for row in rows:
        found = [f"{value:.{DIGITS}f}" for value in row.probabilities] or [""] * len(classes)
        writer.writerow([_cell(row.file), _cell(_name(row, classes)), *found, _cell(row.error)])
        yield row


def _write_json(rows: Iterable[Row], classes: Sequence[str], stream: TextIO) -> Iterator[Row]:
    """A list of objects, one a line: ``file``, ``class``, ``probabilities`` by class, ``error`` where there is one."""
    start = "[\n"
    for row in rows:
        found = {name: round(float(value), DIGITS) for name, value in zip(classes, row.probabilities, strict=False)}
        content = {"file": row.file, "class": _name(row, classes) or None, "probabilities": found or None}
        content |= {"error": row.error} if row.error else {}
        stream.write(start + json.dumps(content, ensure_ascii=False))
        start = ",\n"
        yield row
    stream.write("\n]\n" if start == ",\n" else "[]\n")


def _name(row: Row, classes: Sequence[str]) -> str:
    return classes[row.label] if row.label >= 0 else ""


def _cell(text: str) -> str:
    return str(spreadsheet(terminal(text)))
