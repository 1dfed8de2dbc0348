"""What a set will cost, from a few blocks of it."""

import time
from dataclasses import dataclass

import numpy as np

from pipeline.export.ingredients import Ingredients
from pipeline.formats.encoding import Encoding, encode
from pipeline.runtime import one_thread, usable_cores

BLOCKS = 4  # of as many classes, spread over those that get images


@dataclass(frozen=True)
class Estimate:
    """Of a whole set.

    Attributes:
        size: bytes of its images.
        seconds: of drawing, judging and encoding on the cores that there are.
        acceptance: the share of the proposals that all filters pass, over the classes tried.
    """

    size: float
    seconds: float
    acceptance: float

    def __str__(self) -> str:
        kept = "" if self.acceptance == 1 else f"; the filters keep {self.acceptance:.0%} of a few proposals"
        return f"about {self.size / 1e6:,.1f} MB, {self.seconds:,.0f} s{kept}"


def estimate(source: Ingredients, encoding: Encoding) -> Estimate:
    """Draws, judges and encodes a block of each of a few classes, and some real images; writes nothing.

    Raises:
        UserError: none of these proposals passes the filters.
    """
    labels, block = np.flatnonzero(source.plan.wanted), source.sampler.block
    tried = labels[np.linspace(0, len(labels) - 1, min(BLOCKS, len(labels))).round().astype(int)].tolist()
    with one_thread():
        began = time.perf_counter()
        blocks = [_kept(source, label) for label in tried]
        drawn = time.perf_counter()
        images = [image for block in blocks for image in block]
        samples = images or [image for split in source.real.values() for image in split.images[:block]]
        size = sum(len(encode(image, encoding)) for image in samples)
        encoded = time.perf_counter()
    acceptance = len(images) / (block * len(tried)) if tried else 1.0
    proposals = sum(source.plan.wanted) / max(acceptance, source.min_acceptance)
    seconds = proposals * (drawn - began) / max(1, block * len(tried))
    each = max(1, len(samples))
    seconds += source.plan.total * (encoded - drawn) / each
    return Estimate(source.plan.total * size / each, seconds / usable_cores(), acceptance)


def _kept(source: Ingredients, label: int) -> np.ndarray:
    """The images of the first block of a class that every filter passes, uint8 (N, C, H, W)."""
    images = source.sampler.draw(label, 0, source.sampler.block).numpy()
    passed = source.filters.judge(label, images).passed.values()
    return images[np.logical_and.reduce([np.ones(len(images), dtype=bool), *passed])]
