"""Images that are files, which a table names together with their labels."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np

from pipeline.errors import UserError
from pipeline.sources.base import BadImageError, Listing, Payload, read_file
from pipeline.sources.tables.disk import Disk, State
from pipeline.sources.tables.rows import PathTable, Rows, collect
from pipeline.store import SPLITS

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
ABSOLUTE = re.compile(r"[\\/]|[a-z]:[\\/]", re.IGNORECASE)


class FileTableSource:
    """A table of paths, which are relative to the table's own folder.

    A path is read as it is written; where no such file exists also with backslashes as separators, or with its letters
    composed in another way. Rows that name the same file are one image.

    Args:
        table: of paths and labels.
        ignored: what was passed over on the way to it, counted by reason.
        label: the column of the labels, where it is not called so.

    Raises:
        UserError: the table cannot be read, a path leads out of its folder, or a file has two labels, splits or groups.
    """

    def __init__(self, table: PathTable, ignored: Counter[str], label: str = "") -> None:
        rows = collect(table, label)
        self._folder, self._table = table.path.parent, table.path
        self._disk = Disk(self._folder)
        names, states = self._found(rows)
        order = sorted(range(len(names)), key=names.__getitem__)
        order = _distinct(rows, names, order)
        self._names = [names[row] for row in order]
        if unnamed := self._disk.count_others(self._names):
            rows.ignored["images that the table does not name"] += unnamed
        self._states = states[order]
        self.listing = Listing(
            paths=self._names,
            labels=rows.labels[order],
            classes=rows.classes,
            splits=rows.splits[order],
            groups=[rows.groups[row] for row in order] if rows.groups is not None else None,
            ignored=rows.ignored + ignored,
        )

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`.

        Raises:
            UserError: none of the files is there.
        """
        if (self._states == State.MISSING).all():
            first = self._names[0]
            hint = f" ({hint})" if (hint := self._disk.hint(first)) else ""
            raise UserError(
                f"data.path: {self._table}: none of its {len(self._names):,} files is there, the first is {first!r}"
                f"{hint}; the paths in a table are relative to its folder, {self._folder}"
            )
        for index, (name, state) in enumerate(zip(self._names, self._states.tolist(), strict=True)):
            yield index, partial(self._read, name, state)

    def _read(self, name: str, state: int) -> bytes:
        if state == State.MISSING:
            raise BadImageError("no such file", self._disk.hint(name))
        if state == State.NO_FILE:
            raise BadImageError("not a regular file")
        return read_file(self._folder / name)

    def _found(self, rows: Rows) -> tuple[list[str], np.ndarray]:
        """Where each row's file is, relative to the folder, and its :class:`State`, int8 (N,)."""
        names, states = rows.paths, np.empty(len(rows.paths), np.int8)
        for row, written in enumerate(names):
            if refusal := _refusal(written):
                raise UserError(f"{rows.where(row)}: {' '.join(refusal.split())}")
            names[row], states[row] = self._disk.look(written)
        return names, states


def _refusal(path: str) -> str | None:
    """Why no file is looked for under such a path."""
    if "://" in path and ADDRESS.match(path):
        return f"{path} is an address on the web; download the images first, and write where they lie"
    if ABSOLUTE.match(path) or (".." in path and ".." in re.split(r"[\\/]", path)):
        return (
            f"{path} lies outside of the table's folder, where DVC would not see it change; move the table above its "
            "images"
        )
    return None


def _distinct(rows: Rows, names: list[str], order: list[int]) -> list[int]:
    """``order`` without the rows that repeat another one."""
    kept = order[:1]
    for previous, row in pairwise(order):
        if names[row] != names[previous]:
            kept.append(row)
            continue
        rows.ignored["rows given twice"] += 1
        for what, first, second in _meanings(rows, kept[-1], row):
            if first != second:
                raise UserError(
                    f"{rows.where(row)}: {names[row]!r} has the {what} {second!r} here and {first!r} in {rows.unit} "
                    f"{rows.places[kept[-1]]}; keep one of them"
                )
    return kept


def _meanings(rows: Rows, first: int, second: int) -> Iterator[tuple[str, str, str]]:
    """What two rows say of the same file: the name of each fact and both values."""
    yield "label", rows.classes[rows.labels[first]], rows.classes[rows.labels[second]]
    split = ("none", *SPLITS)
    yield "split", split[rows.splits[first] + 1], split[rows.splits[second] + 1]
    if rows.groups is not None:
        yield "group", rows.groups[first], rows.groups[second]
