"""Image files as bytes: small images, many of them, the same bytes for the same pixels."""

import io
import zlib
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

FORMATS = ("PNG", "JPEG", "WEBP")
"""By Pillow's names, all that :func:`encode` writes; a file of any other kind is none of an exported set's."""

LARGEST = 4096
"""Pixels a side: many times what a set has, and far below what a hostile file can claim."""

EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp", "webp-lossless": "webp"}


class Encoding(NamedTuple):
    """How pixels become a file.

    Attributes:
        name: a key of :data:`EXTENSIONS`. PNG and lossless WebP keep every pixel.
        quality: of JPEG and lossy WebP, 1 to 100.
    """

    name: str = "png"
    quality: int = 95

    @property
    def extension(self) -> str:
        """The file's ending, without a dot."""
        return EXTENSIONS[self.name]

    @property
    def lossless(self) -> bool:
        """Whether the file gives back the very pixels."""
        return self.name in ("png", "webp-lossless")


def encode(image: np.ndarray, encoding: Encoding, xmp: str | None = None) -> bytes:
    """One image file.

    Runs outside the interpreter's lock for most of its time, JPEG excepted, so threads help.

    >>> image = np.zeros((3, 8, 8), np.uint8)
    >>> decode(encode(image, Encoding("png")), channels=3).shape
    (3, 8, 8)

    Args:
        image: uint8 (C, H, W); C is 1 (grey) or 3 (colour). WebP knows no grey and holds it as colour.
        encoding: the kind of file.
        xmp: an XMP packet to carry, where XMP's part 3 says.
    """
    pixels = image[0] if image.shape[0] == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **_options(encoding, xmp))
    return file.getvalue()


def decode(data: bytes, channels: int) -> np.ndarray:
    """The pixels of an image file, uint8 (C, H, W); reverses :func:`encode`.

    Args:
        data: the file's content.
        channels: 1 for grey, 3 for colour.

    Raises:
        OSError: not an image in one of :data:`FORMATS`, a damaged one, or one that :func:`encode` cannot have written.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if max(image.size) > LARGEST or image.mode not in ("L", "RGB"):
                raise OSError(f"{image.width} x {image.height} pixels in mode {image.mode}")
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever a damaged file leads them to
        raise OSError(f"{type(error).__name__}: {error}") from None
    return pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1)


def _options(encoding: Encoding, xmp: str | None) -> dict[str, Any]:
    if encoding.name == "png":
        info = PngInfo()
        if xmp is not None:
            info.add_itxt("XML:com.adobe.xmp", xmp)
        # run-length matching alone takes a third less time than Pillow's default and costs few bytes on small images
        return {"format": "PNG", "compress_level": 1, "compress_type": zlib.Z_RLE, "pnginfo": info}
    packet = {} if xmp is None else {"xmp": xmp.encode()}
    if encoding.name == "jpeg":
        return {"format": "JPEG", "quality": encoding.quality, "subsampling": "4:4:4", **packet}
    if encoding.name == "webp":
        return {"format": "WEBP", "quality": encoding.quality, **packet}
    # method 0 is 25 times as fast as the default, for files a few per cent larger
    return {"format": "WEBP", "lossless": True, "method": 0, **packet}
