"""Every file below a folder, links followed, nothing opened."""

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources.sorting import covered

NOWHERE = "linked to nothing"
SPECIAL = "special (pipe, socket or device)"
BACK = "linked back to a folder above"
TWICE = "linked to a folder that is read in its own place"


@dataclass
class Found:
    """What lies below a folder; paths are relative to it, with ``/``.

    Attributes:
        files: regular files, and links to such.
        lost: what has a name like a file and gives no bytes, each with the reason.
        passed: links to folders that are not followed, by reason.
        empty: folders without anything in them.
    """

    files: list[str] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)


def walk(root: Path) -> Found:
    """Lists every file below ``root``.

    Links to folders are followed once all else is listed, so that what lies in the tree keeps its own place; a folder
    is listed once, and a link to one that holds the link never.

    Raises:
        UserError: a folder cannot be read.
    """
    return _Walk(root).found


class _Walk:
    def __init__(self, root: Path) -> None:
        self.found = Found()
        self._root = root
        self._seen: set[tuple[int, int]] = set()
        self._links: list[str] = []
        self._below("")
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                self._follow(link)

    def _below(self, top: str) -> None:
        waiting = [top]
        while waiting:
            path = waiting.pop()
            try:
                status = Path(self._root, path).stat()
            except FileNotFoundError:  # gone since it was listed
                self.found.lost.append((path, NOWHERE))
                continue
            if (identity := (status.st_dev, status.st_ino)) in self._seen:
                self.found.passed[TWICE] += 1
                continue
            self._seen.add(identity)
            waiting += self._list(path)

    def _list(self, folder: str) -> list[str]:
        """Takes the files of one folder, and gives its folders."""
        inside, entries = [], 0
        try:
            with os.scandir(self._root / folder) as scan:
                for entry in scan:
                    entries += 1
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_symlink():
                        self._link(name)
                    elif entry.is_dir(follow_symlinks=False):
                        inside.append(name)
                    elif entry.is_file(follow_symlinks=False):
                        self.found.files.append(name)
                    else:
                        self.found.lost.append((name, SPECIAL))
        except OSError as error:
            if covered(folder):  # lost+found at the top of a disk is for its administrator alone
                self.found.passed["hidden and not readable"] += 1
                return []
            raise UserError(
                f"data.path: {self._root / folder}: this folder cannot be read ({error.strerror}); make it readable, "
                "or move it away"
            ) from None
        if folder and not entries:
            self.found.empty.append(folder)
        return inside

    def _link(self, name: str) -> None:
        try:
            mode = Path(self._root, name).stat().st_mode
        except (OSError, RuntimeError):  # also a link to itself
            self.found.lost.append((name, NOWHERE))
            return
        if stat.S_ISDIR(mode):
            self._links.append(name)
        elif stat.S_ISREG(mode):
            self.found.files.append(name)
        else:
            self.found.lost.append((name, SPECIAL))

    def _follow(self, link: str) -> None:
        path = self._root / link
        if path.parent.resolve().is_relative_to(path.resolve()):
            self.found.passed[BACK] += 1
        else:
            self._below(link)
