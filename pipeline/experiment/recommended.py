"""What to train with: the arm that is recommended, how far it goes beyond plain training, and what rare classes gain.

Everything is chosen on the validation split; the test split says by how much, once.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.experiment.accuracies import balanced_accuracy
from pipeline.experiment.arms import REAL, Arm
from pipeline.experiment.effect import Effect, recall_interval
from pipeline.experiment.names import describe
from pipeline.experiment.pool import Pool
from pipeline.experiment.verdict import VerdictName
from pipeline.store import Store

RAREST = 3  # classes that are told of
RARE = 0.5  # of the largest class's train images, at most
PLAIN = REAL.name

Tree = dict[str, Any]
OUTCOMES: dict[VerdictName, str] = {
    "HELPS": "",
    "HURTS": "the synthetic images cost accuracy",
    "EQUIVALENT": "the synthetic images add nothing that matters",
    "INCONCLUSIVE": "the synthetic images add nothing that can be seen",
}


class Measure(Protocol):
    """Estimates an effect on the test split."""

    def __call__(self, outcomes: np.ndarray, *names: str | int, label: int | None = None) -> Effect:
        """The class-balanced mean of outcomes (seeds, draws, images), of one class alone if ``label`` is given.

        Args:
            names: of the random stream.
        """


def recommended_arm(verdict: VerdictName, baseline: str) -> str:
    """The arm to use: with synthetic images where the verdict is HELPS, else the best one without them on validation.

    >>> recommended_arm("EQUIVALENT", "classical")
    'classical'
    """
    return "synthetic" if verdict == "HELPS" else baseline


@dataclass(frozen=True)
class Right:
    """What the recommended arm's classifiers got right, bool (seeds, draws, images).

    Attributes:
        val: validation images.
        test: test images.
        plain: test images that plain training got right, without a logit adjustment too.
    """

    val: np.ndarray
    test: np.ndarray
    plain: np.ndarray


def recommend(arm: Arm, right: Right, rest: str, measure: Measure, store: Store, pool: Pool) -> Tree:
    """What ``metrics/utility.json`` says below ``recommended``; see docs/verdict.md for what the keys mean.

    Args:
        arm: the recommended one.
        right: what it and plain training got right.
        rest: what became of the synthetic images, see :func:`outcome`.
        measure: see :class:`Measure`.
    """
    gain = measure(right.test.astype(np.int8) - right.plain, "recommended", arm.name)
    rarest = [_recalls(label, right, measure, store) for label in _rarest(store)]
    validation = balanced_accuracy(right.val, store.split("val").labels)
    seed, draw = np.unravel_index(int(validation.argmax()), validation.shape)
    recipe = in_words(arm, int(pool.wanted(arm.dose).sum()))
    return {
        "recipe": recipe,
        "plain": float(balanced_accuracy(right.plain.mean(axis=(0, 1)), store.split("test").labels)),
        "gain": gain.mean,
        "gain_ci95": gain.within(-1.0),
        "sentence": _sentence(arm, recipe, gain, rest, rarest),
        "rarest": rarest,
        "best_seed": {"seed": int(seed), "draw": int(draw)},
    }


def in_words(arm: Arm, made: int) -> str:
    """How an arm trains: ``oversampling + RandAugment, with a second pass over copies``.

    Args:
        made: synthetic images that it has, or that say how many copies.
    """
    base = describe(arm.recipe, arm.tau) or "the images as they are"
    if arm.extra == "none":
        return base
    kind = f"{made:,} synthetic images" if arm.extra == "synthetic" else "copies of train images"
    if arm.recipe.head == "retrained":
        return f"{base}, half of whose images are {kind}"
    norms = ", in norms of their own" if arm.own_norms else ""
    return f"{base}, with a second pass over {kind}{norms}"


def outcome(verdict: VerdictName, gained: bool) -> str:
    """What became of the synthetic images, as the end of a sentence; empty where they are recommended.

    Args:
        gained: they did better than the baseline beyond chance, whatever the verdict.
    """
    if verdict == "INCONCLUSIVE" and gained:
        return "the synthetic images gain beyond chance, but not in the way that is asked for"
    return OUTCOMES[verdict]


def _sentence(arm: Arm, recipe: str, gain: Effect, rest: str, rarest: list[Tree]) -> str:
    rest = f"; {rest}" if rest else ""
    if arm.name == PLAIN and not arm.tau:
        return f"Use plain training: nothing that was tried did better on validation{rest}."
    span = f"95 % interval {gain.low * 100:+.1f} to {gain.high * 100:+.1f}"
    doubt = "" if gain.low > 0 else ", which may be chance"
    start = f"Use {recipe}: {gain.mean * 100:+.1f} points over plain training ({span}){doubt}{rest}."
    return f"{start} {_of_rarest(rarest)}" if rarest else start


def _of_rarest(rarest: list[Tree]) -> str:
    parts = []
    for row in rarest:
        before, after, change = (row[key] * 100 for key in ("recall_plain", "recall", "difference"))
        low, high = (end * 100 for end in row["difference_ci95"])
        figures = f"{before:.0f} to {after:.0f} % ({change:+.0f} points, {low:+.0f} to {high:+.0f})"
        parts.append(f"{row['class']!r} ({row['train']:,} train images) {figures}")
    return f"Recall of the rarest {'class' if len(parts) == 1 else 'classes'}: {'; '.join(parts)}."


def _rarest(store: Store) -> list[int]:
    """Up to :data:`RAREST` classes with the fewest train images, of those that are rare and have test images."""
    size = len(store.classes)
    train, test = (store.split(name).counts(size) for name in ("train", "test"))
    rare = np.flatnonzero((train <= RARE * train.max()) & (test > 0))
    return rare[np.argsort(train[rare], kind="stable")][:RAREST].tolist()


def _recalls(label: int, right: Right, measure: Measure, store: Store) -> Tree:
    """One class's recall under plain training and under the recommended arm."""
    size = len(store.classes)
    images = int(store.split("test").counts(size)[label])
    before, after = (
        measure(hits, "recommended recall", name, label, label=label)
        for name, hits in (("plain", right.plain), ("", right.test))
    )
    change = measure(right.test.astype(np.int8) - right.plain, "recommended class", label, label=label)
    return {
        "class": store.classes[label],
        "train": int(store.split("train").counts(size)[label]),
        "test": images,
        "recall_plain": before.mean,
        "recall_plain_ci95": list(recall_interval(before, images)),
        "recall": after.mean,
        "recall_ci95": list(recall_interval(after, images)),
        "difference": change.mean,
        "difference_ci95": change.within(-1.0),
    }
