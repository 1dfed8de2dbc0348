"""Folders that ``save_to_disk`` of `datasets` wrote: one of Arrow files and their index, or one such a split."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import UserError

SPLITS_INDEX = "dataset_dict.json"
INDEX = "state.json"
INFO = "dataset_info.json"


def saved_splits(folder: Path) -> dict[str | None, list[PurePosixPath]] | None:
    """The files of each split, relative to ``folder``; None if ``save_to_disk`` did not write it.

    The split is None for a set that belongs to none.

    Raises:
        UserError: an index is damaged, or a file that it names is missing.
    """
    if (folder / SPLITS_INDEX).is_file():
        splits = _names(_json(folder / SPLITS_INDEX).get("splits"))
        if not splits:
            raise UserError(f"data.path: {folder / SPLITS_INDEX}: 'splits' is no list of names; save the set again")
        return {split: _read_index(folder, split)[1] for split in splits}
    if (folder / INDEX).is_file() and (folder / INFO).is_file():
        return dict([_read_index(folder, "")])
    return None


def _read_index(folder: Path, split: str) -> tuple[str | None, list[PurePosixPath]]:
    path = folder / split / INDEX
    index = _json(path)
    entries = index.get("_data_files")
    entries = entries if isinstance(entries, list) else []
    names = _names([entry.get("filename") for entry in entries if isinstance(entry, dict)])
    if not names:
        raise UserError(f"data.path: {path}: names no files of the set; save it again")
    if missing := next((name for name in names if not (path.parent / name).is_file()), None):
        raise UserError(f"data.path: {path.parent / missing}: missing, and {INDEX} names it; save the set again")
    given = index.get("_split")
    return given if isinstance(given, str) else None, [PurePosixPath(split, name) for name in names]


def _names(value: Any) -> list[str]:
    """A part of an index that is a list of plain names, which lead nowhere else; empty if it is anything else."""
    plain = isinstance(value, list) and all(isinstance(name, str) and Path(name).name == name for name in value)
    return value if plain else []


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"data.path: {path}: not readable ({error}); save the set again") from None
    return content if isinstance(content, dict) else {}
