"""Images that a table lists: CSV or Parquet with ``path,label[,split,group]``, or a set in the form of Hugging Face."""

import os
from collections import Counter
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources.base import Source
from pipeline.sources.tables.columnar import ParquetTable
from pipeline.sources.tables.columns import is_complete
from pipeline.sources.tables.delimited import DelimitedTable
from pipeline.sources.tables.features import holds_images
from pipeline.sources.tables.hub import HuggingFaceSource
from pipeline.sources.tables.paths import FileTableSource
from pipeline.sources.tables.shards import is_shard, read_schema
from pipeline.sources.tables.splits import Shards, find_shards, split_by_name, walk

TEXT_SUFFIXES = (".csv", ".tsv")


def open_table(path: Path, label: str = "") -> Source:
    """The table at ``path``: a set in the form of Hugging Face, or one of its files; or a folder with a table of paths.

    A table of paths is named by the folder that it shares with its images: DVC watches ``data.path``, and would not see
    a changed image beside a table.

    Args:
        path: the table, or its folder.
        label: the column of the labels, where it is not called so.

    Raises:
        UserError: nothing there, more than one table, columns that are missing or of another kind, or a table of paths
            named by itself.
    """
    if path.is_dir():
        return _open_folder(path, label)
    if not path.exists():
        raise UserError(f"data.path: {path}: no such file or folder; source: table needs a CSV or Parquet table")
    if not path.is_file():
        raise UserError(f"data.path: {path}: neither a file nor a folder; source: table needs a CSV or Parquet table")
    if is_shard(path.name) and holds_images(read_schema(path)):
        return HuggingFaceSource(path.parent, Shards({split_by_name(path): [path]}), label)
    raise UserError(
        f"data.path: {path}: name the folder that holds this table and its images ({path.parent}); DVC watches "
        "data.path, and would not see a changed image beside it"
    )


def _open_folder(folder: Path, label: str) -> Source:
    shards, ignored = walk(folder)
    texts, others = _texts(folder, TEXT_SUFFIXES)
    ignored += others
    with_images = any(holds_images(read_schema(shard)) for shard in shards)
    candidates = texts + ([] if with_images else shards)
    complete = [table for table in candidates if _is_table_of_paths(table, label, alone=len(candidates) == 1)]
    if with_images:
        return _open_set(folder, complete, len(texts), label)
    if not candidates:
        complete = candidates = [
            path for path in _texts(folder, (".txt",))[0] if _is_table_of_paths(path, label, alone=False)
        ]
    if not candidates:
        raise UserError(_nothing(folder))
    if len(complete) > 1:
        names = ", ".join(table.relative_to(folder).as_posix() for table in complete[:3])
        raise UserError(
            f"data.path: {folder}: {len(complete)} tables of paths here ({names}{', …' if len(complete) > 3 else ''}); "
            "keep one, or join them into one with a column 'split'"
        )
    if other := len(candidates) - len(complete):
        ignored["tables without path and label"] += other
    return FileTableSource(_table((complete or candidates)[0], label), ignored, label)


def _open_set(folder: Path, tables: list[Path], texts: int, label: str) -> Source:
    if tables:
        raise UserError(
            f"data.path: {folder}: holds images in Parquet or Arrow, and a table of paths ({tables[0].name}); which of "
            "them is the set cannot be told, so move the other one away"
        )
    shards = find_shards(folder)
    if texts:
        shards.ignored["tables without path and label"] += texts
    return HuggingFaceSource(folder, shards, label)


def _texts(folder: Path, suffixes: tuple[str, ...]) -> tuple[list[Path], Counter[str]]:
    """The tables of text directly in ``folder``, sorted; what only looks like one is counted."""
    found, ignored = [], Counter[str]()
    try:
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(suffixes))  # noqa: PTH208
    except OSError as error:
        raise UserError(f"data.path: {folder}: cannot be read ({error.strerror})") from None
    for path in (folder / name for name in names):
        if path.is_dir():
            continue
        if path.name.startswith("."):
            ignored["hidden"] += 1
        elif not path.is_file():
            ignored["not a regular file"] += 1
        else:
            found.append(path)
    return found, ignored


def _table(path: Path, label: str) -> DelimitedTable | ParquetTable:
    return ParquetTable(path, label) if is_shard(path.name) else DelimitedTable(path, label)


def _is_table_of_paths(path: Path, label: str, *, alone: bool) -> bool:
    """Whether a table names paths and labels; one that cannot be read is none, unless it is the only one."""
    try:
        return is_complete(
            read_schema(path).names if is_shard(path.name) else DelimitedTable(path, label).header, label
        )
    except UserError:
        if alone:
            raise
        return False


def _nothing(folder: Path) -> str:
    near = (path for path in folder.rglob("*") if path.name.lower().endswith((".csv", ".tsv", ".jsonl", ".xlsx")))
    other = next((path.relative_to(folder).as_posix() for path in near), None)
    found = f" ({other} is no table that is read: write it as CSV, at the top of the folder)" if other else ""
    return f"data.path: {folder}: no .csv in this folder and no .parquet below it{found}; name another folder"
