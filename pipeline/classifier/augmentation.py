"""Classical augmentation of whole batches: each image by amounts of its own, computed for all images at once.

Torchvision's transforms make one change for a whole batch, and a Python loop over its images costs more than the
training step that they are for. Here are torchvision v2's operations and bounds, but all geometric changes of a batch
are one bilinear resampling about the middle, which mirrors what comes in from outside (torchvision: nearest, black).
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as vision

from gan.augment import warp
from gan.symmetry import SYMMETRIES, reflect

Augment = Literal["none", "affine", "trivial", "rand"]
Flips = Literal["none", "horizontal", "dihedral"]

# Both as in torchvision's RandAugment. TrivialAugmentWide's bounds (135 degrees, 32 pixels) destroy small images.
GEOMETRIC = {"shear_x": 0.3, "shear_y": 0.3, "shift_x": 150 / 331, "shift_y": 150 / 331, "rotate": math.radians(30)}
PHOTOMETRIC = ("brightness", "saturation", "contrast", "sharpness", "posterise", "solarise", "autocontrast", "equalise")
OPERATIONS = ("identity", *GEOMETRIC, *PHOTOMETRIC)
BINS = 31
RAND_OPERATIONS, RAND_LEVEL = 2, 9 / (BINS - 1)
MAX_FACTOR = 0.9  # a blend's factor is 1 plus or minus so much

# of ``affine``: a column each of _matrices' amounts
AFFINE = torch.tensor([0.15, 0.15, 0.125, 0.125, math.radians(15), math.log(1.15)])


def flip(images: torch.Tensor, kind: Flips, rng: torch.Generator) -> torch.Tensor:
    """Each image as it is or as one of its mirror images, all equally likely; see :mod:`gan.symmetry`.

    Args:
        images: float32 (N, C, H, H).
        kind: ``none`` returns ``images`` as they are and asks for no random number.
        rng: on the CPU.
    """
    if kind == "none":
        return images
    return reflect(images, torch.randint(SYMMETRIES[kind], (len(images),), generator=rng))


def augment(images: torch.Tensor, kind: Augment, rng: torch.Generator) -> torch.Tensor:
    """Changes each image by amounts of its own.

    ``affine`` shears, shifts, rotates and scales every image a little, all at once. ``trivial`` gives each image one
    operation at one uniform strength (TrivialAugment, Müller & Hutter 2021, in RandAugment's space), ``rand`` two in
    turn at strength 9 of 30 (RandAugment, Cubuk et al. 2020).

    Args:
        images: float32 (N, C, H, W) in [-1, 1], on any device.
        kind: ``none`` returns ``images`` as they are and asks for no random number.
        rng: on the CPU.

    Returns:
        float32 (N, C, H, W) in [-1, 1].
    """
    count = len(images)
    if kind == "none":
        return images
    if kind == "affine":
        return warp(images, _matrices((torch.rand(count, 6, generator=rng) * 2 - 1) * AFFINE))
    for _ in range(1 if kind == "trivial" else RAND_OPERATIONS):
        chosen = torch.randint(len(OPERATIONS), (count,), generator=rng)
        sign = torch.randint(2, (count,), generator=rng) * 2.0 - 1
        if kind == "trivial":
            level = torch.randint(BINS, (count,), generator=rng) / (BINS - 1)
        else:
            level = torch.full((count,), RAND_LEVEL)
        images = _operate(images, chosen, level * sign)
    return images


def _operate(images: torch.Tensor, chosen: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Operation ``chosen`` (N,) on each image; ``level`` (N,) in [-1, 1], its sign the way where there are two."""
    amounts = torch.zeros(len(images), 6)
    for column, (name, most) in enumerate(GEOMETRIC.items()):
        amounts[:, column] = level * most * (chosen == OPERATIONS.index(name))
    unit = (warp(images, _matrices(amounts)) + 1) / 2
    for name in PHOTOMETRIC:
        rows = (chosen == OPERATIONS.index(name)).nonzero().flatten().to(images.device)
        if len(rows):
            unit[rows] = _photometric(unit[rows], name, level.to(images.device)[rows]).clamp(0, 1)
    return unit * 2 - 1


def _matrices(amounts: torch.Tensor) -> torch.Tensor:
    """(N, 6) amounts (shear x, y; shift x, y in sides; rotation in radians; log scale) -> (N, 2, 3) matrices."""
    shear_x, shear_y = amounts[:, 0], amounts[:, 1]
    scale = torch.exp(amounts[:, 5])
    cos, sin = torch.cos(amounts[:, 4]) * scale, torch.sin(amounts[:, 4]) * scale
    shift = amounts[:, 2:4] * 2  # the grid's side is 2
    top = torch.stack([cos - sin * shear_y, cos * shear_x - sin, shift[:, 0]], dim=1)
    bottom = torch.stack([sin + cos * shear_y, sin * shear_x + cos, shift[:, 1]], dim=1)
    return torch.stack([top, bottom], dim=1)


def _photometric(unit: torch.Tensor, name: str, level: torch.Tensor) -> torch.Tensor:
    """One photometric operation on images in [0, 1]; ``level`` (N,) in [-1, 1]. May leave [0, 1]."""
    level = level.view(-1, 1, 1, 1)
    if name == "autocontrast":
        return vision.autocontrast(unit)
    if name == "equalise":
        return vision.equalize(unit)
    if name == "solarise":
        return torch.where(unit >= 1 - level.abs(), 1 - unit, unit)
    if name == "posterise":
        step = 2 ** torch.round(4 * level.abs())  # 8 to 4 bits are left
        return torch.floor(torch.round(unit * 255) / step) * step / 255
    return torch.lerp(_base(unit, name), unit, 1 + level * MAX_FACTOR)


def _base(unit: torch.Tensor, name: str) -> torch.Tensor:
    """What an image is blended with: factor 0 gives this, 1 the image itself."""
    if name == "brightness":
        return torch.zeros_like(unit)
    if name == "sharpness":
        kernel = torch.ones(3, 3, device=unit.device)
        kernel[1, 1] = 5
        blurred = unit.clone()  # the border stays as it is
        blurred[..., 1:-1, 1:-1] = F.conv2d(unit, (kernel / 13).expand(unit.shape[1], 1, 3, 3), groups=unit.shape[1])
        return blurred
    grey = vision.rgb_to_grayscale(unit) if unit.shape[1] == 3 else unit
    return grey.expand_as(unit) if name == "saturation" else grey.mean(dim=(1, 2, 3), keepdim=True).expand_as(unit)
