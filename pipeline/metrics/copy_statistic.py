"""C_T: whether synthetic images lie nearer to training images than unseen real ones do, wherever they lie."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

CELLS_MOST = 10
IMAGES_A_CELL = 40  # aimed at, of the smaller of both sets
LEAST = 10  # of both kinds, for a cell to count
CLUSTERED_MOST = 10_000  # training images; more would not move the cells


class CopyStatistic(NamedTuple):
    """The statistic, how far it strays by chance where nothing is copied (one deviation), and the cells it is from."""

    value: float
    deviation: float
    cells: int


def cell_centres(train: np.ndarray, smaller: int, seed: int) -> np.ndarray:
    """Centres of cells by k-means on the training images: float64 (cells, D).

    Args:
        train: features, float32 (N, D).
        smaller: the size of the smaller of the two sets that will be compared.
        seed: of the rows taken where there are many, and of the first centres.
    """
    rng = np.random.default_rng(seed)
    if len(train) > CLUSTERED_MOST:
        train = train[np.sort(rng.choice(len(train), CLUSTERED_MOST, replace=False))]
    cells = min(max(smaller // IMAGES_A_CELL, 1), CELLS_MOST, len(train))
    with threadpool_limits(1):  # several threads add up in any order, and the last digits follow it
        fitted = KMeans(cells, n_init=1, random_state=seed % 2**32).fit(train.astype(np.float64))
    return fitted.cluster_centers_


def copy_statistic(
    synthetic: np.ndarray, held_out: np.ndarray, synthetic_cells: np.ndarray, held_out_cells: np.ndarray
) -> CopyStatistic | None:
    """C_T of Meehan, Chaudhuri & Dasgupta 2020, "A non-parametric test to detect data-copying in generative models".

    In each cell, the Mann-Whitney z of the synthetic distances above the held-out real ones; over the cells, their mean
    weighted by the held-out real images in each. Below 0 the synthetic images are nearer to training images than real
    ones are (copying), above 0 farther away (poor fit), about 0 as far.

    Args:
        synthetic: distances to the nearest training image, (N,), in any unit.
        held_out: the same of held-out real images, (M,).
        synthetic_cells: int64 (N,), the cell of each.
        held_out_cells: int64 (M,).

    Returns:
        ``None`` where no cell has enough images of both kinds.
    """
    weights, scores = [], []
    for cell in np.unique(held_out_cells):
        drawn, real = synthetic[synthetic_cells == cell], held_out[held_out_cells == cell]
        if min(len(drawn), len(real)) >= LEAST:
            weights.append(len(real))
            scores.append(mann_whitney_z(drawn, real))
    if not weights:
        return None
    shares = np.array(weights) / sum(weights)
    return CopyStatistic(float(shares @ scores), float(np.sqrt(np.square(shares).sum())), len(weights))


def mann_whitney_z(first: np.ndarray, second: np.ndarray) -> float:
    """How far ``first`` (N,) lies above ``second`` (M,) by ranks, in standard deviations; ties count as half."""
    n, m = len(first), len(second)
    ranks = rankdata(np.concatenate([first, second]))
    above = ranks[:n].sum() - n * (n + 1) / 2
    total = n + m
    _, ties = np.unique(ranks, return_counts=True)
    variance = n * m / 12 * (total + 1 - (ties**3 - ties).sum() / (total * (total - 1)))
    return float((above - n * m / 2) / np.sqrt(variance)) if variance > 0 else 0.0
