"""Classical augmentation of whole batches: each image by amounts of its own, computed for all images at once.

Torchvision's transforms make one change for a whole batch, and a Python loop over its images costs more than the
training step that they are for. Here are torchvision v2's operations and bounds, but all geometric changes of a batch
are one bilinear resampling about the middle, which mirrors what comes in from outside (torchvision: nearest, black).
"""

import math
from typing import Literal

import torch

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

POSTERISED = torch.tensor([1.0, 2, 4, 8, 16])  # 8 to 4 bits are left
GREY = (0.2989, 0.587, 0.114)

# of ``affine``: a column each of _matrices' amounts
AFFINE = torch.tensor([0.15, 0.15, 0.125, 0.125, math.radians(15), math.log(1.15)])


def flip(images: torch.Tensor, kind: Flips, *rngs: torch.Generator) -> torch.Tensor:
    """Each image as it is or as one of its mirror images, all equally likely; see :mod:`gan.symmetry`.

    Args:
        images: float32 (N, C, H, H).
        kind: ``none`` returns ``images`` as they are and asks for no random number.
        rngs: on the CPU; each draws for an equal part of the images, one part after the other.
    """
    if kind == "none":
        return images
    count = len(images) // len(rngs)
    return reflect(images, torch.cat([torch.randint(SYMMETRIES[kind], (count,), generator=rng) for rng in rngs]))


def augment(images: torch.Tensor, kind: Augment, *rngs: torch.Generator) -> torch.Tensor:
    """Changes each image by amounts of its own.

    ``affine`` shears, shifts, rotates and scales every image a little, all at once. ``trivial`` gives each image one
    operation at one uniform strength (TrivialAugment, Müller & Hutter 2021, in RandAugment's space), ``rand`` two in
    turn at strength 9 of 30 (RandAugment, Cubuk et al. 2020).

    Args:
        images: float32 (N, C, H, W) in [-1, 1], on any device.
        kind: ``none`` returns ``images`` as they are and asks for no random number.
        rngs: on the CPU; each makes the amounts of an equal part of the images, one part after the other.

    Returns:
        float32 (N, C, H, W) in [-1, 1].
    """
    count = len(images) // len(rngs)
    if kind == "none":
        return images
    if kind == "affine":
        # a part at a time: a cosine's last bit may depend on where in an array it stands
        amounts = [(torch.rand(count, 6, generator=rng) * 2 - 1) * AFFINE for rng in rngs]
        return warp(images, torch.cat([_matrices(one) for one in amounts]))
    for _ in range(1 if kind == "trivial" else RAND_OPERATIONS):
        chosen, level, matrices = zip(*[_draw(count, kind, rng) for rng in rngs], strict=True)
        images = _operate(images, torch.cat(chosen), torch.cat(level), torch.cat(matrices))
    return images


def _draw(count: int, kind: Augment, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """An operation for each image (N,), its level (N,) in [-1, 1], and what it does to its geometry (N, 2, 3).

    A level's sign is the way where there are two.
    """
    chosen = torch.randint(len(OPERATIONS), (count,), generator=rng)
    sign = torch.randint(2, (count,), generator=rng) * 2.0 - 1
    if kind == "trivial":
        level = sign * (torch.randint(BINS, (count,), generator=rng) / (BINS - 1))
    else:
        level = sign * RAND_LEVEL
    amounts = torch.zeros(count, 6)
    for column, (name, most) in enumerate(GEOMETRIC.items()):
        amounts[:, column] = level * most * (chosen == OPERATIONS.index(name))
    return chosen, level, _matrices(amounts)


def _operate(images: torch.Tensor, chosen: torch.Tensor, level: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Each image changed by what :func:`_draw` gave it."""
    unit = (warp(images, matrices) + 1) / 2
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
    """One photometric operation on images in [0, 1]; ``level`` (N,) in [-1, 1]. May leave [0, 1].

    Each step rounds once, so that an image's bits do not depend on which others there are.
    """
    level = level.view(-1, 1, 1, 1)
    if name == "autocontrast":
        return _stretched(unit)
    if name == "equalise":
        return _equalised(unit)
    if name == "solarise":
        return torch.where(unit >= 1 - level.abs(), 1 - unit, unit)
    if name == "posterise":
        step = POSTERISED.to(unit.device)[torch.round(4 * level.abs()).long()]
        return torch.floor(torch.round(unit * 255) / step) * step / 255
    base = _base(unit, name)
    return base + (unit - base) * (1 + level * MAX_FACTOR)


def _stretched(unit: torch.Tensor) -> torch.Tensor:
    """Each channel from its least to its largest value, brought to 0 to 1; one of a single value stays."""
    least, most = unit.amin((2, 3), keepdim=True), unit.amax((2, 3), keepdim=True)
    flat = least == most
    return (unit - least.masked_fill(flat, 0)) / (most - least).masked_fill(flat, 1)


def _equalised(unit: torch.Tensor) -> torch.Tensor:
    """Each channel's 256 levels in such steps that all are about equally frequent, as Pillow's ``equalize`` does."""
    levels = (unit * 255.999).long().flatten(2)
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.long, device=unit.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    every = torch.arange(256, device=unit.device).expand_as(counts)
    of_last = counts.gather(2, levels.amax(2, keepdim=True))
    step = (levels.shape[2] - of_last) // 255
    table = ((counts.cumsum(2) - counts + step // 2) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, table, every).gather(2, levels).view(unit.shape) / 255


def _base(unit: torch.Tensor, name: str) -> torch.Tensor:
    """What an image is blended with: factor 0 gives this, 1 the image itself."""
    if name == "brightness":
        return torch.zeros_like(unit)
    if name == "sharpness":
        blurred = unit.clone()  # the border stays as it is
        rows = unit[..., :-2, :] + unit[..., 1:-1, :] + unit[..., 2:, :]
        inner = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
        blurred[..., 1:-1, 1:-1] = (inner + unit[..., 1:-1, 1:-1] * 4) / 13
        return blurred
    grey = _grey(unit) if unit.shape[1] == 3 else unit
    return (grey if name == "saturation" else _mean(grey)).expand_as(unit)


def _grey(unit: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) -> (N, 1, H, W), as torchvision weighs the colours."""
    red, green, blue = (unit[:, [channel]] * share for channel, share in enumerate(GREY))
    return red + green + blue


def _mean(x: torch.Tensor) -> torch.Tensor:
    """The mean of each image (N, 1, H, W), summed in an order of its own: (N, 1, 1, 1)."""
    sums = x.flatten(1)
    while (width := sums.shape[1]) > 1:
        rest = sums[:, width // 2 * 2 :]
        sums = torch.cat([sums[:, : width // 2] + sums[:, width // 2 : width // 2 * 2], rest], 1)
    return sums.view(-1, 1, 1, 1) / x[0].numel()
