"""Are images and their mirror images draws of one distribution? A permutation test within classes that flips images."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan.symmetry import reflect
from pipeline.metrics.two_sample import PERMUTATIONS, two_sample

SIDE = 16  # pixels of what is compared
CELLS, DIRECTIONS = 4, 8  # of a side, and of the compass
MOST_OF_A_CLASS = 400
LEVEL, POWER = 0.05, 1.64  # of a test, and the deviations that a shift needs more than that to be seen in 19 of 20 sets


class Asymmetry(NamedTuple):
    """A test of the hypothesis that within every class an image is as likely as its mirror image.

    What mirroring does to an image is a step in the space of the kernel. ``share`` says how much of the steps' squared
    length is one that all images of a class take alike: 0 where mirroring changes nothing in the whole, 1 where it does
    the same to every image.

    Attributes:
        p: how often images flipped at random lie as far from their mirror images, in the class that shows it most or
            in all together; uniform in (0, 1] where the hypothesis is true.
        share: over all classes; around 0 where the hypothesis is true.
        visible: the least share over all classes that would have been seen at 5 % in 19 of 20 such sets.
        visible_worst: the same of a single class, the largest of all; infinite where a class cannot be tested.
    """

    p: float
    share: float
    visible: float
    visible_worst: float


def thumbnails(images: np.ndarray) -> np.ndarray:
    """What is compared: uint8 (N, C, S, S) to float32 (N, C, s, s) in [0, 1], s up to :data:`SIDE`."""
    pixels = torch.from_numpy(images).float() / 255
    side = min(SIDE, pixels.shape[-1])
    return F.interpolate(pixels, (side, side), mode="area").numpy()


def asymmetry(
    small: np.ndarray, labels: np.ndarray, units: np.ndarray, code: int, rng: np.random.Generator
) -> Asymmetry:
    """Compares images with their mirror images by the kernel of :func:`pipeline.metrics.kid.kid`, class by class.

    With h(i, j) = k(x, y) + k(Tx, Ty) - k(x, Ty) - k(Tx, y) for images x, y and their mirror images, the squared MMD
    (Gretton et al. 2012) is the mean of h over pairs. To flip image i turns the sign of h(i, j). Where the hypothesis
    is true each image is its own or its mirror image by the toss of a coin, so that random signs make the test exact.

    Args:
        small: float32 (N, C, s, s), see :func:`thumbnails`.
        labels: int64 (N,).
        units: int64 (N,), images of one number belong together (near duplicates, one scene) and are flipped together.
        code: of :func:`gan.symmetry.reflect`, one that undoes itself: 1, 2 or 4.
        rng: picks images of large classes, and the signs.
    """
    images = torch.from_numpy(small)
    here, there = _described(images, reflect(images, torch.full((len(images),), code)))
    found, counts = [], []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = np.sort(rng.permutation(rows)[:MOST_OF_A_CLASS])
        counts.append(len(rows))
        found.append(_shares(here[rows], there[rows], units[rows], rng))
    known = [one for one in found if one is not None]
    if not known:
        return Asymmetry(1.0, 0.0, np.inf, np.inf)
    weights = [count for count, one in zip(counts, found, strict=True) if one is not None]
    shares = np.stack([np.average(known, axis=0, weights=weights), *known])  # all together, then each class
    deviations = shares[:, 1:].std(axis=1)
    scores = (shares / np.where(deviations > 0, deviations, 1)[:, None]).max(axis=0)
    visible = np.quantile(shares[:, 1:], 1 - LEVEL, axis=1) + POWER * deviations
    p = float((scores >= scores[0] - 1e-9).mean())  # itself among them
    return Asymmetry(
        p, float(shares[0, 0]), float(visible[0]), np.inf if len(known) < len(found) else float(visible[1:].max())
    )


def told_apart(small: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> float:
    """The share of the classes that are told, at 5 %, from as many images of the others: whether so many say anything.

    Args:
        small: float32 (N, C, s, s), see :func:`thumbnails`.
        labels: int64 (N,).
        rng: picks the others, and relabels them.
    """
    images = torch.from_numpy(small)
    rows = _described(images, images)[0].numpy()
    found = []
    for label in np.unique(labels):
        own, others = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
        others = np.sort(rng.permutation(others)[: len(own)])
        one, other = np.zeros(len(own), np.int64), np.zeros(len(others), np.int64)
        test = two_sample(rows[own], rows[others], one, other, rng)
        found.append(test is not None and test.p <= LEVEL)
    return float(np.mean(found))


def _shares(here: Tensor, there: Tensor, units: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """The share of a class's images (n, D) as they are, then flipped at random: float64 (P + 1,)."""
    apart = torch.from_numpy(units[:, None] != units[None])
    if not apart.any():
        return None
    h = _kernel(here, here) + _kernel(there, there) - _kernel(here, there) - _kernel(there, here)
    length = float(h.diagonal().mean())
    if length <= 1e-9 * float(_kernel(here, here).diagonal().mean()):
        return np.zeros(PERMUTATIONS + 1)  # every image is its own mirror image
    h = torch.where(apart, h, 0.0) / (length * float(apart.sum()))
    _, unit = np.unique(units, return_inverse=True)
    signs = rng.choice([-1.0, 1.0], size=(int(unit.max()) + 1, PERMUTATIONS + 1))
    signs[:, 0] = 1
    flipped = torch.from_numpy(signs[unit])
    return (flipped * (h @ flipped)).sum(0).numpy()


def _kernel(rows: Tensor, columns: Tensor) -> Tensor:
    return (rows @ columns.T / rows.shape[1] + 1) ** 3


def _described(images: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
    """Features of both, float64 (N, D): pixels, and how edges run in each part; either kind weighs the same.

    Which of the two an image is has no bearing on the scale, or the test would not be exact.
    """
    parts: list[list[Tensor]] = [[], []]
    for kind in (lambda x: x.flatten(1).double(), _edges):
        both = torch.cat([kind(images), kind(mirrored)])
        both = both - both.mean(0)
        scale = both.square().mean().sqrt().clamp(min=1e-12) * both.shape[1] ** 0.5
        for part, found in zip(parts, (both / scale).chunk(2), strict=True):
            part.append(found)
    here, there = (torch.cat(part, 1) for part in parts)
    scale = (here.shape[1] / 2) ** 0.5
    return here * scale, there * scale


def _edges(images: Tensor) -> Tensor:
    """Histograms of directed gradients in :data:`CELLS` x :data:`CELLS` cells (Dalal & Triggs 2005): float64 (N, D)."""
    grey = images.double().mean(1)
    across, down = (
        step.unsqueeze(1) for step in (grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2], grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1])
    )
    length = torch.hypot(across, down)
    turns = torch.arange(DIRECTIONS).double().view(-1, 1, 1) * (2 * torch.pi / DIRECTIONS)
    cosine = (across * turns.cos() + down * turns.sin()).clamp(min=0) / length.clamp(min=1e-12)
    return F.adaptive_avg_pool2d(length * cosine**3, CELLS).flatten(1)
