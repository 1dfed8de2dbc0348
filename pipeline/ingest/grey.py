"""Grey images of more than 8 bits: one range of values for the whole set becomes the 256 levels of the store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pipeline.errors import UserError
from pipeline.ingest.samples import FULL, Samples, bands
from pipeline.params import GreyRange
from pipeline.sources.base import BadImageError

LEVELS = 256
LEAST_BITS, MOST_BITS = 8, 17  # 17 hold 16 bits with and without a sign
UNUSUAL = 0.001
"""The share of pixels at either end that a range may cut off where one is recommended."""


class Depth(NamedTuple):
    """The values of one image, or of several together.

    Attributes:
        low: the smallest value.
        high: the largest value.
        floats: they are floating-point numbers.
        declared: lowest and highest value by the file's own word; None if it does not say.
    """

    low: float
    high: float
    floats: bool
    declared: tuple[float, float] | None


DEPTH = np.dtype(
    [("deep", "?"), ("floats", "?"), ("inverted", "?"), *((name, "f8") for name in ("low", "high", "least", "most"))]
)
"""Rows of :attr:`pipeline.ingest.reading.Records.depth`: a :class:`Depth`, with NaN for what is not declared."""


def as_floats(image: Image.Image, samples: Samples) -> tuple[Image.Image, Depth]:
    """The loaded deep ``image`` in mode ``F``, in the file's own values.

    Raises:
        BadImageError: floats that are no numbers.
    """
    floats = image.mode == "F"
    result, low, high = Image.new("F", image.size), np.inf, -np.inf
    for box in bands(image.size):
        values = np.asarray(image.crop(box))
        if samples.unsigned:
            values = values.view(np.uint32)
        if floats and not np.isfinite(values).all():
            raise BadImageError("no defined range", "floats that are infinite or no numbers")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        result.paste(Image.fromarray(values.astype(np.float32)), box)
    return result, Depth(low, high, floats, samples.declared)


def check_range(depth: Depth, grey_range: GreyRange) -> None:
    """Checks that the values of one image can be brought to 256 levels.

    Raises:
        BadImageError: they lie outside of what the type, or 16 bits with or without a sign, can be.
    """
    if isinstance(grey_range, tuple) or (depth.floats and grey_range == "auto"):
        return
    least, most = type_range(depth.floats)
    if not depth.floats and grey_range == "auto":
        least = -32768.0
    if depth.low < least or depth.high > most:
        kind = "floats" if depth.floats else "integers"
        raise BadImageError(
            "no defined range",
            f"{kind} from {depth.low:g} to {depth.high:g}, expected {least:g} to {most:g}; set data.grey_range to "
            "[low, high]",
        )


def type_range(floats: bool) -> tuple[float, float]:
    """What is black and white by the type alone: 0 to 1 for floats, 0 to 65535 for integers."""
    return (0.0, 1.0) if floats else FULL


def to_levels(values: np.ndarray, low: float, high: float, inverted: np.ndarray | bool = False) -> np.ndarray:
    """Levels, uint8 like ``values``, which are clipped to ``low`` and ``high``; NaN, where there is no image, is black.

    Args:
        values: float (..., H, W).
        low: becomes 0.
        high: becomes 255.
        inverted: of each image, bool (...): ``low`` becomes 255 and ``high`` 0.
    """
    levels = np.rint((np.clip(values, low, high) - low) * ((LEVELS - 1) / (high - low)))
    levels = np.where(np.asarray(inverted)[..., None, None], LEVELS - 1 - levels, levels)
    return np.where(np.isnan(levels), 0, levels).astype(np.uint8)


def for_display(image: Image.Image, samples: Samples, curve: Sequence[int] | None) -> Image.Image:
    """The loaded 16-bit grey ``image`` in L by the whole range of its type, white where it is transparent.

    So are images taken that say how they are to be shown: by a transparent value, a gamma or a profile, whose levels
    ``curve`` (256,) gives; a range of the set's would not fit it.
    """
    key = image.info.pop("transparency", None)
    grey = Image.new("L", image.size)
    for box in bands(image.size):
        values = np.asarray(image.crop(box))
        levels = (FULL[1] - values if samples.inverted else values) / 257
        if curve is not None:
            levels = np.interp(levels, np.arange(LEVELS), curve)
        if key is not None:
            levels = np.where(values == key, LEVELS - 1, levels)
        grey.paste(Image.fromarray(np.rint(levels).astype(np.uint8)), box)
    return grey


@dataclass(frozen=True)
class GreyScale:
    """How the deep grey images of a set became levels.

    Attributes:
        low: became 0.
        high: became 255.
        origin: where the two come from.
        images: deep ones.
        clipped: of them, those with values below or above.
        others: images beside them, of 8 bits or in colour.
        histogram: int64 (256,), pixels of each level in the deep images.
    """

    low: float
    high: float
    origin: str
    images: int
    clipped: int
    others: int
    histogram: np.ndarray

    @property
    def levels(self) -> int:
        """How many of the 256 levels any pixel has."""
        return int(np.count_nonzero(self.histogram))

    def figures(self) -> dict[str, Any]:
        """For the summary."""
        return {
            "low": _whole(self.low),
            "high": _whole(self.high),
            "origin": self.origin,
            "images": self.images,
            "clipped": self.clipped,
            "other_images": self.others,
            "levels": self.levels,
        }

    def notes(self) -> Iterator[str]:
        """What a user should know, in sentences."""
        yield (
            f"{self.images:,} grey images of more than 8 bits: {self.low:g} became black and {self.high:g} white "
            f"({self.origin}); {self.levels} of {LEVELS} levels are used"
        )
        if self.clipped:
            yield f"{self.clipped:,} of them have values outside of that, which became black or white"
        if self.others:
            yield f"{self.others:,} other images, of 8 bits or in colour, keep their own levels: the set mixes the two"
        if self.levels < LEVELS // 2:
            yield (
                f"warning: less than half of the levels are used, so contrast is lost; 99.8 % of the values are from "
                f"{self._value(UNUSUAL):g} to {self._value(1 - UNUSUAL):g}: set data.grey_range to [low, high]"
            )

    def _value(self, share: float) -> float:
        """The value below which this share of all pixels lies."""
        below = np.cumsum(self.histogram) / self.histogram.sum()
        value = self.low + int(np.searchsorted(below, share)) * (self.high - self.low) / (LEVELS - 1)
        return float(f"{value:.3g}")


def find_range(depth: np.ndarray, grey_range: GreyRange) -> tuple[float, float, str]:
    """What becomes black and white in a set, and where that comes from.

    ``auto`` takes what all files declare, if it is the same and all values lie within; else for integers the fewest
    bits, 8 at least, that hold all values, counted from 0 or from the smallest value if that is negative; and for
    floats 0 to 1 if all lie within, else the smallest and the largest value. ``type`` is :func:`type_range`.

    Args:
        depth: rows of :data:`DEPTH`, all deep.
        grey_range: the user's choice.

    Raises:
        UserError: floats and integers in one set, which have no range in common.
    """
    if isinstance(grey_range, tuple):
        return *grey_range, "data.grey_range"
    floats = bool(depth["floats"][0])
    if (depth["floats"] != floats).any():
        raise UserError(
            f"{depth['floats'].sum():,} of {len(depth):,} grey images of more than 8 bits hold floats and the others "
            "integers; convert them to one type, or set data.grey_range to [low, high]"
        )
    if grey_range == "type":
        return *type_range(floats), "the range of the type"
    low, high = float(depth["low"].min()), float(depth["high"].max())
    least, most = float(depth["least"][0]), float(depth["most"][0])
    if (depth["least"] == least).all() and (depth["most"] == most).all() and least <= low and high <= most:
        return least, most, "what the files declare"
    if floats and low >= 0 and high <= 1:
        return 0.0, 1.0, "the range of floats"
    if floats:
        return low, high if high > low else low + 1, "the smallest and the largest value"
    low = min(0.0, low)
    bits = next(bits for bits in range(LEAST_BITS, MOST_BITS + 1) if low + 2**bits - 1 >= high)
    since = "" if low == 0 else f", the smallest value is {low:g}"
    return low, low + 2**bits - 1, f"{bits} bits hold the largest value, {high:g}{since}"


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value
