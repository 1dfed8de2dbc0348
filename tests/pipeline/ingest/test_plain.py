"""What is decoded in few steps is what is decoded in many."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.ingest.decode import Target, decode
from pipeline.ingest.plain import decode_plain
from pipeline.sources import BadImageError
from tests.pipeline.image_files import chunk, png, saved

RNG = np.random.default_rng(0)
GREY, RGB = RNG.integers(0, 256, (28, 28)).astype(np.uint8), RNG.integers(0, 256, (28, 28, 3)).astype(np.uint8)
GREY[4:20] //= 40  # so that rows have all filters
WIDE = RNG.integers(0, 256, (20, 50, 3)).astype(np.uint8)
EQUAL = np.repeat(GREY[..., None], 3, axis=2)

TARGETS = [
    Target(size, channels, fit, "auto")
    for size in (28, 16, 40)
    for channels in ("auto", "L", "RGB")
    for fit in ("crop", "pad", "stretch")
]


@pytest.mark.parametrize("pixels", [GREY, RGB, EQUAL, WIDE, WIDE[..., 0], GREY[:1, :1]], ids=range(6))
@pytest.mark.parametrize("compression", [0, 9])
def test_a_plain_png_is_as_any_image(pixels: np.ndarray, compression: int) -> None:
    data = saved(pixels, compress_level=compression)
    for target in TARGETS:
        found, expected = decode_plain(data, target), decode(data, target)
        assert found is not None
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        assert found.pixels.dtype == expected.pixels.dtype
        assert found[1:] == expected[1:]
    if pixels.shape[:2] == (28, 28):
        found = decode_plain(data, Target(28, "RGB", "crop"))
        assert found is not None
        np.testing.assert_array_equal(
            found.pixels.transpose(1, 2, 0), np.asarray(Image.fromarray(pixels).convert("RGB"))
        )


def parts(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG."""
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def whole(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


HEAD, BODY, END = parts(saved(GREY))
ROWS = zlib.decompress(BODY[1])
OTHERS = {
    "transparent": png(8, 8, 8, 0, bytes(64), (b"tRNS", b"\0\0")),
    "gamma": png(8, 8, 8, 0, bytes(64), (b"gAMA", struct.pack(">I", 100_000))),
    "turned": saved(RGB, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
    "deep": saved(GREY.astype(np.uint16) * 200),
    "palette": saved(Image.fromarray(RGB).quantize(16)),
    "alpha": saved(np.dstack([RGB, GREY])),
    "one bit": saved(Image.fromarray(GREY).convert("1")),
    "interlaced": whole((b"IHDR", HEAD[1][:-1] + b"\1"), BODY, END),
    "in two": whole(HEAD, (b"IDAT", BODY[1][:50]), (b"IDAT", BODY[1][50:]), END),
    "text at the end": whole(HEAD, BODY, (b"tEXt", b"a\0b"), END),
    "more at the end": saved(GREY) + b"more",
    "no end": saved(GREY)[:-12],
    "cut": saved(GREY)[:200],
    "cut, and ended": whole(HEAD, (b"IDAT", BODY[1][:200]), END),
    "a row short": whole(HEAD, (b"IDAT", zlib.compress(ROWS[:-29])), END),
    "a row long": whole(HEAD, (b"IDAT", zlib.compress(ROWS + ROWS[-29:])), END),
    "a filter that is none": whole(HEAD, (b"IDAT", zlib.compress(b"\7" + ROWS[1:])), END),
    "a wrong checksum of the pixels": whole(HEAD, (b"IDAT", BODY[1][:-1] + bytes([BODY[1][-1] ^ 1])), END),
    "a wrong checksum of the header": saved(GREY)[:29] + b"\0\0\0\0" + saved(GREY)[33:],
    "a wrong checksum of the chunk": saved(GREY)[:-16] + b"\0\0\0\0" + saved(GREY)[-12:],
    "no compression": whole(HEAD, (b"IDAT", ROWS), END),
    "empty": whole((b"IHDR", struct.pack(">IIBBBBB", 0, 4, 8, 0, 0, 0, 0)), BODY, END),
    "huge": whole((b"IHDR", struct.pack(">IIBBBBB", 1 << 31, 1 << 31, 8, 0, 0, 0, 0)), BODY, END),
    "wide": whole((b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)), BODY, END),
    "a kind that is none": whole((b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 1, 0, 0, 0)), BODY, END),
    "a JPEG": saved(GREY, "JPEG"),
    "nothing": b"",
    "its mark": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_is_left_alone_or_comes_out_as_ever(name: str) -> None:
    for target in TARGETS[::4]:
        found = decode_plain(OTHERS[name], target)
        try:
            expected = decode(OTHERS[name], target)
        except BadImageError:
            assert found is None
        else:
            assert found is None or (found[1:] == expected[1:] and (found.pixels == expected.pixels).all())


def test_bytes_changed_at_random_come_out_as_ever() -> None:
    data, target = saved(RGB[:6, :6]), Target(6, "auto", "crop", "auto")
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        found = decode_plain(bytes(changed), target)
        if found is not None:
            np.testing.assert_array_equal(found.pixels, decode(bytes(changed), target).pixels)
