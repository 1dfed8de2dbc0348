"""The copy check: are synthetic images nearer to training images than unseen real images are?

It finds copies. It is no measure of privacy: an image that is no copy can still tell of the one it was learnt from.
"""

from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import binomtest

EXPECTED = 0.01  # the share of held-out real images below the threshold, by its definition
WARN_ABOVE, FAIL_ABOVE = 0.02, 0.05


class Share(NamedTuple):
    """A share in [0, 1] with its exact 95 % interval (Clopper & Pearson 1934)."""

    value: float
    low: float
    high: float


def copy_threshold(held_out: np.ndarray) -> float:
    """The distance that 99 % of held-out real images keep from their nearest training image.

    The quantile is Weibull's, by which one more real image falls below it with a chance of 1 % at any N from 99 on, and
    of 1 / (N + 1) below that.

    Args:
        held_out: distances to the nearest training image, (N,), in any unit.
    """
    return float(np.quantile(held_out, EXPECTED, method="weibull"))


def copy_share(synthetic: np.ndarray, threshold: float) -> Share:
    """The share of synthetic images nearer to a training image than ``threshold``; 1 % is expected of real images.

    The interval is that of drawing synthetic images; the threshold is taken as known.

    >>> copy_share(np.array([0.0, 2.0, 3.0, 4.0]), threshold=1.0).value
    0.25

    Args:
        synthetic: distances to the nearest training image, (N,).
        threshold: see :func:`copy_threshold`.
    """
    return share(int((synthetic < threshold).sum()), len(synthetic))


def status(value: float) -> Literal["PASS", "WARN", "FAIL"]:
    """What a copy share calls for: WARN above 2 %, FAIL above 5 %. It is judged by itself and not by its interval."""
    if value > FAIL_ABOVE:
        return "FAIL"
    return "WARN" if value > WARN_ABOVE else "PASS"


def share(count: int, total: int) -> Share:
    """``count`` of ``total`` with its exact 95 % interval."""
    interval = binomtest(count, total).proportion_ci(0.95, method="exact")
    return Share(count / total, float(interval.low), float(interval.high))
