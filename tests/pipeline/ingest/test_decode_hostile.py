"""Files that mean harm, or came to it: each ends as one BadImageError, in silence, and soon."""

import io
import os
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, ExifTags, Image

from pipeline.errors import UserError
from pipeline.evaluation.folders import Folder, decoded
from pipeline.formats import encoding
from pipeline.ingest.decode import Target, decode
from pipeline.ingest.guards import MOST_PARTS
from pipeline.ingest.opening import open_image, quiet
from pipeline.provenance import read_mark
from pipeline.sources import BadImageError
from pipeline.sources.base import FORMATS
from tests.pipeline.image_files import layout, png, saved, tiff

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (16, 16, 3)).astype(np.uint8)
GREY = bytes(range(64))


def shown(data: bytes) -> np.ndarray:
    return decode(data, Target(16, "auto", "crop", "auto")).pixels


@pytest.fixture(autouse=True)
def _as_while_reading() -> Iterator[None]:
    with quiet():
        yield


def sized_png(width: int, height: int) -> bytes:
    return png(width, height, 8, 0, b"")


def gif(width: int, height: int, frame: tuple[int, int] | None = None, frames: int = 1) -> bytes:
    image = b",\0\0\0\0" + struct.pack("<HH", *(frame or (width, height))) + b"\0\x02\x02\x44\x01\0"
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff" + image * frames + b";"


def sized_jpeg(height: int) -> bytes:
    data = saved(NOISE, "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, height) + data[at + 4 :]


def sized_bmp(width: int, height: int) -> bytes:
    data = saved(NOISE, "BMP")
    return data[:18] + struct.pack("<ii", width, height) + data[26:]


def webp_canvas(side: int) -> bytes:
    sides = struct.pack("<I", side - 1)[:3] * 2
    return b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides


def many_scans() -> bytes:
    data = saved(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 1000 + b"\xff\xd9"


BOMB = zlib.compress(bytes(50 << 20), 9)

BAD: dict[str, Callable[[], bytes]] = {
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n",
    "PostScript with a preview": lambda: b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, 100) + bytes(200),
    "FITS": lambda: b"SIMPLE  =                    T".ljust(2880),
    "XPM": lambda: b'/* XPM */\nstatic char *x[] = {\n"1 1 1 1",\n"a c #000000",\n"a"};',
    "icon": lambda: saved(NOISE, "ICO"),
    "SVG": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "text": lambda: b"hello, I am a text" * 100,
    "zeros": lambda: bytes(1000),
    "nothing": lambda: b"",
    "PNG of no width": lambda: sized_png(0, 10),
    "PNG of no height": lambda: sized_png(10, 0),
    "PNG of 10^10 pixels": lambda: sized_png(10**5, 10**5),
    "PNG of 4 * 10^18 pixels": lambda: sized_png(2**31 - 1, 2**31 - 1),
    "PNG of one long row": lambda: sized_png(2**31 - 1, 1),
    "PNG that is cut": lambda: saved(NOISE)[:-300],
    "text bomb in PNG": lambda: png(8, 8, 8, 0, GREY, (b"zTXt", b"k\0\0" + BOMB)),
    "another text bomb in PNG": lambda: png(8, 8, 8, 0, GREY, (b"iTXt", b"k\0\1\0\0\0" + BOMB)),
    "profile bomb in PNG": lambda: png(8, 8, 8, 0, GREY, (b"iCCP", b"k\0\0" + BOMB)),
    "a million chunks": lambda: png(8, 8, 8, 0, GREY, *[(b"zzZz", b"")] * 100_000),
    "a huge chunk": lambda: png(8, 8, 8, 0, GREY, (b"eXIf", bytes(20 << 20))),
    "GIF of no size": lambda: gif(0, 0),
    "GIF without a frame": lambda: gif(1, 1, frames=0),
    "GIF of 4 * 10^9 pixels": lambda: gif(65535, 65535),
    "GIF with a huge frame": lambda: gif(1, 1, (60000, 60000)),
    "GIF of many extensions": lambda: b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\0" * 400_000 + b",",
    "JPEG of 4 * 10^9 pixels": lambda: sized_jpeg(65500),
    "JPEG of no height": lambda: sized_jpeg(0),
    "JPEG of many scans": many_scans,
    "JPEG that is cut": lambda: saved(NOISE, "JPEG")[:-200],
    "JPEG of many segments": lambda: b"\xff\xd8" + b"\xff\xe5\0\2" * 300_000 + saved(NOISE, "JPEG")[2:],
    "BMP of 10^10 pixels": lambda: sized_bmp(10**5, 10**5),
    "BMP of negative width": lambda: sized_bmp(-16, 16),
    "WebP of 2 * 10^8 pixels": lambda: webp_canvas(14000),
    "WebP that is cut": lambda: saved(NOISE, "WEBP")[:-100],
    "AVIF that is cut": lambda: saved(NOISE, "AVIF")[:-100],
    "JPEG 2000 that is cut": lambda: saved(NOISE, "JPEG2000")[:200],
    "QOI of 4 * 10^18 pixels": lambda: b"qoif" + struct.pack(">II", 2**31, 2**31) + b"\3\0",
    "PPM of 10^16 pixels": lambda: b"P6 99999999 99999999 255\n",
    "PPM of no width": lambda: b"P5 0 4 255\n",
    "PFM of infinite scale": lambda: b"Pf\n2 2\n-inf\n" + bytes(16),
    "TGA of 4 * 10^9 pixels": lambda: struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 60000, 60000, 24, 0),
    "TIFF of 10^10 pixels": lambda: tiff(layout((8, 8), 1, 8) | {256: (4, [10**5]), 257: (4, [10**5])}, [GREY]),
    "TIFF without tags": lambda: b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "TIFF of many samples": lambda: tiff(layout((8, 8), 2, 8) | {277: (3, [65535])}, [GREY]),
    "TIFF of negative width": lambda: tiff(layout((8, 8), 1, 8) | {256: (9, [-8])}, [GREY]),
    "TIFF of one huge tile": lambda: tiff(layout((8, 8), 1, 8) | {322: (4, [2**31]), 323: (4, [2**31])}, [GREY]),
    "TIFF of many numbers": lambda: tiff(layout((8, 8), 1, 8) | {274: (3, [1] * 600_000)}, [GREY]),
    "no numbers": lambda: saved(np.full((4, 4), np.nan, np.float32), "TIFF"),
    "infinity": lambda: saved(np.full((4, 4), np.inf, np.float32), "TIFF"),
    "32 bits": lambda: saved(np.full((4, 4), 70_000, np.int32), "TIFF"),
}


@pytest.mark.parametrize("kind", BAD)
def test_one_error(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = BAD[kind]()
    tracemalloc.start()
    try:
        with pytest.raises(BadImageError) as caught:
            shown(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert peak < 8 * 2**20 + 2 * len(data)
    assert capfd.readouterr() == ("", "")


def test_a_file_of_postscript_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow alone does start the ``gs`` on PATH; no way of ours to an image does."""
    started, program = tmp_path / "started", tmp_path / "gs"
    program.write_text(f"#!/bin/sh\necho 10.0 >> '{started}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    file = tmp_path / "a.png"
    file.write_bytes(data)
    with suppress(OSError):
        Image.open(file).load()
    assert started.exists()
    started.unlink()
    for read, error in (
        (lambda: shown(data), BadImageError),
        (lambda: encoding.decode(data, 3), OSError),
        (lambda: read_mark(file), UserError),
    ):
        with pytest.raises(error):
            read()
    for label in "ab":
        (tmp_path / "set" / label).mkdir(parents=True)
        (tmp_path / "set" / label / "0.png").write_bytes(data)
    folder = Folder.open("--real", tmp_path / "set")
    with pytest.raises(UserError, match="2 of 2 images cannot be read"), decoded([folder], 16, []):
        pass
    assert not started.exists()
    assert "EPS" not in FORMATS
    assert set(FORMATS) <= set(Image.OPEN)


def exif(*fields: tuple[int, int, int, bytes], following: int = 0) -> bytes:
    packed = b"".join(struct.pack("<HHI4s", *field) for field in fields)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + packed + struct.pack("<I", following)


ORIENTATION = int(ExifTags.Base.Orientation)
GOOD_PIXELS: dict[str, bytes] = {
    "no Exif at all": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "text": exif((ORIENTATION, 2, 2, b"A\0\0\0")),
    "a fraction of zero": exif((ORIENTATION, 5, 1, struct.pack("<I", 26))) + struct.pack("<II", 6, 0),
    "no such orientation": exif((ORIENTATION, 3, 1, struct.pack("<I", 99))),
    "several": exif((ORIENTATION, 3, 2, struct.pack("<HH", 1, 1))),
    "a float": exif((ORIENTATION, 11, 1, struct.pack("<f", np.nan))),
    "beyond the end": exif((ORIENTATION, 3, 2**31, b"\xff\xff\xff\x7f")),
    "more fields than there are": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(20),
    "a circle": exif((34665, 4, 1, struct.pack("<I", 8)), following=8),
}


@pytest.mark.parametrize("kind", GOOD_PIXELS)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_beside_good_pixels(kind: str, format: str, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    expected = shown(saved(NOISE, format, **options))
    np.testing.assert_array_equal(shown(saved(NOISE, format, exif=GOOD_PIXELS[kind], **options)), expected)
    assert capfd.readouterr() == ("", "")


def test_huge_exif_is_not_looked_at() -> None:
    orientations = exif((ORIENTATION, 3, 1_000_000, struct.pack("<I", 26))) + struct.pack("<H", 6) * 1_000_000
    data = saved(NOISE, "WEBP", exif=orientations, lossless=True)
    tracemalloc.start()
    np.testing.assert_array_equal(shown(data), NOISE.transpose(2, 0, 1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * len(data)


def test_large_files_of_few_parts_pass() -> None:
    noise = RNG.integers(0, 256, (1200, 1200)).astype(np.uint8)
    for format in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"):
        options = {"lossless": True, "method": 0} if format == "WEBP" else {"quality": 100} if format == "JPEG" else {}
        data = saved(noise, format, **options)
        assert len(data) > 2**20
        assert shown(data).shape == (1, 16, 16)
    assert MOST_PARTS >= 10_000


@pytest.mark.parametrize("format", FORMATS)
def test_any_change_of_a_few_bytes_gives_pixels_or_one_error(format: str, capfd: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(format)
    options = {"compression": chance.choice(["tiff_lzw", "jpeg"])} if format == "TIFF" else {}
    whole = saved(Image.fromarray(NOISE).convert("RGB"), format, **options)
    bad = 0
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(min(len(data), chance.choice([60, len(data)])))] = chance.choice([0, 1, 127, 255])
        try:
            assert shown(bytes(data)).shape[1:] == (16, 16)
        except BadImageError:
            bad += 1
    assert bad
    assert capfd.readouterr() == ("", "")


def test_memory_that_is_not_there_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "resize", full)
    with pytest.raises(BadImageError, match="too large: not enough memory"):
        shown(saved(NOISE))


def test_what_is_an_image_already_is_held_to_the_same() -> None:
    with pytest.raises(BadImageError, match="too large"):
        open_image(Image.new("1", (10_000, 10_000)))
    np.testing.assert_array_equal(
        decode(Image.open(io.BytesIO(saved(NOISE))), Target(16, "auto", "crop")).pixels, NOISE.transpose(2, 0, 1)
    )


INSTEAD = {
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "pointer of Git LFS; fetch it with",
    ),
    "page": (b"<!DOCTYPE html><title>404</title>", "text, such as a page that was downloaded in its place"),
    "phone": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC, which is not read"),
    "icon": (saved(Image.fromarray(NOISE), "ICO"), "ICO, which is not read"),
}


@pytest.mark.parametrize("kind", INSTEAD)
def test_what_is_called_as_an_image_and_is_none_is_named(kind: str) -> None:
    data, said = INSTEAD[kind]
    with pytest.raises(BadImageError) as error:
        shown(data)
    assert error.value.reason == "not an image that can be read" and f": {said}" in str(error.value)
