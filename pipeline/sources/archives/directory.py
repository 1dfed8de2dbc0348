"""A zip's directory: read by :mod:`zipfile`, then held against what the archive itself declares and holds."""

import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from pipeline.sources.archives.streams import DamagedError, read_at

LOCAL = struct.Struct("<4s5H3L2H")
END = struct.Struct("<4s4H2LH")
LOCATOR64 = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
LONGEST_COMMENT = 2**16 - 1

UTF8_FLAG = 1 << 11
UNICODE_PATH = 0x7075
"""Info-ZIP's extra field with a member's name in UTF-8."""

MADE_ON_DOS = 0
NOT_TOLD = (0, 2**32 - 1)
"""Sizes in the header before a member that was written before its size was known, or that needs zip64."""


class Packed(NamedTuple):
    """One member: its name as the directory has it, where its bytes lie, and what they unpack to."""

    name: str
    offset: int
    packed: int
    size: int
    crc: int
    method: int
    flags: int
    mode: int


def read_directory(file: BinaryIO) -> tuple[list[str], list[Packed]]:
    """Every member's name as ``unzip`` reads it, and the member; folders among them, whose names end with ``/``.

    Raises:
        DamagedError: the directory, or the headers that it points to, are not what they declare.
    """
    count, modulo, begin = _declared(file)
    try:
        members = zipfile.ZipFile(file).infolist()
    except UnicodeDecodeError as error:
        raise DamagedError(f"the name {error.object!r} is marked as UTF-8 and is none") from None
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OSError, OverflowError) as error:
        raise DamagedError(f"its directory at byte {begin:,} cannot be read ({error})") from None
    if len(members) % modulo != count:
        raise DamagedError(f"its directory at byte {begin:,} holds {len(members):,} members and declares {count:,}")
    packed = [_checked(file, member) for member in members]
    _apart(file, members, packed, begin)
    return _names(members), packed


def _declared(file: BinaryIO) -> tuple[int, int, int]:
    """How many members the end record declares, modulo what, and where the directory begins."""
    total = os.fstat(file.fileno()).st_size
    tail_at = max(0, total - END.size - LONGEST_COMMENT)
    tail = read_at(file, total - tail_at, tail_at)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < END.size:
        raise DamagedError(f"it ends at byte {total:,} without the end record of a zip")
    _, disk, first, here, count, size, _, comment = END.unpack_from(tail, at)
    end = tail_at + at
    if end + END.size + comment != total:
        raise DamagedError(
            f"its end record at byte {end:,} says that it ends at {end + END.size + comment:,}, not {total:,}"
        )
    modulo = 2**16  # without zip64, some writers let the count run over
    locator = read_at(file, LOCATOR64.size, max(0, end - LOCATOR64.size))
    if locator.startswith(b"PK\6\7"):
        end -= LOCATOR64.size + END64.size
        record = read_at(file, END64.size, max(0, end))
        if not record.startswith(b"PK\6\6"):
            raise DamagedError(f"its zip64 end record is not at byte {end:,}")
        _, _, _, _, disk, first, here, count, size, _ = END64.unpack(record)
        modulo = 2**64
    if disk or first or here != count:
        raise DamagedError("it is one part of a zip in several files, which have to be joined first (zip -s 0)")
    if size > end:
        raise DamagedError(f"its directory of {size:,} bytes cannot end at byte {end:,}")
    return count, modulo, end - size


def _checked(file: BinaryIO, member: zipfile.ZipInfo) -> Packed:
    """Where the member's bytes begin, by the header before them, which says its name again."""
    name = _raw_name(member)
    header = b""
    if 0 <= member.header_offset < 2**63:
        header = read_at(file, LOCAL.size + len(name), member.header_offset)
    if len(header) < LOCAL.size + len(name) or header[:4] != b"PK\3\4":
        raise DamagedError(f"no member begins at byte {member.header_offset:,}, where {member.filename!r} should")
    *_, size, length, extra = LOCAL.unpack_from(header)
    if length != len(name) or not header.endswith(name):
        raise DamagedError(f"the member at byte {member.header_offset:,} has another name than {member.filename!r}")
    if size not in (member.file_size, *NOT_TOLD):
        raise DamagedError(
            f"{member.filename!r} has {size:,} bytes by its header and {member.file_size:,} by the directory"
        )
    return Packed(
        member.filename,
        member.header_offset + len(header) + extra,
        member.compress_size,
        member.file_size,
        member.CRC,
        member.compress_type,
        member.flag_bits,
        member.external_attr >> 16,
    )


def _apart(file: BinaryIO, members: Sequence[zipfile.ZipInfo], packed: Sequence[Packed], end: int) -> None:
    """Members lie one after the other, before the directory; the first at the beginning, unless a program is there."""
    order = sorted(range(len(members)), key=lambda index: members[index].header_offset)
    begins = [members[index].header_offset for index in order] + [end]
    if begins[0] and read_at(file, 4, 0) == b"PK\3\4":
        raise DamagedError(f"its first {begins[0]:,} bytes are in no member of its directory, as when two are joined")
    for index, following in zip(order, begins[1:], strict=True):
        member = packed[index]
        if member.offset + member.packed > following:
            raise DamagedError(f"{member.name!r} reaches beyond byte {following:,}, where what follows it begins")


def _names(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The members' names in UTF-8, bytes that are none as surrogates; with ``/``, as :func:`_slashed` has it."""
    names = [member.orig_filename if member.orig_filename.isascii() else _name(member) for member in members]
    if any("\0" in name for name in names):
        raise DamagedError(f"the name {next(name for name in names if chr(0) in name)!r} has a NUL in it")
    flat = not any("/" in name for name in names)
    return [
        name.replace("\\", "/") if flat or (member.create_system == MADE_ON_DOS and "/" not in name) else name
        for name, member in zip(names, members, strict=True)
    ]


def _name(member: zipfile.ZipInfo) -> str:
    if member.flag_bits & UTF8_FLAG:
        return member.orig_filename
    raw = _raw_name(member)
    return _unicode_path(member.extra, raw) or raw.decode("utf-8", "surrogateescape")


def _raw_name(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode("utf-8" if member.flag_bits & UTF8_FLAG else "cp437")


def _unicode_path(extra: bytes, name: bytes) -> str:
    """What Info-ZIP's extra field says, if it is about this very name; else nothing."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(name)):
            return field[5:].decode("utf-8", "surrogateescape")
    return ""
