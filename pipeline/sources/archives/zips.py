"""Images in a zip."""

import math
import stat
import struct
import weakref
import zlib
from bz2 import BZ2Decompressor
from collections.abc import Callable, Iterator
from functools import partial
from lzma import FORMAT_ALONE, LZMADecompressor
from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources.archives.directory import Packed, read_directory
from pipeline.sources.archives.members import LONGEST_NAME, Members, damaged
from pipeline.sources.archives.streams import CHUNK, MOST_MEMORY, DamagedError, Decompressor, Inflate, read_at, unpacked
from pipeline.sources.base import HEAD_BYTES, MAX_FILE_BYTES, BadImageError, Payload
from pipeline.sources.layout import Arrange, arrange
from pipeline.sources.walk import SPECIAL

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
ENCRYPTED = 1
LZMA_WITH_END = 1 << 1
MOST_UNPACKED = {STORED: 1, DEFLATED: 1032}
"""Bytes that one byte can unpack to."""


class ZipSource:
    """A zip archive, read member by member. Each is held against its size and checksum."""

    apart = True

    def __init__(self, path: Path, arrange: Arrange = arrange) -> None:
        self._path = path
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        try:
            names, packed = read_directory(self._file)
        except DamagedError as error:
            raise damaged(str(path), str(error)) from None
        members = Members[Packed](str(path), arrange)
        for name, member in zip(names, packed, strict=True):
            if name.endswith("/"):
                members.folder(name)
            else:
                self._add(members, name, member)
        self.listing, self._members = members.arranged(self._head)

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`.

        A member that is not what the directory says raises :class:`UserError`: the archive is damaged, not an image.
        """
        for index, member in enumerate(self._members):
            yield index, partial(self._read, member)

    def _add(self, members: Members[Packed], name: str, member: Packed) -> None:
        if member.flags & ENCRYPTED:
            raise UserError(f"data.path: {self._path}: the archive is encrypted; unpack it and use source: folder")
        if member.method not in (STORED, DEFLATED, BZIP2, LZMA):
            raise UserError(
                f"data.path: {self._path}: {member.name!r} is packed by method {member.method}, which cannot be read "
                "here; unpack it and use source: folder, or pack it again with deflate"
            )
        if stat.S_ISLNK(member.mode):
            members.link(name, self._target(member))
        elif not member.size and stat.S_IFMT(member.mode) not in (0, stat.S_IFREG):
            members.lose(name, SPECIAL)
        else:
            members.add(name, member)

    def _target(self, member: Packed) -> str:
        target = self._read(member) if member.size <= LONGEST_NAME else b"\0"
        if not target or b"\0" in target:
            raise damaged(str(self._path), f"{member.name!r} is marked as a link and holds no path")
        return target.decode("utf-8", "surrogateescape")

    def _head(self, member: Packed) -> bytes:
        """A whole image has to stand behind the first bytes that tell what it is."""
        if member.size <= MAX_FILE_BYTES:
            return self._read(member)[:HEAD_BYTES]
        return next(self._unpacked(member), b"")[:HEAD_BYTES]

    def _read(self, member: Packed, limit: int = MAX_FILE_BYTES + 1) -> bytes:
        """The member's bytes; up to twice their size is held while they are put together."""
        if MAX_FILE_BYTES >= member.size >= limit:
            raise BadImageError("too large", f"not less than {limit:,} bytes")
        if member.size > MAX_FILE_BYTES:
            if member.size > member.packed * MOST_UNPACKED.get(member.method, math.inf):
                raise self._broken(member, f"{member.packed:,} bytes cannot unpack to {member.size:,}")
            raise BadImageError("too large", f"more than {MAX_FILE_BYTES // 2**20} MiB")
        data = b"".join(self._unpacked(member))
        if len(data) != member.size or zlib.crc32(data) != member.crc:
            raise self._broken(member, "its size or checksum is wrong")
        return data

    def _unpacked(self, member: Packed) -> Iterator[bytes]:
        """At most one piece more than the member's declared size."""
        packed = self._packed(member)
        more = partial(next, packed, b"")
        try:
            if member.method == STORED:
                pieces = packed
            else:
                pieces = unpacked(_decompressor(member), _lzma_header(member, more), more)
            total = 0
            for piece in pieces:
                yield piece
                total += len(piece)
                if total > member.size:
                    return
        except DamagedError as error:
            raise self._broken(member, str(error)) from None

    def _packed(self, member: Packed) -> Iterator[bytes]:
        offset, end = member.offset, member.offset + member.packed
        while offset < end:
            piece = read_at(self._file, min(CHUNK, end - offset), offset)
            if not piece:
                return
            yield piece
            offset += len(piece)

    def _broken(self, member: Packed, what: str) -> UserError:
        return damaged(str(self._path), f"the member {member.name!r} at byte {member.offset:,}: {what}")


def _decompressor(member: Packed) -> Decompressor:
    if member.method == DEFLATED:
        return Inflate(-15)
    return BZ2Decompressor() if member.method == BZIP2 else LZMADecompressor(FORMAT_ALONE, memlimit=MOST_MEMORY)


def _lzma_header(member: Packed, more: Callable[[], bytes]) -> bytes:
    """The header of a file in LZMA's own format, which a zip spells otherwise, and what follows it."""
    if member.method != LZMA:
        return b""
    start = more()
    if len(start) < 9 or start[2:4] != b"\5\0":
        raise DamagedError("its LZMA header is cut or unknown")
    size = 2**64 - 1 if member.flags & LZMA_WITH_END else member.size
    return start[4:9] + struct.pack("<Q", size) + start[9:]
