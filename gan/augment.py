"""Differentiable augmentation of what the critic sees, real and fake alike (DiffAugment, Zhao et al. 2020).

Its strength p is the chance that an operation touches an image; it may follow how far the critic overfits (ADA, Karras
et al. 2020). The amounts are small and continuous, so that the critic can still tell images as they are from changed
ones, and the generator does not learn the changes. Mirroring half of the images would hide which way round they are,
and the generator would draw mirrored ones: hence there is no mirror here. Where mirrored ones are wanted,
``Config.mirror`` makes them part of the set.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

GEOMETRIC = ("translate", "scale", "rotate", "shear")
PHOTOMETRIC = ("brightness", "contrast", "cutout")
OPERATIONS = GEOMETRIC + PHOTOMETRIC

MAX_SHIFT = 0.125  # of the image's side
MAX_LOG2_SCALE = 0.2
MAX_ROTATION = math.radians(12)
MAX_SHEAR = 0.15
MAX_BRIGHTNESS = 0.2  # of the range [-1, 1], on either side
MAX_LOG2_CONTRAST = 0.3
CUTOUT_SIDE = 0.4  # of the image's side

# ADA's target is 0.6 for its r_t and its ramp takes 500 kimg, of runs of 25,000; ours are short
OVERFITTING_TARGET = 0.6
RAMP_KIMG = 20.0  # from strength 0 to 1
# Karras et al. 2020 (figure 1) see overfitting fade between 10,000 and 100,000 images; conditional sets count by class
ADAPTIVE_BELOW = 5000  # train images of the median class


def choose(images_per_class: Sequence[int]) -> tuple[str, ...]:
    """``augment: auto``: the geometric operations, to adapt, for a median class below :data:`ADAPTIVE_BELOW` images.

    A larger set gets none: there augmentation only slows the learning.
    """
    middle = sorted(images_per_class)[len(images_per_class) // 2]
    return GEOMETRIC if middle < ADAPTIVE_BELOW else ()


def adapted(strength: float, overfitting: float, images: int) -> float:
    """The strength p after n = ``images`` more real images: p ± n / (1000 · RAMP_KIMG), within [0, 1].

    It goes up where the critic overfits more than :data:`OVERFITTING_TARGET`, else down.
    """
    step = images / (1000 * RAMP_KIMG)
    return min(1.0, max(0.0, strength + (step if overfitting > OVERFITTING_TARGET else -step)))


class Changes(NamedTuple):
    """How a batch is augmented; what is None is left as it is.

    Attributes:
        matrices: (N, 2, 3), all geometric operations of an image as one map, see :func:`warp`.
        brightness: (N, 1), added to the image.
        contrast: (N, 1), the binary logarithm of a factor.
        hole: (N, 3), the centre of a square, from the top and from the left in [0, 1], and 1 where there is one.
    """

    matrices: Tensor | None = None
    brightness: Tensor | None = None
    contrast: Tensor | None = None
    hole: Tensor | None = None


def draw_changes(count: int, operations: Sequence[str], rng: torch.Generator, strength: float = 1.0) -> Changes:
    """Amounts for ``count`` images: each operation touches an image with the chance ``strength``.

    Args:
        operations: names out of :data:`OPERATIONS`.
        rng: on the CPU, so that the changes are the same on every device.
        strength: in [0, 1].
    """
    if strength == 0 or not operations:
        return Changes()
    amounts = _Amounts(count, operations, strength, rng)
    matrices = _matrices(amounts) if any(name in GEOMETRIC for name in operations) else None
    brightness = amounts.symmetric("brightness", MAX_BRIGHTNESS) if "brightness" in operations else None
    contrast = amounts.symmetric("contrast", MAX_LOG2_CONTRAST) if "contrast" in operations else None
    hole = torch.cat([amounts.uniform(2), amounts.touched()[:, None]], dim=1) if "cutout" in operations else None
    return Changes(matrices, brightness, contrast, hole)


def augment(images: Tensor, changes: Changes) -> Tensor:
    """Images as ``changes`` have them.

    >>> images, rng = torch.zeros(2, 1, 8, 8), torch.Generator().manual_seed(0)
    >>> augment(images, draw_changes(2, ["translate", "brightness"], rng)).shape
    torch.Size([2, 1, 8, 8])

    Args:
        images: float (N, C, H, W) in [-1, 1]; gradients flow through.

    Returns:
        (N, C, H, W). What a geometric operation brings in from outside mirrors the image.
    """
    if changes.matrices is not None:
        images = warp(images, changes.matrices)
    if changes.brightness is not None:
        images = images + changes.brightness.view(-1, 1, 1, 1).to(images)
    if changes.contrast is not None:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        factor = 2 ** changes.contrast.view(-1, 1, 1, 1).to(images)
        images = (images - mean) * factor + mean
    if changes.hole is not None:
        images = images * _cutout(images, changes.hole)
    return images


class _Amounts:
    """How much of each operation each image gets."""

    def __init__(self, count: int, operations: Sequence[str], strength: float, rng: torch.Generator) -> None:
        self.count, self.operations, self.strength, self.rng = count, operations, strength, rng

    def touched(self) -> Tensor:
        """1 for images that an operation touches, 0 for the others: float (count,)."""
        if self.strength == 1:
            return torch.ones(self.count)
        return (torch.rand(self.count, generator=self.rng) < self.strength).float()

    def uniform(self, columns: int) -> Tensor:
        """In [0, 1], (count, columns)."""
        return torch.rand((self.count, columns), generator=self.rng)

    def symmetric(self, name: str, most: float, columns: int = 1) -> Tensor:
        """In [-most, most], (count, columns); 0 where the operation is not asked for or does not touch the image."""
        if name not in self.operations:
            return torch.zeros(self.count, columns)
        return (self.uniform(columns) * 2 - 1) * most * self.touched()[:, None]


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Applies one affine map an image by one bilinear look-up for the whole batch; what comes in from outside mirrors.

    Args:
        images: float (N, C, H, W).
        matrices: (N, 2, 3), from the place in the result to the place looked up, both in [-1, 1] (see ``affine_grid``).

    Returns:
        (N, C, H, W).
    """
    grid = F.affine_grid(matrices.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _matrices(amounts: _Amounts) -> Tensor:
    """All geometric operations of an image as one map: (count, 2, 3)."""
    scale = 2 ** amounts.symmetric("scale", MAX_LOG2_SCALE)
    angle = amounts.symmetric("rotate", MAX_ROTATION)[:, 0]
    shear = amounts.symmetric("shear", MAX_SHEAR)[:, 0]
    shift = amounts.symmetric("translate", 2 * MAX_SHIFT, columns=2)  # a side is 2 long
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([cos, shear * cos - sin], dim=1) * scale
    row_y = torch.stack([sin, shear * sin + cos], dim=1) * scale
    return torch.cat([torch.stack([row_x, row_y], dim=1), shift[:, :, None]], dim=2)


def _cutout(images: Tensor, hole: Tensor) -> Tensor:
    """A mask (N, 1, H, W) with one square of zeros, mid-grey in [-1, 1], somewhere on each image that is touched."""
    _, _, height, width = images.shape
    rows = (torch.arange(height, device=hole.device) + 0.5) / height
    columns = (torch.arange(width, device=hole.device) + 0.5) / width
    off_y = (rows[None, :] - hole[:, :1]).abs() < CUTOUT_SIDE / 2
    off_x = (columns[None, :] - hole[:, 1:2]).abs() < CUTOUT_SIDE / 2
    inside = off_y[:, :, None] & off_x[:, None, :] & (hole[:, 2] > 0)[:, None, None]
    return (~inside)[:, None].to(images)
