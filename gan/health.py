"""Names what is wrong with a run while it happens: signals in numbers, the limits of health, and a remedy for each.

A signal has to stand beyond its limit for :data:`PATIENCE` readings before it is an alarm, and within it as long before
the alarm is over: scores of small batches are noisy.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

PATIENCE = 3  # readings
SETTLED = 0.1  # share of the budget before which most signs are not judged
CONTRAST_LEAST = 0.02  # of the variance within classes: what real class means must differ by to tell anything
EXPLOSION_HISTORY = 5  # readings that a usual size is taken from, at least


@dataclass(frozen=True)
class Sign:
    """What one ailment shows by.

    Attributes:
        name: the ailment.
        signal: the number that tells.
        limit: where health ends.
        above: whether larger is worse.
        remedy: what to do, in one line.
        after: share of the budget from which on it is judged.
    """

    name: str
    signal: str
    limit: float
    above: bool
    remedy: str
    after: float = SETTLED

    def shows(self, value: float) -> bool:
        """Whether ``value`` lies beyond the limit; what is not finite always does."""
        return not math.isfinite(value) or (value > self.limit if self.above else value < self.limit)


# sizes that grow a hundredfold are on their way to infinity; healthy runs on the digits stayed below 10
DIVERGENCE = Sign(
    "divergence",
    "explosion",
    100.0,
    above=True,
    remedy="lower train.critic_lr and train.generator_lr, or raise train.penalty_weight",
    after=0.0,
)

SIGNS = (
    DIVERGENCE,
    # d' = 0 is a coin's toss (Green & Swets 1966); a critic below it scores what it learns to reject higher than real
    Sign(
        "under-trained critic",
        "separation",
        0.0,
        above=False,
        remedy="raise train.n_critic, or train.critic_lr against train.generator_lr",
    ),
    # at d' = 5 one fake image in 160 scores above the middle between the two; young generators are that bad
    Sign(
        "over-strong critic",
        "separation",
        5.0,
        above=True,
        after=0.3,
        remedy="lower train.n_critic, or train.critic_lr against train.generator_lr; or raise train.penalty_weight",
    ),
    # less than a third of the real standard deviation in the worst class
    Sign(
        "mode collapse",
        "diversity",
        0.1,
        above=False,
        remedy="set train.packing to 2 or train.minibatch_std to 4, or raise train.n_critic",
    ),
    # class means differ by less than a third of what real ones do
    Sign(
        "label collapse",
        "label_contrast",
        0.1,
        above=False,
        remedy="raise train.balance towards 1, or train.kimg; check that the classes do differ",
    ),
    # Karras et al. 2020, section 3.1: 1 is complete overfitting
    Sign(
        "memorising",
        "overfitting",
        0.8,
        above=True,
        remedy="set train.augment to auto or add operations, lower train.kimg, or gather more images",
    ),
)


def explosion(history: Sequence[float], latest: float) -> float:
    """``latest`` over the median of what came before; 1 while that is too little to tell, or zero."""
    if not math.isfinite(latest):
        return math.inf
    usual = statistics.median(history) if len(history) >= EXPLOSION_HISTORY else 0.0
    return latest / usual if usual > 0 else 1.0


def separation(real: float, fake: float, difference_variance: float) -> float:
    """d' of signal detection (Green & Swets 1966): how many standard deviations real and fake scores lie apart.

        d' = (E[r] - E[f]) / (Var[r - f] / 2)^½

    The real score r and the fake one f of a pair are of the same label, so that the label's share in them cancels.

    Args:
        real, fake: E[r] and E[f].
        difference_variance: Var[r - f].
    """
    return (real - fake) / math.sqrt(difference_variance / 2) if difference_variance > 0 else 0.0


def overfitting(train: float, held_out: float, fake: float) -> float:
    """ADA's r_v = (train - held_out) / (train - fake) from mean scores, within [-1, 2] (Karras et al. 2020, eq. 1).

    0 says that the critic takes held-out images for train images, 1 that it takes them for fakes. A shift of all scores
    does not move it, so it suits a Wasserstein critic.
    """
    gap = train - fake
    return min(2.0, max(-1.0, (train - held_out) / gap)) if gap > 0 else 0.0


def sign_overfitting(mean_sign: float) -> float:
    """ADA's r_t: the mean sign of the scores of train images, for losses whose scores have a zero (eq. 1)."""
    return mean_sign


@dataclass(frozen=True)
class Classes:
    """How images vary within and between K classes, by pixel; variances are sums over the D pixels.

    Attributes:
        within: variance within each class, (K,).
        between: variance of the class means beyond what chance gives means of so few images.
    """

    within: np.ndarray
    between: float

    @classmethod
    def of(cls, images: Iterable[np.ndarray]) -> "Classes":
        """From each class's images, float (N, D), N >= 2, one class in memory at a time."""
        rows = [
            (one.var(axis=0, ddof=1, dtype=np.float64).sum(), one.mean(axis=0, dtype=np.float64), len(one))
            for one in images
        ]
        variances, means, counts = zip(*rows, strict=True)
        within = np.array(variances)
        spread = np.stack(means).var(axis=0, ddof=1).sum() if len(rows) > 1 else 0.0
        return cls(within, float(spread - np.mean(within / counts)))

    def diversity(self, real: "Classes") -> float | None:
        """The variance within a class over the real one, for the class where that is least."""
        known = real.within > 0
        return float((self.within[known] / real.within[known]).min()) if known.any() else None

    def contrast(self, real: "Classes") -> float | None:
        """The variance between classes over the real one; None where real classes do not differ in their means."""
        return self.between / real.between if real.between > CONTRAST_LEAST * real.within.mean() else None


@dataclass
class Alarm:
    """An ailment that began at ``kimg``, with its worst value, and ended at ``until``, if it has."""

    sign: Sign
    kimg: float
    value: float
    until: float | None = None

    def __str__(self) -> str:
        if self.until is not None:
            return f"{self.sign.name}: over at {self.until:.1f} kimg"
        return f"{self.sign.name} at {self.kimg:.1f} kimg ({self.sign.signal} {self.value:.3g}): {self.sign.remedy}"


class Monitor:
    """Alarms out of readings."""

    def __init__(self) -> None:
        self.alarms: list[Alarm] = []
        self._in_a_row = dict.fromkeys(SIGNS, 0)

    def read(self, kimg: float, share: float, signals: Mapping[str, float]) -> list[Alarm]:
        """Takes a reading.

        Args:
            kimg: when.
            share: of the budget that is spent.
            signals: values by name; what is missing is not judged.

        Returns:
            The alarms that began or ended by it.
        """
        changed = []
        for sign in SIGNS:
            value = signals.get(sign.signal)
            if value is not None and share >= sign.after:
                changed += self._judge(sign, kimg, value)
        return changed

    def diverged(self, kimg: float) -> None:
        """Writes down a divergence that ends the run or is mended at once."""
        self.alarms.append(Alarm(DIVERGENCE, kimg, math.inf, kimg))

    def sound(self, signals: Mapping[str, float]) -> bool:
        """Whether nothing in a reading points to divergence."""
        return not DIVERGENCE.shows(signals.get(DIVERGENCE.signal, 0.0))

    def rows(self) -> list[list[float]]:
        """All that a resumed run needs: readings in a row for each sign, then one row an alarm (NaN: goes on)."""
        alarms = [
            [SIGNS.index(one.sign), one.kimg, one.value, math.nan if one.until is None else one.until]
            for one in self.alarms
        ]
        return [[float(index), float(count), 0.0, 0.0] for index, count in enumerate(self._in_a_row.values())] + alarms

    def load_rows(self, rows: Sequence[Sequence[float]]) -> None:
        """Takes up what :meth:`rows` gave."""
        self._in_a_row = {sign: int(row[1]) for sign, row in zip(SIGNS, rows, strict=False)}
        self.alarms = [
            Alarm(SIGNS[int(index)], kimg, value, None if math.isnan(until) else until)
            for index, kimg, value, until in rows[len(SIGNS) :]
        ]

    def _open(self, sign: Sign) -> Alarm | None:
        return next((alarm for alarm in self.alarms if alarm.sign is sign and alarm.until is None), None)

    def _judge(self, sign: Sign, kimg: float, value: float) -> list[Alarm]:
        alarm = self._open(sign)
        shows = sign.shows(value)
        if alarm and shows:
            alarm.value = max(alarm.value, value) if sign.above else min(alarm.value, value)  # the worst of it
        self._in_a_row[sign] = self._in_a_row[sign] + 1 if shows != bool(alarm) else 0
        if self._in_a_row[sign] < PATIENCE:
            return []
        self._in_a_row[sign] = 0
        if alarm:
            alarm.until = kimg
        else:
            alarm = Alarm(sign, kimg, value)
            self.alarms.append(alarm)
        return [alarm]
