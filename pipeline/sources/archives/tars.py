"""Images in a tar, as it is or compressed."""

import tarfile
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.sources.archives.headers import Plain, Reader, walk
from pipeline.sources.archives.members import Members, damaged
from pipeline.sources.archives.streams import DamagedError, Spool, Stream, read_at
from pipeline.sources.base import HEAD_BYTES, MAX_FILE_BYTES, BadImageError, Listing, Payload
from pipeline.sources.layout import Arrange, arrange
from pipeline.sources.walk import SPECIAL

UNKNOWN = "of a kind that is not known"
FOLDERS = (tarfile.DIRTYPE, b"D")
LABEL = b"V"


class Extent(NamedTuple):
    """Where a member's bytes lie, and the first of them."""

    offset: int
    size: int
    head: bytes


class TarSource:
    """A plain tar, read at the members' offsets."""

    def __init__(self, path: Path, arrange: Arrange = arrange) -> None:
        self._path = path
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self.listing, self._extents = _listed(path, Plain(self._file), arrange)

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        for index, (offset, size) in enumerate(self._extents):
            yield index, partial(self._read, offset, size)

    def _read(self, offset: int, size: int) -> bytes:
        if size > MAX_FILE_BYTES:
            raise _too_large()
        try:
            data = read_at(self._file, size, offset)
        except DamagedError as error:
            raise damaged(str(self._path), str(error)) from None
        if len(data) < size:
            raise damaged(str(self._path), f"it ends at byte {offset + len(data):,}, after it was whole before")
        return data


class TarStreamSource:
    """A compressed tar, which can only be read from its beginning: once for the names, once for the images."""

    def __init__(self, path: Path, arrange: Arrange = arrange) -> None:
        self._path = path
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self.listing, self._extents = _listed(path, Stream(self._file), arrange)

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`. The order is the stream's."""
        stream, spool = Stream(self._file), Spool()
        last = (-1, -1)
        read: Callable[[], bytes] = _too_large_image
        try:
            for index in sorted(range(len(self._extents)), key=self._extents.__getitem__):
                if self._extents[index] != last:  # else a link to it
                    offset, size = last = self._extents[index]
                    read = spool.keep(stream.pieces(offset, size), size) if size <= MAX_FILE_BYTES else _too_large_image
                yield index, read
        except DamagedError as error:
            raise damaged(str(self._path), str(error)) from None


def _listed(path: Path, reader: Reader, arrange: Arrange) -> tuple[Listing, list[tuple[int, int]]]:
    """The listing, and where each of its images lies in what ``reader`` reads.

    Raises:
        UserError: damaged, of a kind that cannot be read, or without classes of images.
    """
    members = Members[Extent](str(path), arrange)
    try:
        for info in walk(reader):
            _add(members, info, reader, str(path))
    except DamagedError as error:
        unit = " (bytes of the unpacked tar)" if isinstance(reader, Stream) else ""
        raise damaged(str(path), f"{error}{unit}") from None
    listing, extents = members.arranged(lambda extent: extent.head)
    return listing, [(extent.offset, extent.size) for extent in extents]


def _add(members: Members[Extent], info: tarfile.TarInfo, reader: Reader, where: str) -> None:
    if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
        head = reader.at(info.offset_data, min(HEAD_BYTES, info.size))
        members.add(info.name, Extent(info.offset_data, info.size, head))
    elif info.type == tarfile.LNKTYPE:
        members.hard_link(info.name, info.linkname)
    elif info.type == tarfile.SYMTYPE:
        members.link(info.name, info.linkname)
    elif info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        members.lose(info.name, SPECIAL)
    elif info.type == tarfile.GNUTYPE_SPARSE:
        raise _unreadable(where, f"{info.name!r} is stored as a sparse file, which is not read here")
    elif info.type == b"M":
        raise _unreadable(where, f"it is one volume of several: {info.name!r} goes on from another")
    elif info.type in FOLDERS:
        members.folder(info.name)
    elif info.type != LABEL:
        members.lose(info.name, UNKNOWN)


def _unreadable(where: str, what: str) -> UserError:
    return UserError(f"data.path: {where}: {what}; unpack it and use source: folder, or pack it again as a plain tar")


def _too_large() -> BadImageError:
    return BadImageError("too large", f"more than {MAX_FILE_BYTES // 2**20} MiB")


def _too_large_image() -> bytes:
    raise _too_large()
