"""How far synthetic features lie among real ones, and real ones among synthetic: balls around nearest neighbours."""

from typing import NamedTuple

import numpy as np

from pipeline.metrics.distances import blocks, kth_nearest


class Manifold(NamedTuple):
    """Shares in [0, 1], but for the density, which has no upper bound and expects 1 of real images."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(real: np.ndarray, synthetic: np.ndarray, k: int) -> Manifold:
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    Every image has a ball that reaches to its k-th nearest neighbour of its own kind. Precision: synthetic images in
    a real one's ball. Recall: real images in a synthetic one's ball. Density: real balls around a synthetic image,
    over k. Coverage: real balls with a synthetic image in them. All four move with N and k: compare at equal ones.

    Memory beyond the features themselves stays below 100 MiB whatever N, M and D: see :func:`blocks`.

    >>> real = np.random.default_rng(0).normal(size=(50, 4))
    >>> manifold(real, real + 100, k=3)
    Manifold(precision=0.0, recall=0.0, density=0.0, coverage=0.0)

    Args:
        real: any float dtype (N, D), N > k.
        synthetic: (M, D), M > k.
        k: 5 in Naeem et al., 3 in Kynkäänniemi et al.

    Raises:
        ValueError: too few rows.
    """
    real_radii, synthetic_radii = kth_nearest(real, k), kth_nearest(synthetic, k)
    precise = np.zeros(len(synthetic), dtype=bool)
    recalled, covered = np.zeros((2, len(real)), dtype=bool)
    balls = 0
    for row, column, squared in blocks(real, synthetic):
        in_real = squared <= real_radii[row, None]
        balls += int(np.count_nonzero(in_real))
        precise[column] |= in_real.any(axis=0)
        covered[row] |= in_real.any(axis=1)
        recalled[row] |= (squared <= synthetic_radii[column]).any(axis=1)
    return Manifold(
        precision=float(precise.mean()),
        recall=float(recalled.mean()),
        density=balls / (k * len(synthetic)),
        coverage=float(covered.mean()),
    )


def coverage(real: np.ndarray, synthetic: np.ndarray, k: int) -> float:
    """The coverage alone, for which one synthetic image is enough; shapes as in :func:`manifold`."""
    radii = kth_nearest(real, k)
    covered = np.zeros(len(real), dtype=bool)
    for row, _, squared in blocks(real, synthetic):
        covered[row] |= (squared <= radii[row, None]).any(axis=1)
    return float(covered.mean())
