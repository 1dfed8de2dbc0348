"""The memory that reading a hostile set takes, in a process of its own."""

import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.ingest import memory
from pipeline.ingest.memory import MIB, PIXELS, room_for
from pipeline.ingest.opening import open_image
from pipeline.sources import BadImageError
from pipeline.sources.base import MAX_FILE_BYTES
from tests.pipeline.image_files import chunk, layout, png, saved, tiff

ROOT = Path(__file__).parents[3]

READ = """
import resource, sys
from pathlib import Path
from pipeline.ingest import memory, reading
from pipeline.ingest.decode import Target
from pipeline.sources.archives import open_archive

archive, threads, pixels = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
reading.usable_cores = lambda: threads
reading.THREADS_PAY_ABOVE = 0 if threads > 1 else 1e9
reading.AT_ONCE = 1
memory.PIXELS = memory.Budget(pixels)
source, target = open_archive(archive), Target(32, "auto", "crop", "auto")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with reading.Pixels(archive.with_suffix(".raw"), len(source.listing), target) as rows:
    records = reading.read_all(source, rows, target, 1.0)
print(len(records.reasons), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def zeros(width: int, height: int, cut: bool) -> bytes:
    """A black RGB PNG of a few kilobytes."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows[:-50] if cut else rows) + chunk(b"IEND", b"")


def read(archive: Path, threads: int = 1, pixels: int = PIXELS.size) -> tuple[int, float]:
    """How many images of the archive are bad, and by how many MiB the process grew while it read them."""
    command = [sys.executable, "-c", READ, str(archive), str(threads), str(pixels)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    bad, grown = done.stdout.split()
    return int(bad), int(grown) / 1024


def packed(path: Path, contents: list[bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for index, content in enumerate(contents):
            archive.writestr(f"{'ab'[index % 2]}/{index}.png", content)
    return path


def test_bad_images_leave_nothing_behind(tmp_path: Path) -> None:
    """Twenty of 12 megapixels, 46 MiB each once decoded, in 35 kB, and two that unpack to 300 MiB."""
    large = b"BM" + bytes(300 * MIB)
    bad, grown = read(packed(tmp_path / "set.zip", [zeros(4000, 3000, cut=True)] * 20 + [large] * 2))
    assert bad == 22
    assert grown < 120


def test_threads_share_the_room_for_pixels(tmp_path: Path) -> None:
    """Each counts as 103 MiB, so that one at a time is decoded where there are 150, whatever the number of threads."""
    bad, grown = read(packed(tmp_path / "set.zip", [zeros(4000, 3000, cut=False)] * 4), threads=4, pixels=150 * MIB)
    assert bad == 0
    assert grown < 150


def test_what_needs_more_room_than_there_is_is_refused_before_it_is_decoded() -> None:
    data = saved(Image.new("RGB", (16, 16)), "JPEG2000", no_jp2=True)
    claimed = data[:8] + struct.pack(">II", 8000, 8000) + data[16:]
    with pytest.raises(BadImageError, match=r"too large: 8000 x 8000 pixels of JPEG2000 take 1,6\d\d MiB"):
        room(claimed)


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        ("L", 6),
        ("RGB", 9),
        ("RGBA", 9),
        ("P", 9),
        ("I;16", 7),
        ("strips", 9),
        ("one strip", 13),
        ("one of 16 bits", 15),
    ],
)
def test_room_is_counted_by_what_is_measured(kind: str, counted: int) -> None:
    """Bytes a pixel; docs/images.md has the measurements."""
    side = 1200
    if kind in ("L", "RGB", "RGBA", "P"):
        data = saved(Image.new(kind, (side, side)))
    elif kind == "I;16":
        data = png(side, side, 16, 0, bytes(2 * side * side))
    else:
        depth, strips = (16, 1) if "16" in kind else (8, 100 if kind == "strips" else 1)
        tags = layout((side, side, 3), 2, depth, packed=True) | {278: (4, [side // strips])}
        data = tiff(tags, [zlib.compress(bytes(3 * side * side * depth // 8 // strips))] * strips)
    assert room(data) == pytest.approx(counted * side * side, rel=0.02)


@pytest.mark.parametrize(("options", "counted"), [({}, 0), ({"progressive": True}, 6)])
def test_a_jpeg_needs_room_for_coefficients_where_it_comes_in_several_scans(
    options: dict[str, bool], counted: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3)).astype(np.uint8)
    data = saved(noise, "JPEG", **options)
    image = open_image(data)
    image.draft(None, (32, 32))
    held = room_for(image, (1600, 1600), data)
    assert (held is None) == (counted == 0)
    assert room(data, draft=True) == pytest.approx(counted * 1600 * 1600 + 9 * 200 * 200 * bool(counted), rel=0.01)


def room(data: bytes, draft: bool = False) -> int:
    """The bytes that are asked for."""
    image = open_image(data)
    size = image.size
    if draft:
        image.draft(None, (32, 32))
    held = room_for(image, size, data)
    if held is None:
        return 0
    with held as part:
        return part.size


def test_the_bound_holds_the_largest_file_and_the_largest_image() -> None:
    assert memory.FILES.size >= memory.READING >= 2 * MAX_FILE_BYTES
    assert memory.MOST_BYTES == memory.FILES.size + memory.PIXELS.size == 2048 * MIB
    room(png(9400, 9400, 8, 6, b""))  # as many pixels as any image may have, of four bytes
