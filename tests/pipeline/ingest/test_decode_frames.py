"""Pages and frames beyond the first are counted, however many there are or are said to be."""

import struct

import numpy as np
import pytest
from PIL import Image

from pipeline.ingest.decode import FURTHER, Target, decode
from pipeline.ingest.frames import MOST
from tests.pipeline.image_files import chunk, layout, png, saved, tiff

FRAMES = [Image.new("RGB", (16, 16), (level, 0, 0)) for level in (40, 80, 120, 160, 200)]


def further(data: bytes) -> int:
    return decode(data, Target(16, "auto", "crop")).passed.get(FURTHER, 0)


@pytest.mark.parametrize("format", ["GIF", "TIFF", "WEBP", "PNG", "AVIF", "MPO"])
def test_the_first_is_taken_and_the_others_are_counted(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    many = decode(
        saved(FRAMES[0], format, save_all=True, append_images=FRAMES[1:], **options), Target(16, "RGB", "crop")
    )
    one = decode(saved(FRAMES[0], format, **options), Target(16, "RGB", "crop"))
    assert many.passed == {FURTHER: 4}
    assert one.passed == {}
    np.testing.assert_allclose(many.pixels, one.pixels, atol=3)  # AVIF codes a sequence in another way


def gif(frames: int) -> bytes:
    frame = b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0"
    return b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff" + frame * frames + b";"


def test_counting_ends_in_a_gif_of_a_million_frames() -> None:
    assert further(gif(3)) == 2
    assert further(gif(10**6)) == MOST - 1
    assert further(gif(3)[:-20]) == 1  # cut within the third


def test_counting_ends_in_a_png_that_claims_two_thousand_million() -> None:
    control = struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 1, 0, 0)
    data = png(8, 8, 8, 0, bytes(64), (b"acTL", struct.pack(">II", 2**31 - 1, 0)), (b"fcTL", control))
    assert further(data) == MOST - 1
    assert chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) in data


@pytest.mark.parametrize("order", ["<", ">"])
def test_counting_ends_in_a_tiff_whose_pages_go_in_a_circle(order: str) -> None:
    tags = layout((8, 8), 1, 8)
    assert further(tiff(tags, [bytes(64)], order)) == 0
    assert further(tiff(tags, [bytes(64)], order, following=8)) == 0
    single = tiff(tags, [bytes(64)], order)
    second = struct.pack(order + "HI", 0, 8)  # an empty directory that leads back
    assert further(tiff(tags, [bytes(64)], order, following=len(single)) + second) == 1
    assert further(tiff(tags, [bytes(64)], order, following=2**31)) == 0  # beyond the end


def test_counting_ends_in_a_tiff_of_very_many_pages() -> None:
    tags = layout((8, 8), 1, 8)
    start = len(tiff(tags, [bytes(64)]))
    pages = b"".join(struct.pack("<HI", 0, start + 6 * (page + 1)) for page in range(2 * MOST))
    assert further(tiff(tags, [bytes(64)], following=start) + pages) == MOST - 1
