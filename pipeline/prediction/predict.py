"""Asks the recommended classifier about every image of a folder or an archive."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.atomic import replacing
from pipeline.binding import as_now, changed
from pipeline.classifier.shipped import Shipped, load_shipped
from pipeline.errors import UserError
from pipeline.escaping import terminal
from pipeline.prediction.reading import read_batches
from pipeline.prediction.rows import Form, Row, write_rows
from pipeline.progress import Progress, track
from pipeline.runtime import choose_device
from pipeline.sources.base import Source
from pipeline.sources.unlabelled import open_unlabelled
from pipeline.wording import NAMED, counted
from pipeline.workspace import Workspace

SHOWN = 20  # rows of the table on a terminal


def predict(images: Path, model: Path | None, out: Path | None, form: Form | None) -> None:
    """Writes what the classifier says of each image, in the order in which they are read.

    With ``out`` into that file, whole or not at all, and a summary on the terminal; without it to standard output,
    where a terminal gets a short table unless ``form`` is given. What cannot be read is named, has a row without a
    class, and stops nothing.

    Args:
        images: a folder, an archive or an image.
        model: the classifier's folder; that of the project in the working folder if left out.
        out: where to.
        form: by the suffix of ``out`` if left out: JSON for ``.json``, else CSV.

    Raises:
        UserError: no classifier, or one that was edited or is damaged; no images, or none that can be read.
    """
    workspace = Workspace()
    shipped = load_shipped(model or workspace.classifier, workspace.root, choose_device("auto", "classify.device"))
    if model is None:
        _say_what_changed(workspace, shipped)
    source = open_unlabelled(images)
    form = form or ("json" if out is not None and out.suffix.lower() == ".json" else None)
    if out is not None:
        with replacing(out) as (part,), part.open("w", newline="", encoding="utf-8") as stream:
            tally = _written(source, shipped, form or "csv", stream)
        tally.say(str(out))
    elif form is None and sys.stdout.isatty():
        _show(source, shipped)
    else:
        _written(source, shipped, form or "csv", sys.stdout).say("")


class Tally:
    """What was found in all.

    Attributes:
        images: by class.
        bad: how many could not be read.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self.images: Counter[str] = Counter()
        self.bad = 0
        self.first: list[Row] = []

    def add(self, row: Row) -> None:
        """Counts a row; of bad images the first few are kept."""
        if row.label >= 0:
            self.images[self._classes[row.label]] += 1
            return
        self.bad += 1
        if len(self.first) < NAMED:
            self.first.append(row)

    def say(self, where: str) -> None:
        """Prints the summary on standard error, bad images by name.

        Args:
            where: the file that was written; empty for none.
        """
        total = self.images.total()
        if not total:
            first = "; ".join(f"{row.file}: {row.error}" for row in self.first)
            raise UserError(f"none of the {self.bad:,} images can be read: {first}")
        found = ", ".join(f"{name} {count:,}" for name, count in self.images.most_common(10))
        more = f", {len(self.images) - 10:,} more classes" if len(self.images) > 10 else ""
        _say(f"predict: {total:,} images: {found}{more}{f'; in {where}' if where else ''}")
        for row in self.first:
            _say(f"predict: not read: {row.file}: {row.error}")
        if self.bad > len(self.first):
            _say(f"predict: not read: {self.bad - len(self.first):,} more, which the rows name")


def rows_of(source: Source, shipped: Shipped, progress: Progress) -> Iterator[Row]:
    """A row for every image of ``source``."""
    nothing = np.empty(0)
    for batch in read_batches(source, shipped.card.images):
        found = shipped.probabilities(batch.images) if len(batch.images) else np.empty((0, 0))
        files = [source.listing.paths[row] for row in batch.rows]
        rows = [Row(file, int(p.argmax()), p, "") for file, p in zip(files, found, strict=False)]
        rows += [Row(file, -1, nothing, why) for file, why in zip(files[len(rows) :], batch.reasons, strict=True)]
        order = sorted(range(len(rows)), key=batch.rows.__getitem__)
        yield from (rows[i] for i in order)
        progress.advance(len(rows))


def _written(source: Source, shipped: Shipped, form: Form, stream: TextIO) -> Tally:
    classes = shipped.card.classes
    tally = Tally(classes)
    with track(len(source.listing), "predict", "images") as progress:
        for row in write_rows(rows_of(source, shipped, progress), classes, form, stream):
            tally.add(row)
    _say_passed_over(source)
    if not tally.images:
        tally.say("")
    return tally


def _show(source: Source, shipped: Shipped) -> None:
    """A table of the first rows, and the summary of all."""
    classes = shipped.card.classes
    tally, table = Tally(classes), Table("file", "class", "probability")
    with track(len(source.listing), "predict", "images") as progress:
        rows = rows_of(source, shipped, progress)
        for row in islice(rows, SHOWN):
            tally.add(row)
            known = row.label >= 0
            said = (classes[row.label], f"{row.probabilities.max():.3f}") if known else ("", row.error)
            table.add_row(*(Text(terminal(cell)) for cell in (row.file, *said)))
        for row in rows:
            tally.add(row)
    Console().print(table)
    if len(source.listing) > SHOWN:
        _say(f"predict: the first {SHOWN} of {len(source.listing):,}; --out FILE writes all")
    _say_passed_over(source)
    tally.say("")


def _say_passed_over(source: Source) -> None:
    if source.listing.ignored:
        _say(f"predict: passed over: {counted(source.listing.ignored)}")


def _say_what_changed(workspace: Workspace, shipped: Shipped) -> None:
    figures = {"made_from": [source.model_dump() for source in shipped.card.made_from]}
    if found := changed(figures, as_now(workspace, figures)):
        _say(f"note: the classifier is the last run's; since then {', '.join(found)} changed: run `dvc repro`")


def _say(line: str) -> None:
    print(terminal(line), file=sys.stderr, flush=True)
