"""Differentiable augmentation of what the critic sees, real and fake alike (DiffAugment, Zhao et al. 2020).

The amounts are small and continuous, so that the distribution before augmentation can be told from the one after it. A
mirror at even odds cannot (the generator would draw mirrored images), hence there is none.
"""

import math
from collections.abc import Sequence

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


def augment(images: Tensor, operations: Sequence[str], generator: torch.Generator) -> Tensor:
    """Applies ``operations`` with amounts of its own to every image.

    Args:
        images: float (N, C, H, W) in [-1, 1]; gradients flow through.
        operations: names out of :data:`OPERATIONS`; none returns ``images`` as they are.
        generator: a CPU generator: the draws are the same on every device.

    Returns:
        (N, C, H, W). What a geometric operation brings in from outside mirrors the image.
    """
    if any(name in GEOMETRIC for name in operations):
        images = _warp(images, operations, generator)
    count = (len(images), 1, 1, 1)
    if "brightness" in operations:
        images = images + _symmetric(count, MAX_BRIGHTNESS, generator).to(images)
    if "contrast" in operations:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = (images - mean) * 2 ** _symmetric(count, MAX_LOG2_CONTRAST, generator).to(images) + mean
    if "cutout" in operations:
        images = images * _cutout(images, generator)
    return images


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


def _symmetric(size: tuple[int, ...], most: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(size, generator=generator) * 2 - 1) * most


def _warp(images: Tensor, operations: Sequence[str], generator: torch.Generator) -> Tensor:
    """All geometric operations of an image as one map."""
    n = len(images)
    amounts = {
        name: _symmetric((n,), most, generator) if name in operations else torch.zeros(n)
        for name, most in (("scale", MAX_LOG2_SCALE), ("rotate", MAX_ROTATION), ("shear", MAX_SHEAR))
    }
    shift = _symmetric((n, 2), 2 * MAX_SHIFT, generator) if "translate" in operations else torch.zeros(n, 2)
    scale, cos, sin = 2 ** amounts["scale"], amounts["rotate"].cos(), amounts["rotate"].sin()
    row_x = torch.stack([cos, amounts["shear"] * cos - sin], dim=1) * scale[:, None]
    row_y = torch.stack([sin, amounts["shear"] * sin + cos], dim=1) * scale[:, None]
    matrix = torch.cat([torch.stack([row_x, row_y], dim=1), shift[:, :, None]], dim=2)
    return warp(images, matrix)


def _cutout(images: Tensor, generator: torch.Generator) -> Tensor:
    """A mask (N, 1, H, W) with one square of zeros, mid-grey in [-1, 1], somewhere on each image."""
    n, _, height, width = images.shape
    centre = torch.rand((n, 2), generator=generator)
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    off_y = (rows[None, :] - centre[:, :1]).abs() < CUTOUT_SIDE / 2
    off_x = (columns[None, :] - centre[:, 1:]).abs() < CUTOUT_SIDE / 2
    return (~(off_y[:, :, None] & off_x[:, None, :]))[:, None].to(images)
