"""Archives for the tests: whole ones by the standard library, and odd ones by hand, byte by byte."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipeline.errors import UserError
from pipeline.params import DataParams
from pipeline.sources import Source, open_source

Files = dict[str, bytes]


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), level).save(file, "PNG")
    return file.getvalue()


CONTENT: Files = {f"set/{name}/{i}.png": png(40 * i + ord(name)) for name in "abc" for i in range(2)}


def opened(path: Path) -> Source:
    return open_source(DataParams(source="archive", path=str(path)), Path("/"))


def read(path: Path) -> Files:
    """What the source gives, every image of it."""
    source = opened(path)
    found = {source.listing.paths[index]: data() for index, data in source.images()}
    assert len(found) == len(source.listing)
    return found


def by_library(path: Path) -> dict[str, bytes]:
    """What the standard library finds in a whole archive."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as archive:
        files = ((info.name, archive.extractfile(info)) for info in archive if info.isfile())
        return {name: file.read() for name, file in files if file}


def outcome(path: Path, data: bytes) -> str:
    """``whole`` or the error; anything else fails."""
    path.write_bytes(data)
    try:
        found = read(path)
    except UserError as error:
        return str(error)
    assert found == CONTENT
    return "whole"


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, target
    return info


def tar(content: Files, *more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A plain tar of ``content``, then what ``more`` gives."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in content.items():
            archive.addfile(member(name, len(data)), io.BytesIO(data))
        for info, data in more:
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def blocks(*parts: bytes) -> bytes:
    """Parts of a tar, each filled up to whole blocks, and the end marker."""
    return b"".join(part + bytes(-len(part) % 512) for part in parts) + bytes(1024)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    return member(name, size, kind).tobuf(tarfile.GNU_FORMAT)


def zipped(content: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


PACKINGS: dict[str, Callable[[Files], bytes]] = {
    "tar": tar,
    "tar.gz": lambda content: gzip.compress(tar(content), mtime=0),
    "tar.bz2": lambda content: bz2.compress(tar(content)),
    "tar.xz": lambda content: lzma.compress(tar(content)),
    "zip": zipped,
    "stored zip": lambda content: zipped(content, zipfile.ZIP_STORED),
}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@dataclass
class Entry:
    """A zip's member as it is written, true or not. ``name`` may differ before its data (``local``)."""

    name: bytes
    data: bytes
    method: int = 0
    size: int | None = None
    crc: int | None = None
    flags: int = 0
    system: int = 3
    mode: int = 0o100644
    extra: bytes = b""
    local: bytes | None = None
    offset: int | None = None
    packed: bytes | None = None


def raw_zip(entries: Iterable[Entry], count: int | None = None, disk: int = 0) -> bytes:
    """A zip by hand, after PKWARE's APPNOTE 4.3.7, 4.3.12 and 4.3.16."""
    body, directory, end = [], [], 0
    for entry in entries:
        data = entry.data if entry.packed is None else entry.packed
        size = len(entry.data) if entry.size is None else entry.size
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        local = entry.name if entry.local is None else entry.local
        common = struct.pack("<4H3L", entry.flags, entry.method, 0, 33, crc, len(data), size)
        at = end if entry.offset is None else entry.offset
        tail = struct.pack("<5H2L", len(entry.name), len(entry.extra), 0, 0, 0, entry.mode << 16, at)
        made = b"PK\1\2" + struct.pack("<BBH", 20, entry.system, 20)
        directory.append(made + common + tail + entry.name + entry.extra)
        body.append(b"PK\3\4\x14\0" + common + struct.pack("<2H", len(local), 0) + local + data)
        end += len(body[-1])
    listed = b"".join(directory)
    shown = (len(directory) if count is None else count) % 2**16
    return b"".join(body) + listed + struct.pack("<4s4H2LH", b"PK\5\6", disk, disk, shown, shown, len(listed), end, 0)
