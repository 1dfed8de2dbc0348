"""The files of a source, told apart before anything is read from their folders."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain
from typing import NamedTuple

from pipeline.sources.kinds import IMAGE, SUFFIXES, Kind, kind_of

SYSTEM = frozenset(
    {"__macosx", "__pycache__", "@eadir", "#recycle", "@recycle", "$recycle.bin", "system volume information"}
    | {"lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
)
"""What operating systems and network drives leave behind, in lower case."""


class File(NamedTuple):
    """One file.

    Attributes:
        name: its path in the source.
        folder: the path of the folder that it lies in, ``""`` at the top.
        number: among the paths of the source.
        reason: why it is left out; empty for an image.
    """

    name: str
    folder: str
    number: int
    reason: str = ""


@dataclass
class Files:
    """All files of a source.

    Attributes:
        images: what is an image by its suffix or its first bytes.
        missed: what may be meant as an image of the set and cannot be read as one.
        aside: the number of all others, by reason and folder.
        hidden: the number of hidden and system files, by reason and the folder that is hidden (``""``: the file is).
    """

    images: list[File] = field(default_factory=list)
    missed: list[File] = field(default_factory=list)
    aside: Counter[tuple[str, str]] = field(default_factory=Counter)
    hidden: Counter[tuple[str, str]] = field(default_factory=Counter)


def sort_out(paths: Sequence[str], head: Callable[[int], bytes] | None, lost: Iterable[tuple[str, str]]) -> Files:
    """Tells images from all else; the arguments are those of :func:`pipeline.sources.layout.arrange`."""
    files = Files()
    cleaned, hidden = cache(_cleaned), cache(covered)
    for index, (path, reason) in enumerate(chain(((path, "") for path in paths), lost)):
        folder, _, base = path.rpartition("/")
        folder = cleaned(folder)
        if (why := hidden(folder)) or (why := _of_system(base)):
            files.hidden[why] += 1
            continue
        kind = _kind(base, reason, head and partial(head, index))
        name = f"{folder}/{base}" if folder else base
        if kind == IMAGE:
            files.images.append(File(name, folder, index))
        elif kind.missed:
            files.missed.append(File(name, folder, index, kind.reason))
        else:
            files.aside[kind.reason, folder] += 1
    return files


def _kind(base: str, reason: str, head: Callable[[], bytes] | None) -> Kind:
    if base.startswith("."):  # "._" begins the twin that a Mac makes of every file on other file systems
        return Kind("hidden", base.lower().endswith(SUFFIXES) and not base.startswith("._"))
    return Kind(reason, True) if reason else kind_of(base, head)


def _cleaned(folder: str) -> str:
    """Without the ``.`` and the doubled slashes that a tar may have."""
    return "/".join(part for part in folder.split("/") if part not in ("", "."))


def covered(folder: str) -> tuple[str, str] | None:
    """Why all of a folder is passed over, and the part of its path that is the reason."""
    for part in folder.split("/"):
        if part.startswith("."):
            return "hidden", part
        if part.lower() in SYSTEM:
            return "of the system", part
    return None


def _of_system(base: str) -> tuple[str, str] | None:
    return ("of the system", "") if base.lower() in SYSTEM else None
