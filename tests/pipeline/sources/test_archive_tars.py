"""Tars: every header is read, or the archive is refused."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from pipeline.errors import UserError
from tests.pipeline.sources.packing import (
    COMPRESSIONS,
    CONTENT,
    blocks,
    header,
    member,
    opened,
    outcome,
    read,
    tar,
)


@pytest.mark.parametrize("packing", ["tar", *COMPRESSIONS])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tar(CONTENT)[: 1024 * len(CONTENT)], "ends at byte 6,144 without the end marker of a tar, after .*c/1.png"),
        (tar(CONTENT)[:2048] + bytes(512) + tar(CONTENT)[2048:], r"goes on at byte 2,560, behind its end marker"),
        (tar(CONTENT) + tar(CONTENT), "goes on at byte 10,240, behind its end marker.* as when two are joined"),
        (tar(CONTENT)[:2048] + b"x" + tar(CONTENT)[2049:], r"no member's header is at byte 2,048.* \(bad checksum\)"),
        (tar(CONTENT)[:-2000] + b"rubbish" + bytes(1993), "goes on at byte 8,240, behind its end marker"),
    ],
    ids=["no end", "zeros between", "two joined", "damaged header", "rubbish behind"],
)
def test_a_tar_that_is_not_whole(packing: str, data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.write_bytes(COMPRESSIONS.get(packing, bytes)(data))
    with pytest.raises(UserError, match=message):
        opened(path)


@pytest.mark.parametrize("ending", [bytes(512), bytes(1024), bytes(100_000)])
def test_a_tar_may_end_with_one_block_of_zeros_or_many(ending: bytes, tmp_path: Path) -> None:
    assert outcome(tmp_path / "set", tar(CONTENT)[: 1024 * len(CONTENT)] + ending) == "whole"


def sized(size: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header with these twelve bytes as its size."""
    block = bytearray(header("set/c/9.png", 0, kind))
    block[124:136], block[148:156] = size, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def base256(size: int) -> bytes:
    return bytes([128 if size >= 0 else 255]) + size.to_bytes(11, "big", signed=True)


def pax(*records: bytes) -> bytes:
    data = b"".join(records)
    return header("pax", len(data), tarfile.XHDTYPE) + data + bytes(-len(data) % 512)


def record(key: str, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    return b"%d %s=%s\n" % (size + len(str(size + len(str(size)))), key.encode(), value)


ABSURD = {
    "2**40": (sized(base256(2**40)), "ends at byte"),
    "2**62": (sized(base256(2**62)), "ends at byte"),
    "2**80": (sized(base256(2**80)), "ends at byte"),
    "negative": (sized(base256(-(10**6))), "-1,000,000 bytes"),
    "words": (sized(b"many bytes\0\0"), "no member's header is at byte"),
    "long name of 2**40": (sized(base256(2**40), tarfile.GNUTYPE_LONGNAME), "extended header of 1,099,511,627,776"),
    "pax of 2**33": (sized(base256(2**33), tarfile.XHDTYPE), "extended header of 8,589,934,592"),
    "negative pax": (sized(base256(-512), tarfile.XHDTYPE), "-512 bytes"),
    "pax size of words": (pax(record("size", b"many")) + header("set/c/9.png", 0), "a size that is none"),
    "negative pax size": (pax(record("size", b"-512")) + header("set/c/9.png", 0), "a size that is none"),
    "pax size of 5000 digits": (pax(record("size", b"9" * 5000)) + header("set/c/9.png", 0), "a size that is none"),
    "no record": (pax(b"rubbish") + header("set/c/9.png", 0), "a record that cannot be read"),
    "record beyond the end": (pax(b"99 path=x\n") + header("set/c/9.png", 0), "a record that cannot be read"),
    "record of no length": (pax(b"0 path=x\n") + header("set/c/9.png", 0), "a record that cannot be read"),
    "name with NUL": (pax(record("path", b"set/c/9.png\0.txt")) + header("x", 0), "has a NUL in it"),
    "name of 9000 letters": (pax(record("path", b"x" * 9000)) + header("x", 0), "more than 4,096 characters"),
    "pax before nothing": (pax(record("path", b"x")), "no member follows the extended header"),
    "sparse map of words": (
        pax(record("GNU.sparse.major", b"1"), record("GNU.sparse.minor", b"0")) + header("x", 512) + b"words\n" * 80,
        "sparse file, which is not read here",
    ),
    "old sparse": (header("x", 512, tarfile.GNUTYPE_SPARSE), "sparse file, which is not read here"),
    "another volume": (header("x", 512, b"M"), "one volume of several"),
}


@pytest.mark.parametrize("packing", ["tar", "gz"])
@pytest.mark.parametrize("case", ABSURD)
def test_a_tar_header_that_cannot_be(case: str, packing: str, tmp_path: Path) -> None:
    absurd, message = ABSURD[case]
    data = tar(CONTENT)[: 1024 * len(CONTENT)] + blocks(absurd, bytes(512))
    path = tmp_path / "set"
    path.write_bytes(COMPRESSIONS.get(packing, bytes)(data))
    with pytest.raises(UserError, match=message):
        opened(path)


def test_extended_headers_say_name_and_size(tmp_path: Path) -> None:
    name = "set/c/" + "x" * 200 + ".png"
    entry = (member(name, 3), b"abc")
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form, pax_headers={"comment": "global"}) as archive:
            for info, data in (entry, (member("set/b/1.png", 2), b"de")):
                archive.addfile(info, io.BytesIO(data))
        (tmp_path / "set").write_bytes(file.getvalue())
        assert read(tmp_path / "set") == {name: b"abc", "set/b/1.png": b"de"}
    sized_by_pax = blocks(pax(record("size", b"600")), header("set/c/9.png", 0), b"y" * 600)
    (tmp_path / "set").write_bytes(tar(CONTENT)[: 1024 * len(CONTENT)] + sized_by_pax)
    assert read(tmp_path / "set")["set/c/9.png"] == b"y" * 600


def test_thousands_of_extended_headers_before_one_member(tmp_path: Path) -> None:
    data = pax(record("comment", b"x")) * 5000 + tar(CONTENT)
    assert outcome(tmp_path / "set", gzip.compress(data)) == "whole"
