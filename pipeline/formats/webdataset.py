"""WebDataset shards: tar files in which an image and its label follow one another under one key."""

import hashlib
import os
import tarfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO

from pipeline.errors import UserError
from pipeline.formats.base import Item, Stored, Written
from pipeline.formats.encoding import EXTENSIONS
from pipeline.formats.shards import DATA, ShardReader

LABEL = "cls"


class WebDatasetWriter:
    """Writes ``<root>/data/<split>-<part>.tar`` with ``<name>.<ending>`` and ``<name>.cls``, the label's number, in it.

    Nothing in a shard tells of the machine or the time: no owner, and the start of 1970 as the date of every member.

    Args:
        root: the set's folder; made if need be.
        ending: of the images' files, without a dot.
    """

    def __init__(self, root: Path, ending: str) -> None:
        self.root = root
        self._ending = ending
        (root / DATA).mkdir(parents=True, exist_ok=True)

    def write_part(self, number: int, items: Sequence[Item]) -> list[Written]:
        """One shard a part; see :class:`pipeline.formats.base.Writer`."""
        file = f"{DATA}/{items[0].split}-{number:05d}.tar"
        written = []
        with tarfile.open(self.root / file, "w", format=tarfile.USTAR_FORMAT) as shard:
            for item in items:
                add_image(shard, item.name, self._ending, item.content, item.label)
                written.append(Written(file, hashlib.sha256(item.content).hexdigest()))
        return written

    def close(self) -> None:
        """Nothing is left to do: a shard is whole by itself."""


class WebDatasetReader(ShardReader):
    """Finds the images that :class:`WebDatasetWriter` wrote; see :class:`pipeline.formats.base.Reader`."""

    def read(self, file: Path) -> Iterator[Stored]:
        """The images in one shard; a label that is missing is -1."""
        try:
            with (self.root / file).open("rb") as shard:
                yield from _images(_members(shard), file.as_posix())
        except (OSError, ValueError, tarfile.TarError) as error:
            raise UserError(f"{self.root / file}: not a shard that can be read ({error})") from None


def add_image(shard: tarfile.TarFile, name: str, ending: str, content: bytes, label: int) -> None:
    """Writes an image and its label, so that nothing tells of the machine or the time."""
    for member, data in ((f"{name}.{ending}", content), (f"{name}.{LABEL}", str(label).encode())):
        header = tarfile.TarInfo(member)
        header.size = len(data)
        shard.addfile(header, BytesIO(data))


def _members(shard: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Names and contents up to the end mark; only what we write ourselves is read, and no size is believed.

    Raises:
        tarfile.TarError: anything else.
    """
    length = os.fstat(shard.fileno()).st_size
    while (header := shard.read(tarfile.BLOCKSIZE)) != tarfile.NUL * tarfile.BLOCKSIZE:
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        if not member.isreg() or not 0 <= member.size <= length - shard.tell():
            raise tarfile.ReadError(f"{member.name}: no whole file")
        yield member.name, shard.read(member.size)
        shard.seek(-member.size % tarfile.BLOCKSIZE, os.SEEK_CUR)


def _images(members: Iterator[tuple[str, bytes]], file: str) -> Iterator[Stored]:
    endings = set(EXTENSIONS.values())
    name, data = "", None
    for member, content in members:
        stem, _, ending = member.partition(".")
        if ending == LABEL and stem == name and data is not None:
            yield Stored(file, name, int(content), data)
            data = None
        elif ending in endings:
            if data is not None:
                yield Stored(file, name, -1, data)
            name, data = stem, content
    if data is not None:
        yield Stored(file, name, -1, data)
