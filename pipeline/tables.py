"""CSV files, as ``dvc plots`` and spreadsheets read them."""

import csv
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.escaping import spreadsheet


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a table in which no text is a formula; UTF-8, a line feed a row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(map(spreadsheet, row) for row in chain([header], rows))
