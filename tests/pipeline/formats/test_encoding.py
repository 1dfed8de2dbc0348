"""Files of an exported set are one of three formats, whatever their names say, and none is believed."""

import struct
import warnings

import numpy as np
import pytest
from PIL import Image

from pipeline.formats.encoding import Encoding, decode, encode
from tests.pipeline.image_files import chunk, png, saved

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.uint8)

OTHERS = {
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n",
    "GIF": saved(PIXELS[0], "GIF"),
    "TIFF": saved(PIXELS[0], "TIFF"),
    "BMP": saved(PIXELS[0], "BMP"),
    "16 bits": saved(PIXELS[0].astype(np.uint16) * 257),
    "a palette": saved(Image.fromarray(PIXELS[0]).convert("P")),
    "transparent": saved(Image.new("RGBA", (8, 8))),
    "one bit": saved(Image.new("1", (8, 8))),
    "10^10 pixels": png(10**5, 10**5, 8, 0, b""),
    "8 * 10^7 pixels": png(9000, 9000, 8, 0, b""),
    "no pixels": png(8, 8, 8, 0, b""),
    "a bomb": b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    + chunk(b"zTXt", b"x"),
    "text": b"no image",
    "nothing": b"",
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", OTHERS)
def test_what_no_export_writes_is_refused(kind: str, channels: int) -> None:
    with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
        try:
            decode(OTHERS[kind], channels)
        except OSError:
            return
    pytest.fail("it was read")


@pytest.mark.parametrize("channels", [1, 3])
def test_what_it_writes_is_read(channels: int) -> None:
    pixels = PIXELS[:channels]
    for name in ("png", "webp-lossless"):
        np.testing.assert_array_equal(decode(encode(pixels, Encoding(name)), channels), pixels)
