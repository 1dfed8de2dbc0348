"""Classical augmentation of whole batches: one random change an image, computed for all images at once.

Torchvision's transforms draw one change for a whole batch, and a Python loop over its images costs more than the
training step that they are for. Here every image has its own draw, and all geometric changes are one resampling.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F

from gan.augment import warp

Augment = Literal["none", "affine", "trivial"]

GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
PHOTOMETRIC = ("brightness", "contrast", "saturation", "sharpness", "posterise", "solarise")
OPERATIONS = ("identity", *GEOMETRIC, *PHOTOMETRIC)

MAX_ROTATION = math.radians(15)
MAX_SHEAR = 0.15
MAX_SHIFT = 0.125  # of the image's side: one pixel at 8x8
MAX_LOG_SCALE = math.log(1.15)
TRIVIAL_STRENGTH = 2.0  # a single change may be stronger than five at once
MAX_LOG_FACTOR = math.log(2.0)


def augment(images: torch.Tensor, kind: Augment, generator: torch.Generator) -> torch.Tensor:
    """Changes each image by a draw of its own.

    ``affine`` rotates, shears, scales and shifts every image a little, all at once (the geometric half of RandAugment,
    Cubuk et al. 2020). ``trivial`` gives each image one operation at one uniform strength (TrivialAugment, Müller &
    Hutter 2021): a geometric one within twice the bounds of ``affine``, or a photometric one.

    Args:
        images: float32 (N, C, H, W) in [-1, 1], on any device.
        kind: ``none`` returns ``images`` as they are and draws nothing.
        generator: on the CPU.

    Returns:
        float32 (N, C, H, W) in [-1, 1].
    """
    if kind == "none":
        return images
    count = len(images)
    if kind == "affine":
        strength = torch.rand(count, 6, generator=generator) * 2 - 1
        return warp(images, _matrices(strength))
    chosen = torch.randint(len(OPERATIONS), (count,), generator=generator)
    strength = (torch.rand(count, generator=generator) * 2 - 1) * TRIVIAL_STRENGTH
    moves = torch.zeros(count, 6)
    for column, name in enumerate(GEOMETRIC):
        moves[:, column] = strength * (chosen == OPERATIONS.index(name))
    images = warp(images, _matrices(moves))
    for name in PHOTOMETRIC:
        rows = (chosen == OPERATIONS.index(name)).nonzero().flatten()
        if len(rows):
            changed = _photometric(images[rows], name, (strength[rows] / TRIVIAL_STRENGTH).to(images.device))
            images[rows] = changed.clamp(-1, 1)
    return images


def _matrices(strength: torch.Tensor) -> torch.Tensor:
    """(N, 6) strengths (rotate, shear x, shear y, shift x, shift y, scale; 1 is the bound) -> (N, 2, 3) matrices."""
    angle = strength[:, 0] * MAX_ROTATION
    shear_x, shear_y = strength[:, 1] * MAX_SHEAR, strength[:, 2] * MAX_SHEAR
    scale = torch.exp(strength[:, 5] * MAX_LOG_SCALE)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = strength[:, 3:5] * MAX_SHIFT * 2  # the grid's side is 2
    top = torch.stack([cos - sin * shear_y, cos * shear_x - sin, shift[:, 0]], dim=1)
    bottom = torch.stack([sin + cos * shear_y, sin * shear_x + cos, shift[:, 1]], dim=1)
    return torch.stack([top, bottom], dim=1)


def _photometric(images: torch.Tensor, name: str, strength: torch.Tensor) -> torch.Tensor:
    """One photometric operation; ``strength`` (N,) in [-1, 1]. May leave [-1, 1]."""
    level = strength.view(-1, 1, 1, 1)
    factor = torch.exp(level * MAX_LOG_FACTOR)
    if name == "brightness":
        return (images + 1) * factor - 1
    if name == "posterise":
        levels = torch.round(4 + 4 * (1 - level.abs()))  # 4 to 8 levels
        return torch.round((images + 1) / 2 * (levels - 1)) / (levels - 1) * 2 - 1
    if name == "solarise":
        return torch.where(images > 1 - level.abs(), -images, images)
    if name == "contrast":
        base = images.mean(dim=(1, 2, 3), keepdim=True)
    elif name == "saturation":
        base = images.mean(dim=1, keepdim=True).expand_as(images)
    else:
        base = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return base + (images - base) * factor
