"""Memory stays bounded, whatever an archive unpacks to."""

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.sources import BadImageError
from tests.pipeline.sources.packing import COMPRESSIONS, CONTENT, Entry, header, member, opened, png, raw_zip, tar

MIB = 2**20
LARGE = 24 * MIB
ENTRIES = [Entry(name.encode(), data) for name, data in CONTENT.items()]


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Fails if more than ``size`` bytes are held at any time."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size, f"{peak / MIB:.1f} MiB"


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


def zip_lzma(data: bytes) -> bytes:
    """As zipfile writes it, with an end mark."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x", data)
        info = archive.infolist()[0]
    return file.getvalue()[31 : 31 + info.compress_size]


@pytest.mark.parametrize(("method", "pack"), [(8, raw_deflate), (12, bz2.compress), (14, zip_lzma)])
def test_a_member_that_unpacks_to_more_than_it_says(
    method: int, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    bomb = Entry(b"set/c/9.png", png(1), method=method, packed=pack(bytes(LARGE)), flags=2 if method == 14 else 0)
    path = tmp_path / "set"
    path.write_bytes(raw_zip([*ENTRIES, bomb]))
    with at_most(12 * MIB):  # LZMA's window is 8 MiB
        source = opened(path)
        reads = list(source.images())
        with pytest.raises(UserError, match="size or checksum is wrong"):
            reads[-1][1]()


def test_members_that_say_that_they_are_huge(tmp_path: Path) -> None:
    """Forty members of 300 MiB each, as a zip may declare in a few hundred kB."""
    packed = raw_deflate(bytes(MIB)) * 300
    bombs = [Entry(b"set/d/%d.png" % i, b"", method=8, packed=packed, size=300 * MIB) for i in range(40)]
    path = tmp_path / "set"
    path.write_bytes(raw_zip([*ENTRIES, *bombs]))
    with at_most(2 * MIB):
        reads = dict(opened(path).images())
        for index in range(len(CONTENT), len(reads)):
            with pytest.raises(BadImageError, match="too large"):
                reads[index]()


def test_a_declared_size_that_cannot_be_is_damage_and_no_large_image(tmp_path: Path) -> None:
    path = tmp_path / "set"
    for method in (0, 8):
        path.write_bytes(raw_zip([*ENTRIES, Entry(b"set/c/9.png", png(1), method=method, size=2**31)]))
        reads = dict(opened(path).images())
        with pytest.raises(UserError, match="bytes cannot unpack to 2,147,483,648"):
            reads[len(CONTENT)]()


@pytest.mark.parametrize("packing", ["tar", *COMPRESSIONS])
def test_a_tar_s_members_are_not_kept_in_memory(packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sources.archives.tars.MAX_FILE_BYTES", MIB)
    noise = [np.random.default_rng(i).bytes(MIB) for i in range(8)]
    content = {f"{'ab'[i % 2]}/{i:02}.png": data for i, data in enumerate(noise)} | {"b/huge.png": bytes(LARGE)}
    path = tmp_path / "set"
    quick = {"bz2": partial(bz2.compress, compresslevel=1), "xz": partial(lzma.compress, preset=0)}  # small windows
    path.write_bytes((COMPRESSIONS | quick).get(packing, bytes)(tar(content)))
    with at_most(6 * MIB):
        source = opened(path)
        reads = dict(source.images())
        for index, name in enumerate(source.listing.paths[:-1]):
            assert reads[index]() == content[name]
        with pytest.raises(BadImageError, match="too large"):
            reads[len(noise)]()


@pytest.mark.parametrize("packing", COMPRESSIONS)
def test_a_stream_of_zeros_without_end_is_read_without_keeping_it(packing: str, tmp_path: Path) -> None:
    data = tar(CONTENT)[: 1024 * len(CONTENT)] + header("set/c/9.png", 2**40) + bytes(LARGE)
    path = tmp_path / "set"
    path.write_bytes(COMPRESSIONS[packing](data))
    with at_most(14 * MIB), pytest.raises(UserError, match=r"within 'set/c/9.png', which should reach to byte 1,099"):
        opened(path)


def test_a_window_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**24}]
    data = bytearray(lzma.compress(tar(CONTENT), filters=filters, check=lzma.CHECK_NONE))
    data[16] = 39  # 3 GiB, after the xz format's 5.3.1
    block = bytes(data[12:20])
    data[20:24] = zlib.crc32(block).to_bytes(4, "little")
    path = tmp_path / "set"
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="Memory usage limit"):
        opened(path)


def test_links_share_what_was_read_once(tmp_path: Path) -> None:
    links = [(member(f"set/d/{i:03}.png", 0, tarfile.LNKTYPE, "set/d/0.png"), b"") for i in range(200)]
    data = np.random.default_rng(0).bytes(MIB)
    path = tmp_path / "set"
    path.write_bytes(gzip.compress(tar(CONTENT, (member("set/d/0.png", MIB), data), *links)))
    with at_most(8 * MIB):
        source = opened(path)
        reads = dict(source.images())
        names = source.listing.paths
        assert all(reads[i]() == data for i in range(len(names)) if "/d/" in names[i])
    assert len(names) == 201 + len(CONTENT)
