"""What an archive holds, by path, with the links inside it followed."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from pipeline.errors import UserError
from pipeline.sources.base import Listing
from pipeline.sources.layout import Arrange, arrange
from pipeline.sources.walk import BACK, NOWHERE

MOST_MEMBERS = 2**22
LONGEST_NAME = 4096
"""Bytes: what Linux allows for a path."""

MOST_STEPS = 2**16
"""Links within linked folders that are followed in all, beside a few for each member: forty folders of two links to the
next one are a tree of 2**40."""

MOST_HOPS = 40
"""Links that are followed one after the other; Linux gives up after as many."""

NESTED = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")

OUTSIDE = "linked out of the archive"
REPLACED = "replaced by a later member of the same name"
ARCHIVE = "packed once more, as an archive inside this one"

Item = TypeVar("Item")


def damaged(where: str, what: str) -> UserError:
    """The one answer to an archive that does not give what it says it holds."""
    return UserError(f"data.path: {where}: the archive is damaged: {what}; fetch or pack it again")


class Members(Generic[Item]):
    """The files and links of an archive, as they would lie on a disk after unpacking.

    A member replaces an earlier one of the same path, as ``tar`` and ``unzip`` do.

    What gives no bytes and may be meant as an image is lost: a class that loses most of its images is refused.

    Args:
        where: the archive, for messages.
        arrange: reads the listing off the paths.
    """

    def __init__(self, where: str, arrange: Arrange = arrange) -> None:
        self._where, self._arrange = where, arrange
        self._files: dict[str, Item] = {}
        self._links: dict[str, str] = {}
        self._folders: set[str] = set()
        self._sorted: list[str] = []
        self._steps = 0
        self._lost: list[tuple[str, str]] = []
        self._passed: Counter[str] = Counter()

    def add(self, name: str, item: Item) -> None:
        """A file.

        Raises:
            UserError: its name cannot be one, or there are too many.
        """
        self._files[self._free(name)] = item

    def link(self, name: str, target: str) -> None:
        """A symbolic link; ``target`` is relative to the folder that it stands in. Errors as for :meth:`add`."""
        self._links[self._free(name)] = target

    def folder(self, name: str) -> None:
        """A folder, which may be empty."""
        self._folders.add(_canonical(name))

    def lose(self, name: str, reason: str) -> None:
        """What is no file, or gives none. Errors as for :meth:`add`."""
        self._lost.append((self._free(name), reason))

    def hard_link(self, name: str, target: str) -> None:
        """Another name for an earlier member, which ``target`` names from the top. Errors as for :meth:`add`."""
        target = _canonical(target)
        if target in self._files:
            self.add(name, self._files[target])
        elif target in self._links:
            self.link(name, self._links[target])
        else:
            self.lose(name, NOWHERE)

    def arranged(self, head: Callable[[Item], bytes]) -> tuple[Listing, list[Item]]:
        """The listing and, for each of its images, the item; ``head`` gives a file's first bytes.

        Raises:
            UserError: as :func:`pipeline.sources.layout.arrange`, and where an image's name cannot be read.
        """
        files = self._followed() if self._links else self._files
        nested = {path for path in files if path.lower().endswith(NESTED)}
        paths = [path for path in files if path not in nested] if nested else list(files)
        items = [files[path] for path in paths]
        lost = [*self._lost, *((path, ARCHIVE) for path in sorted(nested))]
        listing, order = self._arrange(
            paths, self._where, lambda index: head(items[index]), self._passed, lost, self._empty([*files, *dict(lost)])
        )
        self._check_names(paths, order)
        return listing, [items[index] for index in order]

    def _free(self, name: str) -> str:
        path = _canonical(name)
        if "\0" in path or len(path) > LONGEST_NAME:
            raise damaged(
                self._where, f"the name {path[:80]!r} has a NUL in it or more than {LONGEST_NAME:,} characters"
            )
        if self._files.pop(path, None) is not None or self._links.pop(path, None) is not None:
            self._passed[REPLACED] += 1
        if len(self._files) + len(self._links) + len(self._lost) >= MOST_MEMBERS:
            raise self._too_many()
        return path

    def _too_many(self) -> UserError:
        return UserError(
            f"data.path: {self._where}: more than {MOST_MEMBERS:,} files, with those that its links lead to; "
            "leave out what is no image of the set, or use source: table"
        )

    def _check_names(self, paths: list[str], order: list[int]) -> None:
        """Names in an unknown code page would give classes that nobody chose."""
        if not any(_undecided(path) for path in paths):
            return
        foreign = [paths[index] for index in order if not paths[index].isascii()]  # in one code page, all of them
        if foreign:
            example = max(foreign, key=_undecided).encode("utf-8", "surrogateescape")
            raise UserError(
                f"data.path: {self._where}: names such as {example!r} are in a code page that the archive does not "
                "tell; unpack it with the right one (unzip -O CODEPAGE) and use source: folder, or pack it again with "
                "names in UTF-8"
            )

    def _followed(self) -> dict[str, Item]:
        """All files, and under its own path each that a link leads to."""
        self._sorted = sorted([*self._files, *self._links])
        covered = {path for path in self._links if self._under(path)}  # a folder took the link's place
        self._passed[REPLACED] += len(covered)
        self._links = {path: target for path, target in self._links.items() if path not in covered}
        self._sorted = [path for path in self._sorted if path not in covered]
        found = dict(self._files)
        for path in self._links:
            self._follow(path, path, (), found)
        return found

    def _follow(self, path: str, link: str, folders: tuple[str, ...], found: dict[str, Item]) -> None:
        """Adds to ``found``, under ``path``, what ``link`` leads to; ``folders`` hold the links that led here."""
        self._steps += 1
        if self._steps > MOST_STEPS + 8 * len(self._sorted):
            raise UserError(
                f"data.path: {self._where}: its links lead into one another more than {MOST_STEPS:,} times; pack it "
                "again with the files that they lead to (tar --dereference)"
            )
        if len(found) > MOST_MEMBERS:
            raise self._too_many()
        real, reason = self._real(link)
        folders = (*folders, link.rpartition("/")[0])
        if real in self._files:
            found[path] = self._files[real]
        elif reason or len(folders) > MOST_HOPS:
            self._lost.append((path, reason or NOWHERE))
        elif any(_holds(real, folder) for folder in folders):
            self._passed[BACK] += 1
        elif entries := self._under(real):
            for entry in entries:
                inner = path + entry[len(real) :]
                if entry in self._files:
                    found[inner] = self._files[entry]
                else:
                    self._follow(inner, entry, folders, found)
        elif real not in self._folders:
            self._lost.append((path, NOWHERE))

    def _real(self, path: str) -> tuple[str, str]:
        """Where ``path`` leads when all links on the way are followed, and why it leads nowhere."""
        ahead = path.split("/")[::-1]
        real: list[str] = []
        hops = 0
        while ahead:
            part = ahead.pop()
            if part == ".." and not real:
                return path, OUTSIDE
            if part == "..":
                real.pop()
            elif part not in ("", "."):
                real.append(part)
                if (target := self._links.get("/".join(real))) is not None:
                    hops += 1
                    if target.startswith("/"):
                        return path, OUTSIDE
                    if hops > MOST_HOPS or len(target) > LONGEST_NAME:
                        return path, NOWHERE
                    real.pop()
                    ahead += target.split("/")[::-1]
        return "/".join(real), ""

    def _empty(self, paths: list[str]) -> list[str]:
        """The folders that hold nothing."""
        holding = {path.rpartition("/")[0] for path in paths} if self._folders else set()
        waiting = [*holding, *(folder.rpartition("/")[0] for folder in self._folders)]
        while waiting:
            holding.add(folder := waiting.pop())
            if folder and (above := folder.rpartition("/")[0]) not in holding:
                waiting.append(above)
        return sorted(self._folders - holding)

    def _under(self, folder: str) -> list[str]:
        """The paths of all files and links below ``folder``."""
        begin, end = (bisect_left(self._sorted, folder + mark) for mark in "/0")  # "0" is what follows "/"
        return self._sorted[begin:end]


def _canonical(name: str) -> str:
    return "/".join([part for part in name.split("/") if part not in ("", ".")])


def _holds(folder: str, path: str) -> bool:
    return not folder or path == folder or path.startswith(folder + "/")


def _undecided(path: str) -> bool:
    """Bytes that are no UTF-8 are in it, as the surrogates that stand for them."""
    return not path.isascii() and any("\udc80" <= letter <= "\udcff" for letter in path)
