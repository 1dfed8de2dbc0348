"""How sure a difference is: its interval over seeds, generators and test images, and what more of each would tell."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.experiment.accuracies import balanced_accuracy

Z = float(stats.norm.ppf(0.975))
POWER = float(stats.norm.ppf(0.8))
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Effect:
    """A class-balanced mean over seeds, draws and images, with its 95 % interval and where its noise comes from.

    Attributes:
        mean: an accuracy, or the paired difference of two.
        low: of the interval.
        high: of the interval.
        seeds: how many there were.
        draws: of the generator, likewise.
        by_image: variance of the mean that comes from these test images; more seeds do not lessen it.
        by_seed: variance between seeds; the mean's part is that over :attr:`seeds`.
        by_draw: variance between draws, likewise.
        by_cell: variance of one seed's mean that comes from seed and image together, likewise.
    """

    mean: float
    low: float
    high: float
    seeds: int
    draws: int
    by_image: float
    by_seed: float
    by_draw: float
    by_cell: float

    def within(self, least: float) -> list[float]:
        """The interval without what cannot be, below ``least`` and above 1: that of two draws alone is very wide."""
        return [max(self.low, least), min(self.high, 1.0)]

    def half_width(self, seeds: int) -> float:
        """Half of the interval that ``seeds`` seeds would give, about."""
        between = stats.t.ppf(0.975, seeds - 1) ** 2 * self.by_seed / seeds
        drawn = stats.t.ppf(0.975, self.draws - 1) ** 2 * self.by_draw / self.draws if self.draws > 1 else 0.0
        return float(np.sqrt(Z**2 * (self.by_image + self.by_cell / seeds) + between + drawn))

    @property
    def smallest(self) -> float:
        """The least true difference that this experiment would have found in four cases of five (80 % power)."""
        variance = self.by_image + (self.by_cell + self.by_seed) / self.seeds + self.by_draw / self.draws
        return self.half_width(self.seeds) + POWER * float(np.sqrt(variance))

    def seeds_to_settle(self, margin: float, least: float) -> int | None:
        """Seeds at which the interval would leave 0, or lie within ``margin``, were the mean the truth.

        Args:
            margin: of equivalence.
            least: a gain below this cannot help, however sure it is.

        Returns:
            ``None`` if :data:`MOST_SEEDS` would not do.
        """
        decided = self.mean < 0 or self.mean >= least
        for seeds in range(self.seeds + 1, MOST_SEEDS + 1):
            half = self.half_width(seeds)
            if (decided and half < abs(self.mean)) or abs(self.mean) + half <= margin:
                return seeds
        return None

    @property
    def limit(self) -> str:
        """What is left of the noise after any number of seeds comes from these."""
        drawn = stats.t.ppf(0.975, self.draws - 1) ** 2 * self.by_draw / self.draws if self.draws > 1 else 0.0
        return "generator draws" if drawn > Z**2 * self.by_image else "test images"


def estimate(outcomes: np.ndarray, labels: np.ndarray, *, resamples: int, rng: np.random.Generator) -> Effect:
    """The class-balanced mean of ``outcomes`` and its 95 % interval over new seeds, generators and test images.

    A bootstrap in two ways. Test images are resampled within their class, which carries the images' own noise and that
    between image and seed. The main effects of seeds and of generator draws, their variances freed of the second noise
    by an analysis of variance, are added as draws of Student's t with as many degrees of freedom as they were seen
    with. The plain two-way bootstrap, which resamples rows and columns, counts the noise between image and seed three
    times (Owen 2007, "The pigeonhole bootstrap"), and covers too little where half a dozen seeds differ much. In
    simulations of 5 to 10 seeds it covered 86 to 100 % of the time, this one 90 to 97 %.

    Args:
        outcomes: float (S, R, N) for seeds, draws and images: 1 for right and 0 for wrong, or two arms' difference in
            that, paired by seed and image. S is 2 or more.
        labels: int64 (N,).
        resamples: of the bootstrap.
    """
    seeds, generators = outcomes.shape[:2]
    by_image = outcomes.mean(axis=(0, 1))
    total = balanced_accuracy(by_image, labels) + _image_noise(by_image, labels, resamples, rng)
    images = float(total.var())
    by_cell = _noise(outcomes.mean(axis=1), labels)
    between_seeds = max(float(balanced_accuracy(outcomes.mean(axis=1), labels).var(ddof=1)) - by_cell, 0.0)
    total += np.sqrt(between_seeds / seeds) * rng.standard_t(seeds - 1, size=resamples)
    between_draws = 0.0
    if generators > 1:
        between_draws = _between_draws(outcomes, labels)
        total += np.sqrt(between_draws / generators) * rng.standard_t(generators - 1, size=resamples)
    low, high = np.quantile(total, [0.025, 0.975])
    mean = float(balanced_accuracy(by_image, labels))
    rest = max(images - by_cell / seeds, 0.0)
    return Effect(mean, float(low), float(high), seeds, generators, rest, between_seeds, between_draws, by_cell)


def _image_noise(by_image: np.ndarray, labels: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Deviations of the class-balanced mean of (N,) over ``resamples`` within the classes."""
    total, present = np.zeros(resamples), np.unique(labels)
    for label in present:
        cells = by_image[labels == label]
        size = len(cells)
        if size == 1:
            continue
        values, counts = np.unique(cells, return_counts=True)  # few: so a resample is one of their counts
        deviations = rng.multinomial(size, counts / size, size=resamples) @ values / size - cells.mean()
        total += deviations * np.sqrt(size / (size - 1)) / len(present)
    return total


def _noise(outcomes: np.ndarray, labels: np.ndarray) -> float:
    """The part of the variance between rows' class-balanced means that is noise between row and image: of (A, N)."""
    centred = outcomes - outcomes.mean(axis=0)
    return _residual(centred, labels, len(outcomes) - 1)


def _residual(rows: np.ndarray, labels: np.ndarray, freedom: int) -> float:
    """Of rows (A, N) whose means over A have been taken off: the variance of a row's mean that its images carry."""
    present, total = np.unique(labels), 0.0
    for label in present:
        cells = rows[:, labels == label]
        size = cells.shape[1]
        if size > 1:
            rest = cells - cells.mean(axis=1, keepdims=True)
            total += (rest**2).sum() / (freedom * (size - 1)) / size / len(present) ** 2
    return float(total)


def _between_draws(outcomes: np.ndarray, labels: np.ndarray) -> float:
    """The variance between draws' means, freed of the noise of images, and of what seed and draw do together."""
    seeds, generators, images = outcomes.shape
    centred = outcomes - outcomes.mean(axis=0) - outcomes.mean(axis=1, keepdims=True) + outcomes.mean(axis=(0, 1))
    freedom = (seeds - 1) * (generators - 1)
    cells = balanced_accuracy(centred, labels)
    together = float((cells**2).sum()) / freedom - _residual(centred.reshape(-1, images), labels, freedom)
    by_draw = outcomes.mean(axis=0)
    between = float(balanced_accuracy(by_draw, labels).var(ddof=1)) - _noise(by_draw, labels)
    return max(between - max(together, 0.0) / seeds, 0.0)


def recall_interval(effect: Effect, images: int) -> tuple[float, float]:
    """A recall's 95 % interval after Wilson (1927), which keeps its width where every image is right.

    Args:
        effect: of one class alone.
        images: how many test images it has; as many as an interval of that width takes, if they are fewer, count.
    """
    half = (effect.high - effect.low) / 2 / Z
    spread = effect.mean * (1 - effect.mean)
    count = min(float(images), spread / half**2) if half > 0 and spread > 0 else float(images)
    middle = (effect.mean + Z**2 / (2 * count)) / (1 + Z**2 / count)
    reach = Z / (1 + Z**2 / count) * np.sqrt(spread / count + Z**2 / (4 * count**2))
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))
