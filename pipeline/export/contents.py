"""What lies in a set's folder: every path in it, of whatever kind, without opening or following any."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UserError


@dataclass
class Contents:
    """The paths below a folder, relative to it and with forward slashes.

    Attributes:
        files: regular files, and links to such: DVC may check a set out as links into its cache.
        folders: every folder, also an empty one.
        links: how many of the files are links.
        problems: a line for each path that no set has: links to folders or to nothing, pipes, sockets, devices, and
            what cannot be looked at.
    """

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    links: int = 0
    problems: list[str] = field(default_factory=list)


def look(folder: Path) -> Contents:
    """Lists everything below ``folder``.

    Raises:
        UserError: it is no folder, or cannot be read.
    """
    found, waiting = Contents(), [""]
    while waiting:
        within = waiting.pop()
        try:
            with os.scandir(folder / within) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    where = f"{within}/{entry.name}" if within else entry.name
                    if _take(found, where, entry):
                        waiting.append(where)
        except OSError as error:
            if not within:
                raise UserError(f"{folder}: no folder that can be read ({error.strerror})") from None
            found.problems.append(f"{within}: cannot be read ({error.strerror})")
    return found


def _take(found: Contents, where: str, entry: os.DirEntry[str]) -> bool:
    """Notes a path; whether it is a folder to look into."""
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        found.problems.append(f"{where}: cannot be read ({error.strerror})")
        return False
    link = entry.is_symlink()
    if stat.S_ISREG(mode):
        found.files.add(where)
        found.links += link
    elif stat.S_ISDIR(mode) and not link:
        found.folders.add(where)
        return True
    else:
        kind = "a link to a folder" if stat.S_ISDIR(mode) else "neither a file nor a folder"
        found.problems.append(f"{where}: {kind}; a set holds none")
    return False
