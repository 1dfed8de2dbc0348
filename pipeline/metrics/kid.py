"""The kernel distance of Bińkowski et al. 2018 (KID): unbiased at any number of images, so fit for few of them."""

from typing import NamedTuple

import numpy as np
import torch

from pipeline.metrics.distances import BLOCK_COLUMNS, BLOCK_ROWS, spans


class Kid(NamedTuple):
    """The squared maximum mean discrepancy, which may fall below 0, and its standard error."""

    value: float
    standard_error: float


def kid(first: np.ndarray, second: np.ndarray) -> Kid:
    """Unbiased MMD² with the kernel (a·b / D + 1)³, from all rows and not from random subsets of them.

    The standard error is the delete-one jackknife over both sets. It is close where the sets differ, and errs on the
    large side (by up to √2) where they do not.

    Args:
        first: any float dtype (N, D), N > 2.
        second: (M, D), M > 2.

    Raises:
        ValueError: fewer than three rows.
    """
    n, m = len(first), len(second)
    if min(n, m) < 3:
        raise ValueError(f"KID with its standard error needs three rows or more of each, not {n} and {m}")
    within_first, within_second = _sums_within(first), _sums_within(second)
    cross_first, cross_second = _sums_across(first, second)
    total_first, total_second, cross = within_first.sum(), within_second.sum(), cross_first.sum()
    inside_first, inside_second = total_first / (n * (n - 1)), total_second / (m * (m - 1))
    value = inside_first + inside_second - 2 * cross / (n * m)
    without_first = _inside_without(within_first) + inside_second - 2 * (cross - cross_first) / ((n - 1) * m)
    without_second = _inside_without(within_second) + inside_first - 2 * (cross - cross_second) / (n * (m - 1))
    variance = (n - 1) * without_first.var() + (m - 1) * without_second.var()
    return Kid(float(value), float(np.sqrt(variance)))


def _inside_without(sums: np.ndarray) -> np.ndarray:
    """The mean kernel value between two different rows when one row is left out, (N,)."""
    n = len(sums)
    return (sums.sum() - 2 * sums) / ((n - 1) * (n - 2))


def _sums_within(rows: np.ndarray) -> np.ndarray:
    """The sum of every row's kernel values with all other rows, float64 (N,)."""
    own = (np.square(rows, dtype=np.float64).sum(axis=1) / rows.shape[1] + 1) ** 3
    return _sums_across(rows, rows)[0] - own


def _sums_across(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sums of the kernel's rows, float64 (N,), and of its columns, float64 (M,)."""
    by_row, by_column = np.zeros(len(rows)), np.zeros(len(columns))
    one = torch.ones((), dtype=torch.float64)
    for row in spans(len(rows), BLOCK_ROWS):
        left = torch.from_numpy(np.array(rows[row], dtype=np.float64))
        for column in spans(len(columns), BLOCK_COLUMNS):
            right = torch.from_numpy(np.array(columns[column], dtype=np.float64))
            base = torch.addmm(one, left, right.T, alpha=1 / rows.shape[1])
            kernel = base.square().mul_(base)
            by_row[row] += kernel.sum(1).numpy()
            by_column[column] += kernel.sum(0).numpy()
    return by_row, by_column
