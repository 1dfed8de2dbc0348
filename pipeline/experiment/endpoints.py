"""What a classifier is judged by: scores and labels in, numbers out, also for many weighings of the images at once.

``classify.metric`` names the one that the verdict is about:

``balanced_accuracy``     the mean recall of the classes
``macro_f1``              the mean F1 of the classes
``average_precision:C``   of class C against all others: precision averaged over the steps of recall
``recall:C@F``            of class C, at the lowest threshold at which at most the share F of all other images is taken
                          for it: ``recall:crack@0.01``, or ``recall:crack@1%``

Beside them stand ``brier`` (the mean squared error of the probabilities, lower is better) and ``worst_class_recall``.
Each is scikit-learn's definition; weights count images more than once, which is how a bootstrap resamples them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.errors import UserError
from pipeline.experiment.accuracies import probabilities
from pipeline.metric import split_metric
from pipeline.wording import listed

Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
EXACT = 1e-12  # a share of false alarms that is met but for rounding is met


@dataclass(frozen=True)
class Endpoint:
    """A figure of classifiers.

    Attributes:
        name: as ``classify.metric`` has it.
        title: as a sentence has it.
        measure: scores (N, K), labels (N,) and weights (B, N) to float64 (B,).
        lower_is_better: so that a fall is a gain.
        mean: it is a mean over images of what each one scores.
    """

    name: str
    title: str
    measure: Measure
    lower_is_better: bool = False

    def __call__(self, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """The figure of classifiers, each on the same images.

        Args:
            scores: logits, or any scores whose softmax is the probability, (..., N, K).
            labels: int64 (N,).
            weights: of the images, (B, N); each image counts once if left out.

        Returns:
            float64 (...), or (..., B) where weights are given.
        """
        by = np.ones((1, len(labels))) if weights is None else np.asarray(weights, dtype=np.float64)
        flat = scores.reshape(-1, *scores.shape[-2:])
        found = np.stack([self.measure(one, labels, by) for one in flat]).reshape(*scores.shape[:-2], len(by))
        return found[..., 0] if weights is None else found


def _members(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes that have images, and (N, classes) which image is whose."""
    present = np.unique(labels)
    return present, (labels[:, None] == present).astype(np.float64)


def _recalls(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of each class that has images: (B, classes), NaN where all of its images weigh nothing."""
    _, members = _members(labels)
    right = (scores.argmax(axis=1) == labels).astype(np.float64)
    counts = weights @ members
    return ((weights * right) @ members) / np.where(counts > 0, counts, np.nan)


def _balanced_accuracy(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.nanmean(_recalls(scores, labels, weights), axis=1)


def _worst_class_recall(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.nanmin(_recalls(scores, labels, weights), axis=1)


def _macro_f1(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    present, members = _members(labels)
    told = (scores.argmax(axis=1)[:, None] == present).astype(np.float64)
    both = weights @ told + weights @ members
    return np.nanmean(2 * (weights @ (told * members)) / np.where(both > 0, both, np.nan), axis=1)


def _brier(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    of_image = ((probabilities(scores) - np.eye(scores.shape[1])[labels]) ** 2).sum(axis=1)
    return weights @ of_image / weights.sum(axis=1)


def _ranked(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of hits and of false alarms at each threshold, the highest first, (B, thresholds) each."""
    of_class = probabilities(scores)[:, label]
    order = np.argsort(-of_class, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(of_class[order])), len(order) - 1)  # images of one score come together
    ordered, own = weights[:, order], (labels == label)[order]
    return np.cumsum(ordered * own, axis=1)[:, ends], np.cumsum(ordered * ~own, axis=1)[:, ends]


def _average_precision(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, label: int) -> np.ndarray:
    """NaN where no image of the class counts."""
    hits, alarms = _ranked(scores, labels, weights, label)
    total = np.where(hits[:, -1] > 0, hits[:, -1], np.nan)
    precision = hits / np.maximum(hits + alarms, EXACT)
    return (np.diff(hits, axis=1, prepend=0.0) * precision).sum(axis=1) / total


def _recall_at(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, label: int, allowed: float) -> np.ndarray:
    """NaN where no image of the class counts."""
    hits, alarms = _ranked(scores, labels, weights, label)
    total = np.where(hits[:, -1] > 0, hits[:, -1], np.nan)
    within = alarms <= allowed * alarms[:, -1:] + EXACT
    return np.where(within, hits, 0.0).max(axis=1) / total


BALANCED_ACCURACY = Endpoint("balanced_accuracy", "balanced accuracy", _balanced_accuracy)
MACRO_F1 = Endpoint("macro_f1", "macro F1", _macro_f1)
BRIER = Endpoint("brier", "Brier score", _brier, lower_is_better=True)
WORST_CLASS_RECALL = Endpoint("worst_class_recall", "recall of the worst class", _worst_class_recall)
PLAIN = {one.name: one for one in (BALANCED_ACCURACY, MACRO_F1)}


def average_precision(label: int, name: str) -> Endpoint:
    """The endpoint of one class; ``name`` is its name."""
    measure = partial(_average_precision, label=label)
    return Endpoint(f"average_precision:{name}", f"average precision of {name!r}", measure)


def recall_at(label: int, name: str, allowed: float) -> Endpoint:
    """The endpoint of one class at a share of false alarms, in (0, 1); ``name`` is its name."""
    measure = partial(_recall_at, label=label, allowed=allowed)
    return Endpoint(f"recall:{name}@{allowed:g}", f"recall of {name!r} at {allowed:.3g} false alarms", measure)


def mean_of(name: str, title: str, parts: Sequence[Endpoint]) -> Endpoint:
    """The mean of several endpoints, of those that can be computed on the images at hand; NaN if none can."""

    def measure(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        found = np.stack([part.measure(scores, labels, weights) for part in parts])
        known = np.isfinite(found)
        return np.where(known, found, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)

    return Endpoint(name, title, measure)


def endpoint(metric: str, classes: Sequence[str]) -> Endpoint:
    """The endpoint that ``classify.metric`` names.

    Args:
        classes: of the ingested set, in order.

    Raises:
        UserError: it is of a class that the set has not.
    """
    kind, name, allowed = split_metric(metric)
    if kind in PLAIN:
        return PLAIN[kind]
    if name not in classes:
        raise UserError(
            f"classify.metric: {metric!r}: no class {name!r} in this set; it has {listed(classes, most=len(classes))}"
        )
    label = list(classes).index(name)
    return average_precision(label, name) if allowed is None else recall_at(label, name, allowed)
