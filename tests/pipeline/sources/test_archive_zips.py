"""Zips: what the directory declares is what has to be there."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.sources.archives.members import ARCHIVE
from tests.pipeline.sources.packing import (
    CONTENT,
    Entry,
    by_library,
    opened,
    outcome,
    png,
    raw_zip,
    read,
    tar,
    zipped,
)

ENTRIES = [Entry(name.encode(), data) for name, data in CONTENT.items()]


def with_end(data: bytes, field: int, value: int) -> bytes:
    """The zip with another value in its end record, by the field's offset."""
    end = bytearray(data[-22:])
    struct.pack_into("<H", end, field, value)
    return data[:-22] + bytes(end)


ZIP = zipped(CONTENT)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (raw_zip(ENTRIES, count=5), "holds 6 members and declares 5"),
        (raw_zip(ENTRIES, count=7), "holds 6 members and declares 7"),
        (ZIP[:-22], "ends at byte .* without the end record of a zip"),
        (ZIP[:-3], "without the end record"),
        (ZIP + b"rubbish", "end record at byte .* says that it ends at"),
        (with_end(ZIP, 20, 9), "end record at byte .* says that it ends at"),
        (ZIP + ZIP, "its first .* bytes are in no member of its directory, as when two are joined"),
        (raw_zip(ENTRIES, disk=1), "one part of a zip in several files"),
        (raw_zip([*ENTRIES, Entry(b"set/c/9.png", png(9), offset=10**6)]), "no member begins at byte 1,000,000"),
        (raw_zip([*ENTRIES, Entry(b"set/a/0.png", png(9), offset=0)]), "'set/a/0.png' reaches beyond byte 0"),
        (raw_zip([*ENTRIES, Entry(b"set/c/9.png", png(9), local=b"set/c/8.png")]), "has another name"),
        (raw_zip([Entry(b"set/a/0.png", png(9), packed=b"x" * 999), *ENTRIES])[500:], "no member begins"),
        (raw_zip([*ENTRIES, Entry(b"set/c/9.png", png(9), crc=1)]), "at byte .*size or checksum is wrong"),
        (raw_zip([*ENTRIES, Entry(b"set/c/9.png", png(9), size=10)]), "size or checksum is wrong"),
        (raw_zip([*ENTRIES, Entry(b"set/c/9.png", png(9), size=1000)]), "size or checksum is wrong"),
        (raw_zip([*ENTRIES, Entry(b"set/c/9.png", png(9), method=8)]), "'set/c/9.png' at byte .*Error -3"),
        (raw_zip([*ENTRIES, Entry(b"set/c/9.png", png(9), method=9)]), "packed by method 9.*; unpack it"),
        (raw_zip([*ENTRIES, Entry(b"set/c/9.png", png(9), flags=1)]), "encrypted; unpack it"),
        (raw_zip([*ENTRIES, Entry(b"set/c/9.png", zlib.compress(png(9))[2:-20], method=8)]), "at byte .*"),
    ],
)  # fmt: skip
def test_a_zip_that_is_not_whole(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        read(path)


def test_a_zip_by_hand_is_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.write_bytes(raw_zip(ENTRIES))
    assert read(path) == by_library(path) == CONTENT


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_of_the_library(method: int, tmp_path: Path) -> None:
    large = {f"{name}/1.png": np.random.default_rng(ord(name)).bytes(700_000) + bytes(700_000) for name in "ab"}
    path = tmp_path / "set"
    path.write_bytes(zipped(large, method))
    assert read(path) == large


def test_a_zip_behind_a_program_with_a_comment_and_zip64(tmp_path: Path) -> None:
    file = io.BytesIO(b"#!/bin/sh\nexit 1\n")
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"PK in a comment"
        for name, data in CONTENT.items():
            with archive.open(name, "w", force_zip64=True) as out:
                out.write(data)
    assert outcome(tmp_path / "set", file.getvalue()) == "whole"


@pytest.mark.parametrize("zip64", [True, False])
def test_more_members_than_the_end_record_can_count(zip64: bool, tmp_path: Path) -> None:
    folders = [Entry(b"f%d/" % number, b"") for number in range(2**16)]
    data = raw_zip(folders + ENTRIES)
    if zip64:
        body, end = data[:-22], data[-22:]
        count, (size, begin) = len(folders) + len(ENTRIES), struct.unpack("<2L", end[12:20])
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, begin)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1)
        data = body + record + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, size, begin, 0)
    assert outcome(tmp_path / "set", data) == "whole"


def test_a_zip_inside_a_tar_makes_it_no_zip(tmp_path: Path) -> None:
    inner = zipped({"other/x/1.png": png(1), "other/y/1.png": png(2)}, zipfile.ZIP_STORED)
    path = tmp_path / "set"
    path.write_bytes(tar({**CONTENT, "set/more.zip": inner}))
    assert zipfile.is_zipfile(path)
    assert read(path) == CONTENT
    assert opened(path).listing.ignored[ARCHIVE] == 1
