"""Images behind an address that fsspec knows: ``https://…/tiles.zip``, ``s3://bucket/tiles``, ``file:///…``.

They are fetched once into the project's scratch folder, which is said, and then read as local ones are: the readers
here hold every byte against what a file declares, and for that need a file at hand. What was fetched is taken again
while the address tells of the same version (ETag, checksum, or size and time); one that tells nothing is fetched anew.

A copy is in its place when all of it is: every file as long as was told, with the checksum that was told, and of one
version from beginning to end. What an interrupted fetch has is kept for the next one.
"""

import hashlib
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pipeline.atomic import remove
from pipeline.disk import naming
from pipeline.errors import BusyError
from pipeline.locks import alone
from pipeline.progress import Progress, say, track
from pipeline.remote.addresses import local_path, shown
from pipeline.remote.faults import Kind, RemoteError
from pipeline.remote.listing import Listing, Part, listed
from pipeline.remote.place import FromStartOnlyError, Patience, Place
from pipeline.threads import in_order

SPARE = 256 * 2**20
"""Bytes that a disk keeps free whatever is fetched."""
CHANGES = 3
"""How often what changes while it is fetched is fetched."""
UNKNOWN = "fetched"  # the version of what tells none


def fetch(url: str, scratch: Path, key: str = "data.path") -> Path:
    """A local copy of the file or folder at ``url``; the place itself where it is on this machine.

    Args:
        url: as :func:`pipeline.remote.addresses.is_url` knows it.
        scratch: the folder of copies; of one project, which has one set at a time.
        key: what names the address in messages.

    Raises:
        UserError: no such protocol or no package for it, a secret in it, nothing there, no right to it, or a name that
            leads out of its folder.
        BusyError: the network or the disk does not give what it takes; it may pass.
    """
    if at_hand := local_path(url):
        return at_hand
    place = Place.open(url, key)
    scratch.mkdir(parents=True, exist_ok=True)
    with alone(scratch / "lock", "a fetch"):
        found = listed(place)
        for _ in range(CHANGES):
            target = scratch / found.version / _name(url)
            if found.version and target.exists():
                return target
            before, work = found, _Copy(place, found, scratch)
            whole = work.run()
            found = listed(place)
            if whole and (found.version, found.sizes) == (before.version, before.sizes):
                return _settled(work.work, scratch / (found.version or UNKNOWN)) / _name(url)
            say(f"{place.where}: changed while it was fetched; once more")
    raise BusyError(f"{place.where}: changes while it is read; try again when it is finished")


def has_etag(url: str) -> bool:
    """Whether a server says which version of the file at ``url`` it gives.

    Raises:
        UserError, BusyError: as :func:`fetch`.
    """
    place = Place.open(url, "data.path")
    info = place.ask(lambda: place.files.info(place.path))
    return any(value for key, value in info.items() if key.lower() in ("etag", "content-md5"))


def _name(url: str) -> str:
    return PurePosixPath(urlsplit(url).path).name or "set"


def _settled(work: Path, target: Path) -> Path:
    """Moves a whole copy into its place, alone there."""
    for old in work.parent.iterdir():
        if old != work and old.is_dir():
            remove(old)
    (work / "whole").rename(target)
    remove(work)
    return target


@dataclass
class _Copy:
    """A copy in work: whole files below ``whole``, begun ones in ``begun``, by number."""

    place: Place
    found: Listing
    scratch: Path
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.work = self.scratch / f"{self.found.version or UNKNOWN}.part"
        self.root = self.work / "whole" / _name(self.place.url)
        self.begun = self.work / "begun"

    def run(self) -> bool:
        """Fetches what is missing; False if what is there changes meanwhile."""
        self.place.stopped.clear()
        for old in self.scratch.glob("*.part"):
            if old != self.work or not self.found.version:
                remove(old)
        self.begun.mkdir(parents=True, exist_ok=True)
        (self.root if self.found.folder else self.root.parent).mkdir(parents=True, exist_ok=True)
        missing = [(number, part) for number, part in enumerate(self.found.parts) if not self._is_whole(part)]
        total = sum(part.size or 0 for part in self.found.parts)
        rest = sum(part.size or 0 for _, part in missing) - sum(file.stat().st_size for file in self.begun.iterdir())
        self._check_room(rest)
        where, some = shown(self.place.url), f"{total / 2**20:,.1f} MiB in {len(self.found.parts):,} files"
        kept = f", {(total - rest) / 2**20:,.1f} MiB of it there" if rest < total else ""
        say(f"fetching {where} ({some}{kept}) into {self.scratch}")
        with track(max(1, total), "fetch", "bytes", total - rest) as progress:
            try:
                self._bring_all(missing, progress)
            except RemoteError:  # of the only kind that comes so far
                return False
        return True

    def _bring_all(self, missing: list[tuple[int, Part]], progress: Progress) -> None:
        connections = self.place.connections

        def bring(job: tuple[int, Part]) -> None:
            with self.place.stopping():
                self._bring(*job, progress)

        pool = ThreadPoolExecutor(connections)
        try:
            with self.place.stopping():
                for _ in in_order(pool, bring, iter(missing), 2 * connections):
                    pass
        finally:
            pool.shutdown(cancel_futures=True)

    def _target(self, part: Part) -> Path:
        return self.root / part.inner if self.found.folder else self.root

    def _is_whole(self, part: Part) -> bool:
        file = self._target(part)
        return file.is_file() and part.size in (None, file.stat().st_size)

    def _bring(self, number: int, part: Part, progress: Progress) -> None:
        """One file, in as many tries as it takes."""
        begun, target = self.begun / str(number), self._target(part)
        target.parent.mkdir(parents=True, exist_ok=True)
        patience = Patience(self.place)
        with naming(begun), begun.open("a+b") as copy:
            while not self.place.stopped.is_set():
                before = copy.seek(0, 2)
                fault = self._read_on(part, copy, patience.chunk, progress.advance) or _shortfall(part, copy)
                if fault is None:
                    break
                if fault.kind is Kind.CHANGED:
                    self._begin_anew(copy, progress.advance)
                    raise fault
                if copy.tell() > before:
                    patience.renew()
                patience.wait(fault)
        if not self.place.stopped.is_set():
            begun.rename(target)

    def _read_on(self, part: Part, copy: Any, chunk: int, advance: Callable[[int], None]) -> RemoteError | None:
        """Appends what is missing; what broke it off, or None."""
        try:
            with closing(self.place.read(part.path, copy.tell(), chunk)) as blocks:
                for data in blocks:
                    copy.write(data)
                    with self.lock:
                        advance(len(data))
                    self._check_room(0)
                    if self.place.stopped.is_set():
                        break
        except FromStartOnlyError:
            self._begin_anew(copy, advance)
            return self._read_on(part, copy, chunk, advance)
        except RemoteError as error:
            return error
        return None

    def _begin_anew(self, copy: Any, advance: Callable[[int], None]) -> None:
        with self.lock:
            advance(-copy.seek(0, 2))
        copy.seek(0)
        copy.truncate()

    def _check_room(self, size: int) -> None:
        free = _free(self.scratch)
        if free < size + SPARE:
            raise BusyError(
                f"{self.place.where}: {size / 2**20:,.0f} MiB are to be fetched into {self.scratch}, and "
                f"{free / 2**20:,.0f} MiB are free there; free some"
            )


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _shortfall(part: Part, copy: Any) -> RemoteError | None:
    """What is wrong with a file that seems to be whole."""
    size = copy.seek(0, 2)
    if part.size is not None and size < part.size:
        return RemoteError(Kind.PASSING, f"it broke off after {size:,} of {part.size:,} bytes")
    wrong = part.size is not None and size > part.size
    for name, told in part.digests().items():
        copy.seek(0)
        wrong |= hashlib.file_digest(copy, name).hexdigest() not in told
    return RemoteError(Kind.CHANGED, "what came is not what its size and checksum say") if wrong else None
