"""What a file says about its samples that Pillow leaves to its caller, or gets wrong."""

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from pipeline.ingest.opening import FORMATS
from pipeline.sources.base import BadImageError

BAND_PIXELS = 1 << 18
"""What is worked on at once where Pillow has no operation of its own."""

WHITE_IS_ZERO = 0
SIGNED, FLOATS = 2, 3
SMALLEST_VALUE, LARGEST_VALUE = 340, 341  # TIFF's SMinSampleValue and SMaxSampleValue; 280 and 281 are mere statistics
FULL = (0.0, 65535.0)


class Samples(NamedTuple):
    """What the header says; asked for before the pixels are loaded.

    Attributes:
        deep: one channel of more than 8 bits, integers or floats.
        inverted: 0 is white. Pillow has turned that round itself where there are up to 8 bits.
        signed: 8-bit samples are from -128 to 127.
        unsigned: 32-bit samples are from 0 to 2**32 - 1, which Pillow wraps.
        declared: the lowest and highest sample that the file allows for; None if it does not say.
        key: the transparent colour of 16-bit RGB, of which Pillow keeps eight bits.
    """

    deep: bool = False
    inverted: bool = False
    signed: bool = False
    unsigned: bool = False
    declared: tuple[float, float] | None = None
    key: tuple[int, int, int] | None = None


PLAIN = Samples()


def read_samples(image: Image.Image, data: bytes) -> Samples:
    """What the file ``data``, opened as ``image``, says; mends what ``image`` knows of its transparent colour.

    Raises:
        BadImageError: a kind that Pillow opens and then misreads.
    """
    deep = is_deep(image)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _of_tiff(image, deep)
    if image.format == "PNG":
        if "transparency" in image.info and (key := _corrected_key(image)):
            return Samples(key=key)
        return Samples(deep, declared=_significant(data)) if deep else PLAIN
    if not deep:
        return PLAIN
    # Pillow has scaled both to 16 bits by the maximum that the file declares
    return Samples(deep, declared=FULL if image.format in ("PPM", "JPEG2000") and image.mode != "F" else None)


def is_deep(image: Image.Image) -> bool:
    """Whether the image has one channel of more than 8 bits."""
    return image.mode[0] in "IF"


def bands(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Boxes over the whole width that cover an image from top to bottom."""
    width, height = size
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def white_where(image: Image.Image, data: bytes, key: tuple[int, int, int]) -> Image.Image:
    """The loaded 16-bit RGB ``image``, of which Pillow keeps the high bytes, white where all its bits are ``key``."""
    low = Image.open(io.BytesIO(data), formats=FORMATS)
    low.tile = [low.tile[0]._replace(args="RGB;16L")]  # read in the other order, the low byte is the one that is kept
    for box in bands(image.size):
        samples = np.asarray(image.crop(box)).astype(np.uint16) << 8 | np.asarray(low.crop(box))
        image.paste((255, 255, 255), box, Image.fromarray((samples == key).all(axis=2)))
    return image


def _corrected_key(image: Image.Image) -> tuple[int, int, int] | None:
    """Brings the transparent grey or colour to the scale of the decoded samples; returns that of 16-bit RGB instead."""
    assert isinstance(image, ImageFile.ImageFile)
    key, rawmode = image.info["transparency"], image.tile[0].args
    if rawmode == "RGB;16B":
        del image.info["transparency"]
        return tuple(key)
    if isinstance(rawmode, str) and rawmode in ("L;2", "L;4"):
        bits = int(rawmode[2:])
        image.info["transparency"] = (key & (2**bits - 1)) * (255 // (2**bits - 1))
    elif image.mode == "L":
        image.info["transparency"] = key & 255
    elif image.mode == "RGB":
        image.info["transparency"] = tuple(value & 255 for value in key)
    return None


def _significant(png: bytes) -> tuple[float, float] | None:
    """What PNG's ``sBIT`` says of grey samples: how many of their bits were significant before they were stored."""
    at = 8
    while at + 8 <= len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        if name == b"sBIT" and length and 8 <= png[at + 8] < 16:
            return 0.0, float(2 ** png[at + 8] - 1)
        if name in (b"IDAT", b"sBIT"):
            return None
        at += length + 12
    return None


def _of_tiff(image: TiffImagePlugin.TiffImageFile, deep: bool) -> Samples:
    tags = image.tag_v2
    formats, bits = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,)), tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and image.mode in ("LA", "La", "PA", "LAB"):
        raise BadImageError("not read", f"a TIFF with the planes of {image.mode} one after the other")
    if not deep:
        return Samples(signed=image.mode == "L" and formats[0] == SIGNED)
    declared = None
    low, high = tags.get(SMALLEST_VALUE), tags.get(LARGEST_VALUE)
    try:
        if high is not None:
            declared = float(low[0] if low else 0), float(high[0])
        elif bits[0] == 12:
            declared = 0.0, 4095.0
    except (TypeError, ValueError, IndexError):  # not numbers: nothing is said
        pass
    return Samples(
        deep,
        inverted=tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO,
        unsigned=bits[0] == 32 and formats[0] not in (SIGNED, FLOATS),
        declared=declared,
    )
