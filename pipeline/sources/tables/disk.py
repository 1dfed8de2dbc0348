"""Finds the files that a table means below its folder, and looks at what they are."""

import errno
import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from pathlib import Path

from pipeline.sources.kinds import SUFFIXES
from pipeline.sources.sorting import covered

ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP}
LEFT_OUT = ("", ".jpg", ".jpeg", ".png", ".tif", ".webp", ".bmp")
"""Suffixes that a table of bare identifiers lacks."""


class State(IntEnum):
    """What there is under a path; only a regular file is ever opened, for a pipe or a device would never end."""

    FILE, MISSING, NO_FILE = range(3)


class Disk:
    """The files below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prefix = f"{folder}/"
        self._index = lru_cache(64)(self._read_index)

    def look(self, path: str) -> tuple[str, State]:
        """The path of the file that ``path`` means, with single ``/``, and its state.

        What does not exist is tried with ``\\`` as the separator, then with each name's letters composed as on the
        disk; what is still missing comes back as it was, or with ``/`` if that is all that it lacked.
        """
        name = _plain(path)
        state = self._state(name)
        if state is State.MISSING and "\\" in name:
            name = _plain(name.replace("\\", "/"))
            state = self._state(name)
        if state is State.MISSING and not name.isascii() and (other := self._composed(name)):
            return other, self._state(other)
        return name, state

    def hint(self, path: str) -> str:
        """A question that names a file which the missing ``path`` may mean: it differs in case, in suffix or by the
        name of the folder itself; empty if there is none."""
        near = self._similar(path)
        own = f"{self._folder.name}/"
        if not near and path.startswith(own):
            near = self._similar(path.removeprefix(own))
        return f"did you mean {near}?" if near else ""

    def count_others(self, names: Iterable[str]) -> int:
        """How many files below the folder are called as images are, and are none of ``names``.

        Hidden folders and those behind links are not looked into.
        """
        known, count = set(names), 0
        for root, folders, files in os.walk(self._folder):
            folders[:] = [name for name in folders if not covered(name)]
            below = "" if root == str(self._folder) else f"{root.removeprefix(self._prefix)}/"
            images = (f"{below}{name}" for name in files if name[0] != "." and name.lower().endswith(SUFFIXES))
            count += sum(name not in known for name in images)
        return count

    def _state(self, name: str) -> State:
        try:
            mode = os.stat(self._prefix + name).st_mode  # noqa: PTH116 (there may be a million)
        except OSError as error:
            return State.MISSING if error.errno in ABSENT else State.FILE  # reading it will say what is wrong
        except ValueError:  # a NUL, or letters that this file system cannot name
            return State.MISSING
        return State.FILE if stat.S_ISREG(mode) else State.NO_FILE

    def _composed(self, name: str) -> str | None:
        """The one path on the disk that is ``name`` but for the composition of its letters."""
        found = ""
        for part in name.split("/"):
            entries = [entry for entry in self._index(found).get(_folded(part), ()) if _same_letters(entry, part)]
            if part not in entries and len(entries) != 1:
                return None
            found = f"{found}/{part if part in entries else entries[0]}".lstrip("/")
        return found

    def _similar(self, path: str) -> str | None:
        """The first path on the disk that is ``path`` but for case and a suffix that was left out."""
        found = ""
        *folders, name = path.split("/")
        for part, suffixes in [*((folder, ("",)) for folder in folders), (name, LEFT_OUT)]:
            index = self._index(found)
            entries = next((index[key] for suffix in suffixes if (key := _folded(part + suffix)) in index), None)
            if not entries:
                return None
            found = f"{found}/{min(entries)}".lstrip("/")
        return found

    def _read_index(self, folder: str) -> dict[str, list[str]]:
        index: dict[str, list[str]] = defaultdict(list)
        try:
            for entry in os.listdir(self._prefix + folder):  # noqa: PTH208
                index[_folded(entry)].append(entry)
        except (OSError, ValueError):
            pass
        return dict(index)


def _plain(path: str) -> str:
    """``path`` without ``.`` and doubled separators; the same object if it has none."""
    if "//" not in path and "./" not in path and not path.endswith(("/", "/.")):
        return path
    return "/".join(part for part in path.split("/") if part not in ("", ".")) or path


def _same_letters(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
