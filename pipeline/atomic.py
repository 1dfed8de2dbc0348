"""Outputs that are either the last good ones or the new ones, never half of either."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """Yields one not yet existing path a target, in the target's own folder; moves them into place at the end.

    The body writes a file or makes a folder at each. If it raises, the targets stay as they were and what had been
    written is removed; the same goes for what an earlier run left when it was killed.

    Raises:
        FileNotFoundError: the body left one of the paths unwritten; no target has been touched.
    """
    parts = tuple(target.with_name(f".{target.name}.part") for target in targets)
    try:
        for target, part in zip(targets, parts, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            remove(part)
        yield parts
        for part in parts:
            if not part.exists():
                raise FileNotFoundError(f"{part} was not written")
        for target, part in zip(targets, parts, strict=True):
            _swap(part, target)
    finally:
        for part in parts:
            remove(part)


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes ``content`` with sorted keys and a final newline, so that equal figures are equal bytes.

    Raises:
        ValueError: a figure is NaN or infinite, which JSON cannot say; use ``None``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _swap(part: Path, target: Path) -> None:
    if not target.is_dir():
        part.replace(target)
        return
    old = target.with_name(f".{target.name}.old.part")
    remove(old)
    target.rename(old)
    part.rename(target)
    remove(old)
