"""Do the synthetic images help? A difference and its interval in, one of four answers out."""

from dataclasses import dataclass
from typing import Literal

from pipeline.experiment.effect import MOST_SEEDS, Effect

VerdictName = Literal["HELPS", "HURTS", "EQUIVALENT", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Bounds:
    """What counts as help; fractions, 0.01 is one point.

    Attributes:
        min_effect: the least gain in balanced accuracy that is worth having.
        max_class_loss: the most that the recall of any one class may fall.
        equivalence_margin: a difference within this, either way, does not matter.
    """

    min_effect: float
    max_class_loss: float
    equivalence_margin: float


@dataclass(frozen=True)
class Verdict:
    """The answer, and what it means in plain words.

    Attributes:
        seeds_to_settle: of an INCONCLUSIVE one: how many seeds would give another answer, were the difference as it was
            measured; ``None`` if no number would.
    """

    name: VerdictName
    sentence: str
    seeds_to_settle: int | None = None


def decide(
    effect: Effect,
    class_deltas: dict[str, float],
    baseline: str,
    bounds: Bounds,
    measure: str = "balanced accuracy",
) -> Verdict:
    """The verdict on real + synthetic against the best arm without synthetic images.

    >>> sure = Effect(0.03, 0.01, 0.05, 6, 3, 1e-5, 1e-5, 1e-5, 1e-5)
    >>> decide(sure, {"cat": 0.02, "dog": 0.04}, "best classical", Bounds(0.0, 0.05, 0.01)).name
    'HELPS'

    Args:
        effect: the paired difference, + synthetic minus ``baseline``.
        class_deltas: the same difference in each class's recall.
        baseline: name of that best arm, for the sentence.
        measure: what the difference is in, for the sentence.
    """
    span = f"95 % interval {effect.low * 100:+.1f} to {effect.high * 100:+.1f}"
    figures = f"{_points(effect.mean)} in {measure} against {baseline!r} ({span})"
    worst = min(class_deltas, key=lambda name: class_deltas[name])
    margin = bounds.equivalence_margin
    falls = class_deltas[worst] < -bounds.max_class_loss
    if effect.low > 0 and effect.mean >= bounds.min_effect and not falls:
        return Verdict("HELPS", f"The synthetic images help: {figures}, and no class loses more than is allowed.")
    if effect.high < 0:
        return Verdict("HURTS", f"The synthetic images hurt: {figures}.")
    if -margin <= effect.low and effect.high <= margin:
        return Verdict(
            "EQUIVALENT",
            f"The synthetic images make no difference that matters: {figures}, all within {margin * 100:.1f} points.",
        )
    start = f"No verdict on the synthetic images: {figures}, "
    seen = f"A difference of {effect.smallest * 100:.1f} points would have been seen in four cases of five"
    if effect.low > 0 and falls:
        change = f"but the recall of class {worst!r} changes by {_points(class_deltas[worst])}"
        return Verdict("INCONCLUSIVE", f"{start}{change}, more than is allowed.")
    if effect.low > 0:
        least = f"{bounds.min_effect * 100:g} points asked for"
        return Verdict("INCONCLUSIVE", f"{start}but the gain is below the {least}.")
    needed = effect.seeds_to_settle(margin, bounds.min_effect)
    return Verdict(
        "INCONCLUSIVE", f"{start}which holds both gain and loss; {_settling(effect, needed)}. {seen}.", needed
    )


def _settling(effect: Effect, needed: int | None) -> str:
    if needed is None:
        return f"no number of seeds up to {MOST_SEEDS:,} would settle it, as the {effect.limit} are the limit"
    return f"were the difference as measured, {needed} seeds in the place of {effect.seeds} would settle it"


def _points(value: float) -> str:
    return f"{value * 100:+.1f} points"
