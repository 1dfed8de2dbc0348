"""Do two labelled sets come from one source? A permutation test on the kernel distance, within classes."""

from typing import NamedTuple

import numpy as np

MOST_OF_A_CLASS = 200  # images of a class and side that are compared
PERMUTATIONS = 999


class TwoSample(NamedTuple):
    """A test of the hypothesis that within every class both sets are draws of one distribution.

    Attributes:
        distance: the kernel distance (unbiased MMD²) within classes, averaged over them; around 0 for equal sets.
        p: how often relabelled images lie as far apart; uniform in (0, 1] for equal sets.
        images: that were compared, of the first and of the second set.
    """

    distance: float
    p: float
    images: tuple[int, int]


def two_sample(
    first: np.ndarray,
    second: np.ndarray,
    first_labels: np.ndarray,
    second_labels: np.ndarray,
    rng: np.random.Generator,
) -> TwoSample | None:
    """Compares two sets class by class (Gretton et al. 2012) with the kernel of :func:`pipeline.metrics.kid.kid`.

    Images change sides within their class alone, so that other class shares decide nothing. A class weighs as the
    harmonic mean of its numbers. Of large classes up to :data:`MOST_OF_A_CLASS` random images are taken a side.

    >>> rng = np.random.default_rng(0)
    >>> here, there, labels = rng.normal(size=(60, 8)), rng.normal(size=(60, 8)) + 1, np.zeros(60, int)
    >>> two_sample(here, there, labels, labels, rng).p
    0.001

    Args:
        first: float (N, D), features.
        second: float (M, D).
        first_labels: int64 (N,).
        second_labels: int64 (M,).
        rng: picks images and relabels them.

    Returns:
        None where no class has two images on each side.
    """
    distances, weights, images = [], [], np.zeros(2, np.int64)
    for label in np.intersect1d(first_labels, second_labels):
        sides = [_some(rows[labels == label], rng) for rows, labels in ((first, first_labels), (second, second_labels))]
        counts = np.array([len(side) for side in sides])
        if counts.min() < 2:
            continue
        distances.append(_distances(np.concatenate(sides).astype(np.float64), len(sides[0]), rng))
        weights.append(counts.prod() / counts.sum())
        images += counts
    if not distances:
        return None
    found = np.average(distances, axis=0, weights=weights)  # the first one as the sides are, then relabelled
    least = found[0] - 1e-9 * np.abs(found).max()  # the same parts, summed in another order, are no further apart
    p = float((found >= least).mean())  # itself among them
    return TwoSample(float(found[0]), p, (int(images[0]), int(images[1])))


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= MOST_OF_A_CLASS else rows[np.sort(rng.permutation(len(rows))[:MOST_OF_A_CLASS])]


def _distances(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """MMD² of the first ``n`` of ``rows`` against the others, then of random parts of that size: float64 (P + 1,)."""
    total = len(rows)
    kernel = (rows @ rows.T / rows.shape[1] + 1) ** 3
    np.fill_diagonal(kernel, 0)
    order = np.argsort(rng.random((PERMUTATIONS, total)), axis=1)
    inside = np.zeros((total, PERMUTATIONS + 1))
    inside[:n, 0] = 1
    inside[order[:, :n].ravel(), np.repeat(np.arange(1, PERMUTATIONS + 1), n)] = 1
    with_inside = kernel @ inside
    own = (inside * with_inside).sum(axis=0)
    across = ((1 - inside) * with_inside).sum(axis=0)
    others = kernel.sum() - own - 2 * across
    m = total - n
    return own / (n * (n - 1)) + others / (m * (m - 1)) - 2 * across / (n * m)
