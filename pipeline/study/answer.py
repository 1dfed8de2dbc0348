"""The study's verdict: a difference, its interval and the falls of classes in, one of four answers out."""

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.experiment.endpoints import Endpoint
from pipeline.experiment.verdict import Bounds, VerdictName
from pipeline.study.resampled import Reach


@dataclass(frozen=True)
class Answer:
    """A gain over folds, and how sure it is.

    Attributes:
        mean: over folds and repeats; above 0 is better.
        reach: of its 95 % interval.
    """

    mean: float
    reach: Reach

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return max(-1.0, self.mean - self.reach.half_width)

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return min(1.0, self.mean + self.reach.half_width)


class StudyVerdict(NamedTuple):
    """The answer, and what it means in plain words."""

    name: VerdictName
    sentence: str


def decide(answer: Answer, falls: dict[str, float], endpoint: Endpoint, bounds: Bounds) -> StudyVerdict:
    """The verdict by the rule of the single split.

    Args:
        falls: the difference in each class's recall.
        endpoint: what the gain is in.
    """
    span = f"95 % interval {answer.low * 100:+.1f} to {answer.high * 100:+.1f}"
    figures = f"{answer.mean * 100:+.1f} points in {endpoint.title} against the best arm without them ({span})"
    margin = bounds.equivalence_margin
    worst = min(falls, key=lambda name: falls[name])
    if answer.low > 0 and answer.mean >= bounds.min_effect and falls[worst] >= -bounds.max_class_loss:
        return StudyVerdict("HELPS", f"Over all folds the synthetic images help: {figures}.")
    if answer.high < 0:
        return StudyVerdict("HURTS", f"Over all folds the synthetic images hurt: {figures}.")
    if -margin <= answer.low and answer.high <= margin:
        within = f"all within {margin * 100:.1f} points"
        return StudyVerdict("EQUIVALENT", f"Over all folds they make no difference that matters: {figures}, {within}.")
    seen = f"the study would have seen {answer.reach.smallest * 100:.1f} points in four cases of five"
    if answer.low > 0:
        why = f"but the recall of class {worst!r} changes by {falls[worst] * 100:+.1f} points, more than is allowed"
        if answer.mean < bounds.min_effect:
            why = f"but the gain is below the {bounds.min_effect * 100:g} points asked for"
        return StudyVerdict("INCONCLUSIVE", f"No verdict over all folds: {figures}, {why}.")
    return StudyVerdict("INCONCLUSIVE", f"No verdict over all folds: {figures}; {seen}.")
