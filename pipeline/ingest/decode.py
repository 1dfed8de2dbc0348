"""One image file to the square uint8 pixels of the store. docs/images.md says the same for users."""

import math
from dataclasses import dataclass
from traceback import clear_frames
from typing import Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from pipeline.ingest.colour import Conversion, ProfileError, conversion, to_srgb
from pipeline.ingest.frames import count_frames
from pipeline.ingest.grey import Depth, as_floats, check_range, for_display, to_levels, type_range
from pipeline.ingest.memory import room_for
from pipeline.ingest.opening import described, open_image
from pipeline.ingest.samples import PLAIN, Samples, bands, read_samples, white_where
from pipeline.params import GreyRange
from pipeline.sources.base import BadImageError, Payload

REDUCING_GAP = 2.0
"""Pillow shrinks by whole factors down to twice the target before it filters; hardly seen, much faster."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings each EXIF orientation upright."""

LARGEST_EXIF = 1 << 20
"""Bytes; cameras write some thousands, and a number in it becomes an object of 30 bytes."""

SIDEWAYS = {TURNS[orientation] for orientation in (5, 6, 7, 8)}

FURTHER = "further pages or frames"
NO_PROFILE = "colour profiles that do not fit their image or are damaged"
NOTHING: dict[str, int] = {}


@dataclass(frozen=True)
class Target:
    """What every image is brought to.

    Attributes:
        size: height and width in pixels.
        channels: ``auto`` leaves grey images in one channel and colour in three.
        fit: ``crop`` the centre square, ``pad`` with black, or ``stretch``.
        grey_range: what is black and white in grey images of more than 8 bits; ``auto`` leaves them in their own
            values, because only the whole set can tell.
    """

    size: int
    channels: Literal["auto", "L", "RGB"]
    fit: Literal["crop", "pad", "stretch"]
    grey_range: GreyRange = "type"


class Decoded(NamedTuple):
    """One image as the store keeps it, and its size as the file shows it.

    Attributes:
        pixels: uint8 (C, size, size); C is 1 for a grey image, else 3. In a deep grey image under ``auto`` float32
            (1, size, size) in the file's own values, with NaN where it was padded.
        width: of the upright source image, in pixels.
        height: likewise.
        depth: the file's own values in a grey image of more than 8 bits; None in others.
        inverted: the smallest of these values is white.
        passed: what of the file was passed over, counted by reason.
    """

    pixels: np.ndarray
    width: int
    height: int
    depth: Depth | None = None
    inverted: bool = False
    passed: dict[str, int] = NOTHING


def decode(data: Payload, target: Target, file: bytes = b"") -> Decoded:
    """Decodes, turns upright, brings to sRGB, flattens and resizes one image.

    Every mode becomes L or RGB. Colours are brought to sRGB, see :mod:`pipeline.ingest.colour`; of 16-bit colour the
    high bytes count. Grey of more than 8 bits goes by ``target.grey_range``, see
    :func:`pipeline.ingest.grey.find_range`, but where the file says how it is to be shown, by a profile, a gamma or a
    transparent value: then by the type's range.
    Transparency is laid on white, as the page or screen that such images are drawn for; `pad` fills with black, as
    elsewhere in the field. JPEG is decoded at the smallest of the eighths of its size that is not below the target (its
    draft mode). Resizing is bicubic with antialiasing. Of several pages or frames the first is taken.

    Args:
        data: the file, or an image that :func:`pipeline.ingest.opening.open_image` opened.
        target: what to bring it to.
        file: the bytes of an image that is already open.

    Raises:
        BadImageError: not an image, damaged, too large, or without a defined range of grey.
    """
    try:
        image, file = (open_image(data), data) if isinstance(data, bytes) else (data, file)
        header = _header(image, file, target)
        room = room_for(image, header.size, file)
        if room is None:
            return _decoded(image, header, target)
        with room:
            try:
                return _decoded(image, header, target)
            except Exception as error:
                clear_frames(error.__traceback__)  # what they hold must go before the room does
                raise
            finally:
                image.close()
    except BadImageError:
        raise
    except MemoryError:
        raise BadImageError("too large", "not enough memory to decode it") from None
    except Exception as error:  # Pillow's plugins raise whatever a damaged file leads them to
        raise BadImageError("damaged", described(error)) from None


class _Header(NamedTuple):
    """What is known before the pixels are loaded.

    Attributes:
        file: the bytes, where the image comes from a file.
        size: width and height, of the whole image although it may be loaded in part of its resolution.
        extent: width and height of what will be loaded; a draft ends at a fraction of its last pixels.
        samples: what the samples mean.
        colour: brings them to sRGB; None if they are.
        passed: what is passed over.
    """

    file: bytes
    size: tuple[int, int]
    extent: tuple[float, float] | None
    samples: Samples
    colour: Conversion | None
    passed: dict[str, int]


def _header(image: Image.Image, file: bytes, target: Target) -> _Header:
    passed = {FURTHER: further} if (further := count_frames(image, file) - 1) else NOTHING
    colour = None
    try:
        colour = conversion(image)
    except ProfileError:
        passed = {**passed, NO_PROFILE: 1}
    samples, size = read_samples(image, file), image.size
    drafted = image.draft("L" if target.channels == "L" and colour is None else None, _needed(size, target))
    return _Header(file, size, drafted[1][2:] if drafted else None, samples, colour, passed)


def _decoded(image: Image.Image, header: _Header, target: Target) -> Decoded:
    image.load()
    turn = TURNS.get(_orientation(image))
    extent, samples = header.extent or image.size, header.samples
    width, height = header.size[::-1] if turn in SIDEWAYS else header.size
    if samples.deep and not _for_display(image, header, target):
        image, depth = as_floats(image, samples)
        check_range(depth, target.grey_range)
        pixels = fitted(image, extent, header.size, turn, target)
        if target.grey_range == "auto":
            return Decoded(pixels[None], width, height, depth, samples.inverted, header.passed)
        low, high = type_range(depth.floats) if target.grey_range == "type" else target.grey_range
        pixels = in_channels(to_levels(pixels, low, high, samples.inverted), target.channels)
        return Decoded(pixels, width, height, depth, samples.inverted, header.passed)
    pixels = fitted(_flattened(image, header, target.channels), extent, header.size, turn, target)
    return Decoded(in_channels(pixels, target.channels), width, height, passed=header.passed)


def in_channels(pixels: np.ndarray, channels: str) -> np.ndarray:
    """Pixels (H, W) or (H, W, 3) as (C, H, W); C is 1 where ``auto`` finds no colour in them."""
    if pixels.ndim == 2:
        return np.repeat(pixels[None], 3, axis=0) if channels == "RGB" else pixels[None]
    grey = channels == "auto" and bool((pixels == pixels[..., :1]).all())
    return pixels[None, ..., 0] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _needed(size: tuple[int, int], target: Target) -> tuple[int, int]:
    """The smallest (width, height) to decode at that still holds enough for ``target``."""
    if target.fit == "stretch":
        return target.size, target.size
    scale = target.size / (min(size) if target.fit == "crop" else max(size))
    return max(1, math.ceil(size[0] * scale)), max(1, math.ceil(size[1] * scale))


def _orientation(image: Image.Image) -> int:
    if not image.info or len(image.info.get("exif", b"")) > LARGEST_EXIF:
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF beside good pixels: shown as it lies, like viewers do
        return 1


def _for_display(image: Image.Image, header: _Header, target: Target) -> bool:
    """Whether the file says of its 16-bit samples how they are to be shown, and the user says nothing else."""
    told = header.colour is not None or "transparency" in image.info
    return told and image.mode.startswith("I;16") and not isinstance(target.grey_range, tuple)


def _flattened(image: Image.Image, header: _Header, channels: str) -> Image.Image:
    """The loaded image in mode L or RGB."""
    plain = image.mode in ("L", "RGB") and "transparency" not in image.info
    if not plain or header.colour is not None or header.samples is not PLAIN:
        image = _shown(image, header)
    return image.convert("L") if channels == "L" and image.mode != "L" else image


def _shown(image: Image.Image, header: _Header) -> Image.Image:
    """The loaded image in mode L or RGB, as the file says that it is to be seen."""
    samples, colour = header.samples, header.colour
    if samples.deep:
        image, colour = for_display(image, samples, colour if isinstance(colour, tuple) else None), None
    elif samples.signed:
        image = image.point([value ^ 128 for value in range(256)])
    elif samples.key is not None:
        image = white_where(image, header.file, samples.key)
    if colour is not None:
        image = to_srgb(image, colour)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or image.has_transparency_data:
        image = _on_white(image)
    elif image.mode == "1":
        image = image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """In RGB, band by band: whole it would take four times the memory of the image."""
    result = Image.new("RGB", image.size)
    for box in bands(image.size):
        band = image.crop(box)
        if band.mode == "La":  # Pillow goes no further in one step
            band = band.convert("LA")
        band = band.convert("RGBA")
        white = Image.new("RGBA", band.size, (255, 255, 255, 255))
        result.paste(Image.alpha_composite(white, band).convert("RGB"), box)
    return result


def fitted(
    image: Image.Image,
    extent: tuple[float, float],
    size: tuple[int, int],
    turn: Image.Transpose | None,
    target: Target,
) -> np.ndarray:
    """Pixels (S, S) or (S, S, 3) out of the upper left ``extent`` of ``image``; ``size`` is that of the source.

    Turning comes last, when there is little to turn: to fit and to turn may change places.
    """
    width, height = extent
    inner, box = (target.size, target.size), (0.0, 0.0, width, height)
    if target.fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    elif target.fit == "pad":
        scale = target.size / max(size)
        inner = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    image = image.resize(inner, Image.Resampling.BICUBIC, box, REDUCING_GAP)
    if turn is not None:
        image = image.transpose(turn)
    if image.size != (target.size, target.size):
        canvas = Image.new(image.mode, (target.size, target.size), math.nan if image.mode == "F" else 0)
        canvas.paste(image, ((target.size - image.width) // 2, (target.size - image.height) // 2))
        image = canvas
    return np.asarray(image)
