"""An exported set copied to an address, where a reader finds all of it or none.

A set goes into a folder of its own, named by its seal, and nothing that lies in another is touched. Its sums come last
there, and after them ``current.json`` beside the folders, which names the set that is whole: one small file, that every
store replaces at once. So a push that was interrupted, or failed, leaves the last good set as the current one; the next
push goes on, as what is there already, by size and checksum, is not sent again.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import BusyError, UserError
from pipeline.export.contents import look
from pipeline.export.verify import verify
from pipeline.formats.checksums import SUMS
from pipeline.progress import Progress, say, track
from pipeline.remote.addresses import shown
from pipeline.remote.comparing import Comparison
from pipeline.remote.listing import Part, parts_below
from pipeline.remote.place import HUB, Place
from pipeline.threads import in_order

KEY = "augmint push"
CURRENT = "current.json"
NAMED = 16  # hex digits of the seal in a folder's name


@dataclass(frozen=True)
class Current:
    """The content of ``current.json``: which set is whole and was pushed last.

    Attributes:
        folder: its folder, beside the file.
        seal: SHA-256 of its sums.
        files: that it has.
        size: of all of them, in bytes.
    """

    folder: str
    seal: str
    files: int
    size: int

    def dumps(self) -> bytes:
        """As the file has it."""
        return (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode()


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        url: of the set; it never changes.
        files: of the set.
        sent: those that were not there yet.
    """

    url: str
    files: int
    sent: int

    def __str__(self) -> str:
        return f"{self.url}: {self.files:,} files, {self.sent:,} sent, {self.files - self.sent:,} were there"


def push(folder: Path, url: str) -> Pushed:
    """Copies the set in ``folder`` to ``url``, and makes it the current one there.

    Args:
        folder: what ``augmint export`` wrote; checked first, as `augmint verify` does without a generator.
        url: a folder, at any address that fsspec can write to, or on this machine.

    Raises:
        UserError: no set, one that is not as it was written, no right to write there, or files there that are no part
            of it.
        BusyError: the network does not give what it takes; the same command goes on.
    """
    url = url.rstrip("/")
    place = Place.open(url, KEY)
    if place.scheme is HUB:
        raise UserError(
            f"{place.where}: each file would be a commit there; `hf upload OWNER/NAME {folder} --repo-type dataset` "
            "makes one of all"
        )
    if isinstance(place.files, LocalFileSystem) and Path(place.path).resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{place.where}: lies in the set itself; name another folder")
    before = place.content(f"{place.path}/{CURRENT}")  # whether it may be read at all is known at once
    found = verify(folder, sample=0)
    if found.problems:
        raise UserError(
            f"{folder}: not the set that was written, so it is not pushed: {found.problems[0]}; "
            f"`augmint verify {folder}` says all; `augmint export` makes it anew"
        )
    name = found.seal[:NAMED]
    files = _files(folder)
    pushing = _Pushing(place, folder, f"{place.path}/{name}", files)
    sent = pushing.run()
    current = Current(name, found.seal, len(files), sum(files.values())).dumps()
    if before != current:
        pushing.write(current, f"{place.path}/{CURRENT}")
    return Pushed(f"{shown(url)}/{name}", len(files), sent)


def _files(folder: Path) -> dict[str, int]:
    """The size of each file of a set."""
    return {file: (folder / file).stat().st_size for file in sorted(look(folder).files)}


@dataclass(frozen=True)
class _Pushing:
    """One set on its way.

    Attributes:
        place: the folder of all sets.
        folder: the set on this machine.
        target: the set there.
        files: the set's, with their sizes.
    """

    place: Place
    folder: Path
    target: str
    files: dict[str, int]

    def run(self) -> int:
        """Sends what is missing; how many files that were."""
        there = parts_below(self.place, self.target)
        self._check_strangers(there)
        comparison = Comparison(self.place, self.folder)
        missing = [file for file in self.files if file not in there or not comparison.same(there[file], file)]
        size = sum(self.files[file] for file in missing)
        some = f"{len(missing):,} of {len(self.files):,} files ({size / 2**20:,.1f} MiB)"
        say(f"pushing {some} to {shown(self.place.url)}")
        self._make_folders(missing)
        with track(max(1, size), "push", "bytes") as progress:
            self._send_all([file for file in missing if file != SUMS], progress)
            if missing:
                self._check_arrived(comparison)
            if SUMS in missing:
                self._send(SUMS, progress)
        return len(missing)

    def write(self, content: bytes, path: str) -> None:
        """Puts a small file there."""
        self._put(lambda to: self.place.files.pipe_file(to, content), path)

    def _make_folders(self, files: list[str]) -> None:
        """Before many connections send at once, which would get in each other's way with it."""
        if not self.place.scheme.whole:
            for folder in sorted({f"{self.target}/{file}".rpartition("/")[0] for file in files}):
                self.place.ask(partial(self._make_folder, folder))

    def _make_folder(self, folder: str) -> None:
        self.place.files.makedirs(folder, exist_ok=True)

    def _send_all(self, files: list[str], progress: Progress) -> None:
        connections = self.place.connections
        pool = ThreadPoolExecutor(connections)
        try:
            with self.place.stopping():
                for size in in_order(pool, self._send_one, iter(files), 2 * connections):
                    progress.advance(size)
        finally:
            pool.shutdown(cancel_futures=True)

    def _send_one(self, file: str) -> int:
        local = str((self.folder / file).resolve())  # a link, as DVC may make it
        with self.place.stopping():
            self._put(lambda to: self.place.files.put_file(local, to), f"{self.target}/{file}")
        return self.files[file]

    def _send(self, file: str, progress: Progress) -> None:
        progress.advance(self._send_one(file))

    def _put(self, write: Callable[[str], Any], path: str) -> None:
        """Writes a file that is there when all of it is."""
        if self.place.scheme.whole:
            self.place.ask(lambda: write(path))
            return

        def moved() -> None:
            write(f"{path}.part")
            self.place.files.mv(f"{path}.part", path)

        self.place.ask(moved)

    def _check_arrived(self, comparison: Comparison) -> None:
        """Looks at what is there now, as a store may lose a file without a word."""
        there = parts_below(self.place, self.target)
        for file in self.files:
            if file != SUMS and (file not in there or not comparison.same(there[file], file)):
                raise BusyError(f"{self.place.where}: {file} did not arrive whole; the same command goes on")
        self._check_strangers(there)

    def _check_strangers(self, there: dict[str, Part]) -> None:
        if strangers := list(self._strangers(there)):
            which = f"{self.target}/{strangers[0]} is no part of the set ({len(strangers):,} such)"
            raise UserError(f"{self.place.where}: {which} and may change what is read of it; delete it there")

    def _strangers(self, there: dict[str, Part]) -> Iterator[str]:
        yield from (name for name in there if name not in self.files and name.removesuffix(".part") not in self.files)
