"""WebDataset shards: tar files in which an image and its label follow one another under one key."""

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO

from pipeline.errors import UserError
from pipeline.formats.base import Item, Stored, Written
from pipeline.formats.encoding import EXTENSIONS, Encoding, encode
from pipeline.formats.shards import DATA, ShardReader

LABEL = "cls"


class WebDatasetWriter:
    """Writes ``<root>/data/<split>-<part>.tar`` with ``<name>.<ending>`` and ``<name>.cls``, the label's number, in it.

    Nothing in a shard tells of the machine or the time: no owner, and the start of 1970 as the date of every member.

    Args:
        root: the set's folder; made if need be.
        encoding: of the images.
    """

    def __init__(self, root: Path, encoding: Encoding) -> None:
        self.root = root
        self._encoding = encoding
        (root / DATA).mkdir(parents=True, exist_ok=True)

    def write_part(self, number: int, items: Sequence[Item]) -> list[Written]:
        """One shard a part; see :class:`pipeline.formats.base.Writer`."""
        file = f"{DATA}/{items[0].split}-{number:05d}.tar"
        written = []
        with tarfile.open(self.root / file, "w", format=tarfile.USTAR_FORMAT) as shard:
            for item in items:
                content = encode(item.image, self._encoding, item.xmp)
                _add(shard, f"{item.name}.{self._encoding.extension}", content)
                _add(shard, f"{item.name}.{LABEL}", str(item.label).encode())
                written.append(Written(file, hashlib.sha256(content).hexdigest()))
        return written

    def close(self) -> None:
        """Nothing is left to do: a shard is whole by itself."""


class WebDatasetReader(ShardReader):
    """Finds the images that :class:`WebDatasetWriter` wrote; see :class:`pipeline.formats.base.Reader`."""

    def read(self, file: Path) -> Iterator[Stored]:
        """The images in one shard; a label that is missing is -1."""
        try:
            with tarfile.open(self.root / file, "r:") as shard:
                yield from _images(shard, file.as_posix())
        except (OSError, ValueError, tarfile.TarError) as error:
            raise UserError(f"{self.root / file}: not a shard that can be read ({error})") from None


def _add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, BytesIO(content))


def _images(shard: tarfile.TarFile, file: str) -> Iterator[Stored]:
    endings = set(EXTENSIONS.values())
    name, data = "", None
    for member in shard:
        stem, _, ending = member.name.partition(".")
        if ending == LABEL and stem == name and data is not None:
            yield Stored(file, name, int(_content(shard, member)), data)
            data = None
        elif ending in endings:
            if data is not None:
                yield Stored(file, name, -1, data)
            name, data = stem, _content(shard, member)
    if data is not None:
        yield Stored(file, name, -1, data)


def _content(shard: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content: IO[bytes] | None = shard.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name} is no file")
    return content.read()
