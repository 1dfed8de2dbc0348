"""Real halves that never meet, synthetic subsets like them, and the interval that the halves span."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit  # scipy.stats, which has it too, takes a second more to load


class PredictionInterval(NamedTuple):
    """Where one more value would fall with a probability of 95 %, around the mean of those seen."""

    mean: float
    low: float
    high: float


def prediction_interval(values: Sequence[float], widening: float = 1.0) -> PredictionInterval:
    """Mean ± t · s · (1 + 1/n)^½ of two values or more, taken as normal; ``widening`` multiplies the deviation s."""
    n = len(values)
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1)) * widening
    reach = float(stdtrit(n - 1, 0.975)) * deviation * np.sqrt(1 + 1 / n)
    return PredictionInterval(mean, float(mean - reach), float(mean + reach))


def proportional(counts: np.ndarray, total: int) -> np.ndarray:
    """Splits ``total`` in the proportions of ``counts`` by largest remainders: int64 (K,) that sum to ``total``."""
    exact = counts * (total / counts.sum())
    whole = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole


def subset(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """``size`` different random rows in the class proportions of all: int64 (size,), sorted by class.

    Args:
        labels: int64 (N,), N >= size.
    """
    order = np.lexsort((rng.random(len(labels)), labels))
    places = (np.arange(size) + rng.random()) * (len(labels) / size)
    return order[np.minimum(places.astype(np.int64), len(labels) - 1)]


def halves(labels: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two random sets of ``size`` rows that share none, each in the class proportions of all: int64 (size,) twice.

    Args:
        labels: int64 (N,), N >= 2 * size.
    """
    pairs = subset(labels, 2 * size, rng).reshape(size, 2)
    pairs = np.where(rng.random((size, 1)) < 0.5, pairs, pairs[:, ::-1])
    return pairs[:, 0], pairs[:, 1]


class Subsets(NamedTuple):
    """Rows of one comparison at equal N: two halves of the real images that never meet, and synthetic ones."""

    first: np.ndarray
    second: np.ndarray
    synthetic: np.ndarray


def compared_at(held_out: int, synthetic: int) -> int:
    """The N of every comparison: half of the real images, or all synthetic ones if those are fewer."""
    return min(held_out // 2, synthetic)


def subsets(held_out: np.ndarray, synthetic: np.ndarray, rng: np.random.Generator) -> Subsets:
    """Rows for one comparison, in the class proportions of each side.

    Args:
        held_out: labels of the real images, int64 (N,).
        synthetic: labels of the synthetic ones, int64 (M,).
    """
    size = compared_at(len(held_out), len(synthetic))
    first, second = halves(held_out, size, rng)
    return Subsets(first, second, subset(synthetic, size, rng))


def widening(compared: int, held_out: int, synthetic: int) -> float:
    """How many times as far a mean over new images strays from real halves as those do among themselves.

    Halves of one set agree with each other better than with another set: the variance of such a mean is v (1/n - 1/N)
    over samples of n of the same N real images, and v (1/M + 1/N) between those N and M others. Figures that compare a
    half with the other half need no widening: the halves are then as independent as two sets are.
    """
    return float(np.sqrt((1 / synthetic + 1 / held_out) / (1 / compared - 1 / held_out)))
