"""A damaged archive is never taken in part: all its images, or one error."""

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.sources.packing import (
    COMPRESSIONS,
    CONTENT,
    PACKINGS,
    by_library,
    outcome,
    png,
    read,
    tar,
)


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_whole_archive_gives_what_the_library_finds(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.write_bytes(PACKINGS[packing](CONTENT))
    assert read(path) == by_library(path) == CONTENT


@pytest.mark.parametrize("packing", PACKINGS)
def test_an_archive_cut_anywhere_is_refused(packing: str, tmp_path: Path) -> None:
    data = PACKINGS[packing](CONTENT)
    cuts = {*range(0, len(data), max(1, len(data) // 250)), *range(len(data) - 40, len(data))}
    cuts |= {end + step for end in range(0, len(data), 512) for step in (-1, 0, 1) if 0 <= end + step < len(data)}
    members_end = len(CONTENT) * 1024  # one block of header, one of data
    for cut in cuts:
        found = outcome(tmp_path / "set", data[:cut])
        in_end_marker = packing == "tar" and cut >= members_end + 512
        assert (found == "whole") == in_end_marker, f"{cut} of {len(data)}: {found}"


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_damaged_byte_costs_no_image_in_silence(packing: str, tmp_path: Path) -> None:
    data = PACKINGS[packing](CONTENT)
    rng = np.random.default_rng(0)
    places = list(range(len(data)))
    if packing == "tar":  # data have no checksum in a tar: headers and the end
        places = [place for place in places if place % 1024 < 512 or place >= 1024 * len(CONTENT)]
    places = places[:: 1 + len(places) // 500]
    refused = 0
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        refused += outcome(tmp_path / "set", bytes(damaged)) != "whole"
    assert refused > len(places) // 2


@pytest.mark.parametrize("packing", COMPRESSIONS)
def test_streams_one_after_the_other_are_one(packing: str, tmp_path: Path) -> None:
    compress, data = COMPRESSIONS[packing], tar(CONTENT)
    joined = compress(data[:3000]) + compress(data[3000:])
    assert outcome(tmp_path / "set", joined) == "whole"
    assert outcome(tmp_path / "set", joined + bytes(512)) == "whole"  # padding, as tapes and xz have it
    for cut in range(len(compress(data[:3000])), len(joined), 7):
        assert "stream breaks" in outcome(tmp_path / "set", joined[:cut]) or cut == len(compress(data[:3000]))


@pytest.mark.parametrize("packing", COMPRESSIONS)
def test_what_follows_a_stream_is_no_part_of_it(packing: str, tmp_path: Path) -> None:
    whole = COMPRESSIONS[packing](tar(CONTENT))
    for rubbish in (b"x", b"\0\0rubbish" * 50, whole[:20]):
        assert "stream breaks at or before byte" in outcome(tmp_path / "set", whole + rubbish)


@pytest.mark.parametrize("at", [-8, -4])
def test_gzips_checksum_and_length_are_compared(at: int, tmp_path: Path) -> None:
    data = bytearray(gzip.compress(tar(CONTENT)))
    data[at] ^= 1
    assert "gzip stream breaks at or before byte" in outcome(tmp_path / "set", bytes(data))


def test_xzs_checksum_is_compared(tmp_path: Path) -> None:
    noise = {f"{name}/1.png": np.random.default_rng(0).bytes(3000) for name in "ab"}
    data = bytearray(lzma.compress(tar(noise), check=lzma.CHECK_CRC32))
    data[2000] ^= 1  # noise is stored as it is, so that no other damage is seen
    assert "xz stream breaks at or before byte" in outcome(tmp_path / "set", bytes(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither a zip nor a tar"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "a 7z archive; pack the images as a zip or a tar"),
        (gzip.compress(png(1), mtime=0), "damaged: no member's header|damaged: it ends"),
        (bz2.compress(b""), "damaged: it ends at byte 0"),
        (b"\x1f\x8b", "gzip stream breaks"),
        (b"PK\3\4" + bytes(100), "without the end record"),
        (b"x" + tar(CONTENT)[1:], "first header's checksum is wrong"),
    ],
)
def test_what_is_no_archive(data: bytes, message: str, tmp_path: Path) -> None:
    assert message.split("|")[0] in outcome(tmp_path / "set", data) or "|" in message
