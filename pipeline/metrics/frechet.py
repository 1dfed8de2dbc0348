"""The Fréchet distance between two sets of features, each taken as a Gaussian."""

import numpy as np
import torch

from pipeline.metrics.distances import spans

BLOCK_ROWS = 4096


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), of Dowson & Landau 1982, with the unbiased covariances.

    Called FID only where the features are those of the 2015 Inception network (Heusel et al. 2017). It is biased
    upwards for few rows: compare at equal N alone.

    With C = RᵀR, tr (C1 C2)^½ is the nuclear norm of R1 R2ᵀ. No covariance is formed and no root of a matrix taken, so
    singular covariances (fewer rows than features) cost no accuracy.

    Args:
        first: any float dtype (N, D), N > 1.
        second: (M, D), M > 1.

    Raises:
        ValueError: fewer than two rows.
    """
    mean_first, factor_first = _gaussian(first)
    mean_second, factor_second = _gaussian(second)
    cross = np.linalg.svd(factor_first @ factor_second.T, compute_uv=False).sum()
    spread = np.square(factor_first).sum() + np.square(factor_second).sum()
    return float(np.square(mean_first - mean_second).sum() + spread - 2 * cross)


def _gaussian(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) and a factor R (min(N, D), D) with RᵀR the covariance, in one pass over blocks of rows each."""
    if len(rows) < 2:
        raise ValueError(f"a covariance needs two rows or more, not {len(rows)}")
    mean = rows.mean(axis=0, dtype=np.float64)
    factor = np.empty((0, rows.shape[1]))
    for span in spans(len(rows), max(BLOCK_ROWS, rows.shape[1])):
        stacked = torch.from_numpy(np.vstack([factor, rows[span] - mean]))
        factor = torch.linalg.qr(stacked, mode="r").R.numpy()
    return mean, factor / np.sqrt(len(rows) - 1)
