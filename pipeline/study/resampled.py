"""How sure a difference is that cross-validation has found: numbers in, intervals and chances out.

Folds are no independent repeats: any two of their train sets share most images. Two intervals are the field's:

- Nadeau & Bengio (2003), "Inference for the generalization error": the mean of J differences has the variance
  (1/J + n_test / n_train) S², S² being their sample variance; Student's t of J - 1 degrees of freedom.
- A bootstrap of the test images, each of which was tested once a repeat, by what its own fold made of it.

Neither is right for cross-validation (``benchmarks/study_coverage.py``). The first is for random splits, whose test
sets overlap too; of disjoint ones it corrects noise that is not shared, and at 95 % holds the truth in 98 to 99.7 %
of the cases. The second knows of no other train set, and holds it in 91 to 96 %; the wider of both is most often the
first one. So :func:`together` takes from each what it is right about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.experiment.effect import stratified_weights

LEVEL = 0.95
POWER = float(stats.norm.ppf(0.8))


@dataclass(frozen=True)
class Resampled:
    """The mean of J differences of folds under Student's t, corrected for what their train sets share.

    Attributes:
        mean: of the differences.
        scale: their standard error, (1/J + n_test / n_train)^½ S.
        freedom: J - 1.
    """

    mean: float
    scale: float
    freedom: int

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval."""
        return float(stats.t.ppf(0.5 + LEVEL / 2, self.freedom)) * self.scale

    def below(self, value: float) -> float:
        """The chance that the difference lies below ``value``: the correlated Bayesian t-test's posterior.

        Benavoli, Corani, Demšar & Zaffalon (2017), "Time for a change": Student's t around the mean, of this scale, as
        their rho / (1 - rho) with rho = n_test / n is n_test / n_train.
        """
        if self.scale == 0:
            return float(self.mean < value)
        return float(stats.t.cdf((value - self.mean) / self.scale, self.freedom))

    def p_value(self) -> float:
        """Of no difference, two-sided."""
        if self.scale == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / self.scale, self.freedom))


def resampled(differences: Sequence[float] | np.ndarray, ratio: float) -> Resampled:
    """The corrected resampled t of the folds' differences.

    >>> found = resampled([0.01, 0.03, 0.02, 0.04, 0.0], ratio=1 / 4)
    >>> round(found.mean, 3), round(found.scale, 5), found.freedom
    (0.02, 0.01061, 4)

    Args:
        differences: one a fold and repeat, J of them, 2 at least.
        ratio: n_test / n_train.
    """
    values = np.asarray(differences, dtype=np.float64)
    spread = float(values.std(ddof=1)) if np.ptp(values) > 0 else 0.0  # equal ones differ by rounding
    return Resampled(float(values.mean()), float(np.sqrt(1 / len(values) + ratio)) * spread, len(values) - 1)


@dataclass(frozen=True)
class Chances:
    """How likely the true difference is a gain, a loss, or neither; together 1."""

    gain: float
    within: float
    loss: float


def chances(found: Resampled, margin: float) -> Chances:
    """The chances of a gain above ``margin``, a difference within it either way, and a loss beyond it."""
    loss, not_gain = found.below(-margin), found.below(margin)
    return Chances(1 - not_gain, not_gain - loss, loss)


def group_deviations(
    outcomes: np.ndarray, labels: np.ndarray, groups: np.ndarray, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """How far the class-balanced mean of ``outcomes`` moves in each resample of the groups within their classes.

    Of the G groups of a class G - 1 are drawn with replacement and weigh G / (G - 1): the variance of a mean is then
    right for few groups too (Rao & Wu 1988).

    Args:
        outcomes: of each image, float (N,).
        labels: int64 (N,).
        groups: int64 (N,): images of one are drawn together, in the class of its first image.

    Returns:
        float64 (resamples,).
    """
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    present, own = np.unique(labels, return_inverse=True)
    sums, counts = np.zeros((len(first), len(present))), np.zeros((len(first), len(present)))
    np.add.at(sums, (number, own), outcomes)
    np.add.at(counts, (number, own), 1.0)
    weights = stratified_weights(labels[first], resamples, rng)
    drawn = weights @ counts
    means = (weights @ sums) / np.where(drawn > 0, drawn, np.nan)
    return np.nanmean(means, axis=1) - (sums.sum(axis=0) / counts.sum(axis=0)).mean()


def together(differences: np.ndarray, noise: np.ndarray, ratio: float, folds: int, rng: np.random.Generator) -> "Reach":
    """How far the interval reaches about the mean: images and train sets, each noise counted once.

    The folds' variance S² is parted in two. What the images make of it is folds · Var(``noise``), as a fold has that
    part of them; it is not shared, as no two folds test the same image. The rest comes from train sets, generators and
    classifiers, and alone takes Nadeau & Bengio's factor: the interval is that of

        ``noise`` + (max(S² - folds · Var(noise), 0) · (1/J + n_test / n_train))^½ t,

    t being Student's of J - 1 degrees of freedom. It is even on both sides: of few images that differ, whose bootstrap
    is skewed, uneven ends hold the truth less often.

    Args:
        differences: one a fold and repeat, float (J,).
        noise: what other test images would make of the mean, float (resamples,), such as :func:`group_deviations`.
        ratio: n_test / n_train.
        folds: of one repeat.
    """
    count = len(differences)
    rest = max(float(np.var(differences, ddof=1)) - folds * float(noise.var()), 0.0)
    total = noise + np.sqrt(rest * (1 / count + ratio)) * rng.standard_t(count - 1, size=len(noise))
    deviation = float(np.sqrt(noise.var() + rest * (1 / count + ratio)))
    return Reach(float(np.quantile(np.abs(total), LEVEL)), deviation)


@dataclass(frozen=True)
class Reach:
    """An interval about a mean.

    Attributes:
        half_width: of it.
        deviation: the mean's standard error.
    """

    half_width: float
    deviation: float

    @property
    def smallest(self) -> float:
        """The least true difference that would have been found in four cases of five (80 % power)."""
        return self.half_width + POWER * self.deviation


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values after Holm (1979): as many tests may each be read at its level, and no more than 5 % find too much.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def exact_lower(hits: int, trials: int) -> float:
    """What a share is at least, at 95 % confidence (one-sided, Clopper & Pearson 1934).

    >>> round(exact_lower(29, 29), 3)  # the 29 parts of quality engineers: 90 %, 95 % sure
    0.902
    """
    return float(stats.beta.ppf(1 - LEVEL, hits, trials - hits + 1)) if hits else 0.0
