"""One image file to the square uint8 pixels of the store."""

import io
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps

from pipeline.sources.base import MAX_FILE_BYTES, BadImageError, Payload

MAX_PIXELS = 89_478_485
"""Pillow's own limit (a quarter of a GiB at three bytes): what is larger is taken for a decompression bomb."""

REDUCING_GAP = 2.0
"""Pillow shrinks by whole factors down to twice the target before it filters; hardly seen, much faster."""


@dataclass(frozen=True)
class Target:
    """What every image is brought to.

    Attributes:
        size: height and width in pixels.
        channels: ``auto`` leaves grey images in one channel and colour in three.
        fit: ``crop`` the centre square, ``pad`` with black, or ``stretch``.
    """

    size: int
    channels: Literal["auto", "L", "RGB"]
    fit: Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class Decoded:
    """One image as the store keeps it, and its size as the file shows it.

    Attributes:
        pixels: uint8 (C, size, size); C is 1 for a grey image, else 3.
        width: of the upright source image, in pixels.
        height: likewise.
    """

    pixels: np.ndarray
    width: int
    height: int


def decode(data: Payload, target: Target) -> Decoded:
    """Decodes, turns upright, flattens and resizes one image.

    Every mode becomes L or RGB. 16-bit grey is scaled by its range of 65535. Transparency is laid on white, as the page
    or screen that such images are drawn for; `pad` fills with black, as elsewhere in the field. JPEG is decoded at the
    smallest of the eighths of its size that is not below the target (its draft mode). Resizing is bicubic with
    antialiasing. Of several frames the first is taken.

    Raises:
        BadImageError: not an image, damaged, too large, or without a defined range of grey.
    """
    try:
        image = _open(data)
        width, height = image.size
        image.draft("L" if target.channels == "L" else None, _needed(image.size, target))
        image.load()
        image, turned = _upright(image)
        pixels = _resized(_flattened(image, target.channels), target)
    except BadImageError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever a damaged file leads them to
        raise BadImageError("damaged", f"{type(error).__name__}: {error}") from None
    if turned:
        width, height = height, width
    return Decoded(_in_channels(pixels, target.channels), width, height)


def _open(data: Payload) -> Image.Image:
    if isinstance(data, Image.Image):
        return data
    if not data:
        raise BadImageError("empty file")
    if len(data) > MAX_FILE_BYTES:
        raise BadImageError("too large", f"more than {MAX_FILE_BYTES // 2**20} MiB")
    try:
        image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise BadImageError("too large", str(error)) from None
    except Image.UnidentifiedImageError:
        raise BadImageError("not an image that Pillow knows") from None
    if image.width * image.height > MAX_PIXELS:
        raise BadImageError("too large", f"{image.width} x {image.height} pixels")
    return image


def _needed(size: tuple[int, int], target: Target) -> tuple[int, int]:
    """The smallest (width, height) to decode at that still holds enough for ``target``."""
    if target.fit == "stretch":
        return target.size, target.size
    scale = target.size / (min(size) if target.fit == "crop" else max(size))
    return max(1, math.ceil(size[0] * scale)), max(1, math.ceil(size[1] * scale))


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image as EXIF wants it shown, and whether that swapped width and height."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation == 1:
            return image, False
        return ImageOps.exif_transpose(image), orientation in (5, 6, 7, 8)
    except Exception:  # broken EXIF beside good pixels: shown as it lies, like viewers do
        return image, False


def _flattened(image: Image.Image, channels: str) -> Image.Image:
    """The image in mode L or RGB."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bit(image)
    elif image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return image.convert("L") if channels == "L" else image


def _eight_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "F":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise BadImageError(
                "no defined range", f"floats from {values.min():g} to {values.max():g}, expected 0 to 1"
            )
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    if values.min() < 0 or values.max() > 65535:
        raise BadImageError("no defined range", f"integers from {values.min()} to {values.max()}, expected 0 to 65535")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _resized(image: Image.Image, target: Target) -> np.ndarray:
    """uint8 (size, size) or (size, size, 3)."""
    size, (width, height) = target.size, image.size
    square = (size, size)
    if target.fit == "pad" and width != height:
        longest = max(width, height)
        inner = (max(1, round(width * size / longest)), max(1, round(height * size / longest)))
        canvas = Image.new(image.mode, square)
        image = image.resize(inner, Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
        canvas.paste(image, ((size - inner[0]) // 2, (size - inner[1]) // 2))
        return np.asarray(canvas)
    box = (0.0, 0.0, float(width), float(height))
    if target.fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return np.asarray(image.resize(square, Image.Resampling.BICUBIC, box, REDUCING_GAP))


def _in_channels(pixels: np.ndarray, channels: str) -> np.ndarray:
    if pixels.ndim == 2:
        return np.repeat(pixels[None], 3, axis=0) if channels == "RGB" else pixels[None]
    grey = channels == "auto" and bool((pixels == pixels[..., :1]).all())
    return pixels[None, ..., 0] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))
