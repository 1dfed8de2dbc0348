"""The kernel distance of Bińkowski et al. 2018 (KID): unbiased at any number of images, so fit for few of them."""

from typing import NamedTuple

import numpy as np
import torch

from pipeline.metrics.distances import BLOCK_COLUMNS, BLOCK_ROWS, spans


class Kid(NamedTuple):
    """The squared maximum mean discrepancy, which may fall below 0, and its standard error."""

    value: float
    standard_error: float


def kid(
    first: np.ndarray,
    second: np.ndarray,
    first_labels: np.ndarray | None = None,
    second_labels: np.ndarray | None = None,
) -> Kid:
    """Unbiased MMD² with the kernel (a·b / D + 1)³, from all rows and not from random subsets of them.

    The standard error is the delete-one jackknife over both sets. It is close where the sets differ, and errs on the
    large side (by up to √2) where they do not.

    Labels say that the class proportions were set and not drawn. The usual estimate counts on chance in them too, and
    so falls below 0 for two sets of equal make-up. With labels, each class is sampled on its own: the same sum, in
    which a pair of one class weighs n / (n - 1) for its n images, and a jackknife within classes.

    Memory beyond the features themselves stays below 100 MiB up to D = 2048, whatever N and M: blocks of 512 x 2048
    kernel values and their rows in float64.

    >>> rng = np.random.default_rng(0)
    >>> real, shifted = rng.normal(size=(200, 8)), rng.normal(size=(200, 8)) + 1
    >>> kid(real, shifted).value > 10 * kid(real, shifted).standard_error
    True

    Args:
        first: any float dtype (N, D), N > 2.
        second: (M, D), M > 2.
        first_labels: int64 (N,).
        second_labels: int64 (M,).

    Raises:
        ValueError: fewer than three rows.
    """
    if min(len(first), len(second)) < 3:
        raise ValueError(f"KID and its error need three rows or more of each, not {len(first)} and {len(second)}")
    cross_first, cross_second = _sums_across(first, second)
    cross_mean = cross_first.sum() / (len(first) * len(second))
    one, variance_one = _within(first, first_labels, cross_first / len(second))
    two, variance_two = _within(second, second_labels, cross_second / len(first))
    return Kid(float(one + two - 2 * cross_mean), float(np.sqrt(variance_one + variance_two)))


def _within(rows: np.ndarray, labels: np.ndarray | None, cross: np.ndarray) -> tuple[float, float]:
    """The mean kernel value of two images of one set, and the set's share in the variance of MMD².

    Args:
        cross: the mean kernel value of each row with the other set, float64 (N,).
    """
    n = len(rows)
    labels = np.zeros(n, dtype=np.int64) if labels is None else labels
    own = (np.einsum("nd,nd->n", rows, rows, dtype=np.float64) / rows.shape[1] + 1) ** 3
    all_sums = _sums_across(rows, rows)[0] - own
    value, variance = float(all_sums.sum()), 0.0
    for label in np.unique(labels):
        members = labels == label
        count = int(members.sum())
        if count == 1:  # nothing tells how far two such images differ
            value += float(own[members].sum())
            continue
        whole = count == n
        sums = all_sums[members] if whole else _sums_across(rows[members], rows[members])[0] - own[members]
        value += float(sums.sum()) / (count - 1)
        change = (all_sums[members] - sums + sums * count / max(count - 2, 1)) / n - cross[members]
        variance += 4 * (count / n) ** 2 * float(change.var(ddof=1)) / count
    return value / n**2, variance


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
