"""A tar's headers, member by member, up to its end marker.

:mod:`tarfile` parses each header; it does not walk here, because it takes whatever it cannot read for the end.
"""

import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from pipeline.sources.archives.streams import CHUNK, DamagedError, read_at

BLOCK = tarfile.BLOCKSIZE
ZEROS = bytes(BLOCK)
AHEAD = 2**12
MOST_EXTENDED = 2**20
"""Bytes of one extended header: long names, attributes, access lists."""

SPARSE_PREFIX = "GNU.sparse."
LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE)
WITHOUT_DATA = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)


class Reader(Protocol):
    """Bytes by position; the walk asks for each position once, and never goes back."""

    @property
    def end(self) -> int:
        """Where the bytes end, once they were read up to there."""
        ...

    def at(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``, or as many as there are."""
        ...


class Plain:
    """A :class:`Reader` of a file as it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._piece = b""
        self._start = 0
        self.end = os.fstat(file.fileno()).st_size

    def at(self, offset: int, size: int) -> bytes:
        """See :class:`Reader`."""
        begin = offset - self._start
        if begin + size > len(self._piece):
            if offset >= self.end:
                return b""
            self._piece = read_at(self._file, max(size, AHEAD), offset)
            self._start, begin = offset, 0
        return self._piece[begin : begin + size]


def walk(reader: Reader) -> Iterator[tarfile.TarInfo]:
    """Every member's header with names and size from the extended headers before it, and ``offset_data``.

    A tar has to end with a block of zeros, so that none of its members can be missing, and with nothing but zeros
    after it. (GNU tar also takes one that just ends, and stops at the zeros whatever follows.)

    Raises:
        DamagedError: it ends early or goes on after its end, or a header is damaged or says what cannot be.
    """
    last = ""
    shared: dict[str, bytes] = {}  # of global extended headers
    own: dict[str, bytes] = {}  # of those before the next member
    offset = 0
    while (block := _block(reader, offset, last)) != ZEROS:
        info = _header(block, offset, last)
        offset += BLOCK
        if info.type in LONG or info.type in PAX:
            data = _extended(reader, info, offset)
            records = {LONG[info.type]: data.split(b"\0")[0]} if info.type in LONG else _records(data, offset)
            (shared if info.type == tarfile.XGLTYPE else own).update(records)
            offset += _padded(info.size)
            continue
        _extend(info, {**shared, **own}, offset)
        own = {}
        info.offset_data = offset
        yield info
        last = info.name
        if info.type not in WITHOUT_DATA:
            offset += _padded(info.size)
    if own:
        raise DamagedError(f"no member follows the extended header before byte {offset:,}{_after(last)}")
    _ends(reader, offset, last)


def is_header(block: bytes) -> bool:
    """Whether a tar can begin with this; an empty one begins with zeros."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return block == ZEROS
    return True


def _block(reader: Reader, offset: int, last: str) -> bytes:
    block = reader.at(offset, BLOCK)
    if len(block) == BLOCK:
        return block
    if reader.end < offset:
        raise DamagedError(f"it ends at byte {reader.end:,}, within {last!r}, which should reach to byte {offset:,}")
    raise DamagedError(f"it ends at byte {reader.end:,} without the end marker of a tar{_after(last)}")


def _header(block: bytes, offset: int, last: str) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise DamagedError(f"no member's header is at byte {offset:,}{_after(last)} ({error})") from None
    if info.size < 0:
        raise DamagedError(
            f"the header at byte {offset:,}{_after(last)} gives {info.name!r} a size of {info.size:,} bytes"
        )
    return info


def _extended(reader: Reader, info: tarfile.TarInfo, offset: int) -> bytes:
    if info.size > MOST_EXTENDED:
        raise DamagedError(f"an extended header of {info.size:,} bytes is at byte {offset:,}, which none can be")
    return reader.at(offset, info.size)


def _records(data: bytes, offset: int) -> dict[str, bytes]:
    """What matters of a pax header's records, each ``<length> <key>=<value>\\n``."""
    records: dict[str, bytes] = {}
    begin = 0
    while begin < len(data):
        length, space, _ = data[begin : begin + 20].partition(b" ")
        end = begin + int(length) if length.isdigit() else 0
        key, equals, value = data[begin + len(length) + 1 : end].partition(b"=")
        if not space or not equals or end > len(data) or not value.endswith(b"\n"):
            raise DamagedError(f"the extended header at byte {offset:,} has a record that cannot be read")
        name = key.decode("utf-8", "replace")
        if name in ("path", "linkpath", "size") or name.startswith(SPARSE_PREFIX):
            records[name if "." not in name else SPARSE_PREFIX] = value[:-1]
        begin = end
    return records


def _extend(info: tarfile.TarInfo, records: dict[str, bytes], offset: int) -> None:
    """Replaces what the header itself says; an empty record takes an earlier one back."""
    if path := records.get("path"):
        info.name = path.decode("utf-8", "surrogateescape")
    if target := records.get("linkpath"):
        info.linkname = target.decode("utf-8", "surrogateescape")
    if size := records.get("size"):
        if not size.isdigit() or len(size) > 20:
            raise DamagedError(f"the extended header before byte {offset:,} gives {info.name!r} a size that is none")
        info.size = int(size)
    if SPARSE_PREFIX in records:
        info.type = tarfile.GNUTYPE_SPARSE


def _ends(reader: Reader, offset: int, last: str) -> None:
    """Reads to the very end, where a compressed stream has its checksum."""
    while piece := reader.at(offset, CHUNK):
        if piece.strip(b"\0"):
            junk = offset + len(piece) - len(piece.lstrip(b"\0"))
            raise DamagedError(
                f"it goes on at byte {junk:,}, behind its end marker{_after(last)}, as when two are joined "
                "(tar --ignore-zeros unpacks both)"
            )
        offset += len(piece)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _after(last: str) -> str:
    return f", after the member {last!r}" if last else ""
