"""The files that small sets are mostly made of, decoded in few steps: to open one as any image takes twice as long.

A plain PNG has 8 bits, grey or RGB, and nothing in it but its pixels: no colours to convert, nothing transparent, no
direction to be turned to. What comes out is what :func:`pipeline.ingest.decode.decode` makes of it. All else is left to
that, and so is a plain PNG that cannot be decoded, which then says why.
"""

import struct
import zlib

import numpy as np
from PIL import Image

from pipeline.ingest.decode import Decoded, Target, fitted, in_channels
from pipeline.ingest.memory import FEW

HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"
END = b"\0\0\0\0IEND\xaeB`\x82"
HEADER = struct.Struct(">II5sLL4s")
MODES = {b"\x08\0\0\0\0": "L", b"\x08\2\0\0\0": "RGB"}
"""By depth, colour type, compression, filters and interlacing."""

PIXELS = HEADER.size + len(HEAD)
"""Where they begin."""


def decode_plain(data: bytes, target: Target) -> Decoded | None:
    """The plain PNG in ``data``, brought to ``target``; None if it is none, or damaged."""
    if not (data.startswith(HEAD) and data.endswith(END) and len(data) > PIXELS + len(END)):
        return None
    width, height, kind, checksum, length, name = HEADER.unpack_from(data, len(HEAD))
    mode = MODES.get(kind)
    if mode is None or name != b"IDAT" or length != len(data) - PIXELS - 4 - len(END):
        return None
    if not 0 < width * height <= FEW or checksum != zlib.crc32(data[12 : PIXELS - 12]):
        return None
    size = (width, height)
    try:
        image = Image.frombytes(mode, size, data[PIXELS : PIXELS + length], "zip", mode, 0)
    except Exception:  # whatever the decoder says of damaged data is said again, in the words that are used for it
        return None
    if target.channels == "L" and mode != "L":
        image = image.convert("L")
    if size != (target.size, target.size):
        pixels = fitted(image, size, size, None, target)
    else:
        pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, -1)
        pixels = pixels[..., 0] if image.mode == "L" else pixels
    return Decoded(in_channels(pixels, target.channels), width, height)
