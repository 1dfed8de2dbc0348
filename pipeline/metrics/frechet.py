"""The Fréchet distance between two sets of features, each taken as a Gaussian."""

import numpy as np
import torch

from pipeline.metrics.distances import spans

BLOCK_ROWS = 1024
ERROR_MOST = 1e-7  # of the distance, for the faster of both ways


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), of Dowson & Landau 1982, with the unbiased covariances, in float64.

    Called FID only where the features are those of the 2015 Inception network (Heusel et al. 2017). It is biased
    upwards for few rows: compare at equal N alone.

    Where both sets have more rows than features, (C1 C2)^½ comes from the covariances, if rounding then costs less than
    1e-7 of the distance (to first order); else, as with singular covariances, from the rows, which loses no digits and
    takes several times as long.

    Memory does not grow with N: some eight D x D matrices and a block of 2 D rows, below 0.5 GiB at D = 2048.

    >>> rows = np.random.default_rng(0).normal(size=(100, 4))
    >>> round(frechet_distance(rows, rows + 1), 6)  # four features, each moved by 1
    4.0

    Args:
        first: any float dtype (N, D), N > 1.
        second: (M, D), M > 1.

    Raises:
        ValueError: fewer than two rows.
    """
    rows, features = min(len(first), len(second)), first.shape[1]
    if rows < 2:
        raise ValueError(f"a covariance needs two rows or more, not {rows}")
    means = [values.mean(axis=0, dtype=np.float64) for values in (first, second)]
    shift = float(np.square(means[0] - means[1]).sum())
    if rows > features:
        spread = _spread_of_covariances(_covariance(first, means[0]), _covariance(second, means[1]), shift)
        if spread is not None:
            return shift + spread
    return shift + _spread_of_factors(_factor(first, means[0]), _factor(second, means[1]))


def _spread_of_covariances(first: torch.Tensor, second: torch.Tensor, shift: float) -> float | None:
    """tr(C1 + C2 - 2 (C1 C2)^½) by the eigenvalues of LᵀC2L with C1 = LLᵀ; ``None`` if they are not exact enough.

    An eigenvalue is known to about ε |C1| |C2|, so its root to that over the root: the smallest ones are the worst.
    """
    lower, failed = torch.linalg.cholesky_ex(first)
    if failed:
        return None
    values = torch.linalg.eigvalsh(lower.T @ second @ lower)
    noise = float(first.norm() * second.norm()) * torch.finfo(torch.float64).eps
    error = float((noise / values.clamp_min(noise).sqrt()).sum())
    spread = float(first.trace() + second.trace() - 2 * values.clamp_min(0).sqrt().sum())
    return spread if error <= ERROR_MOST * (shift + spread) else None


def _spread_of_factors(first: np.ndarray, second: np.ndarray) -> float:
    """The same with C = RᵀR: tr (C1 C2)^½ is the nuclear norm of R1 R2ᵀ, and no covariance is formed."""
    cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(np.square(first).sum() + np.square(second).sum() - 2 * cross)


def _covariance(rows: np.ndarray, mean: np.ndarray) -> torch.Tensor:
    """Float64 (D, D), in one pass over blocks of rows."""
    total = np.zeros((len(mean), len(mean)))
    for span in spans(len(rows), BLOCK_ROWS):
        centred = rows[span] - mean
        total += centred.T @ centred  # numpy sees the symmetry and does half of the work, torch does all of it
    return torch.from_numpy(total / (len(rows) - 1))


def _factor(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A factor R (min(N, D), D) with RᵀR the covariance, in one pass over blocks of rows."""
    factor = np.empty((0, rows.shape[1]))
    for span in spans(len(rows), max(BLOCK_ROWS, 2 * rows.shape[1])):
        stacked = torch.from_numpy(np.vstack([factor, rows[span] - mean]))
        factor = torch.linalg.qr(stacked, mode="r").R.numpy()
    return factor / np.sqrt(len(rows) - 1)
