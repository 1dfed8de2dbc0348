"""Accuracies of classifiers, arrays in, numbers out; how sure a difference of two is stands in effect.py."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import softmax

BINS = 15


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of an accuracy, or of a difference of two."""

    low: float
    high: float


def answers(logits: np.ndarray) -> np.ndarray:
    """The class of the largest logit, the first of equals: float (..., K) -> int64 (...)."""
    return logits.argmax(axis=-1)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits: float (..., K) -> float64 (..., K), each row of sum 1.

    >>> probabilities(np.zeros((1, 4))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    return softmax(np.asarray(logits, dtype=np.float64), axis=-1)


def recalls(correct: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Share of each class's images that are right.

    Args:
        correct: bool or float (..., N).
        labels: int64 (N,), each in [0, classes).

    Returns:
        float64 (..., classes), NaN for a class without images.
    """
    members = np.zeros((len(labels), classes))
    members[np.arange(len(labels)), labels] = 1
    counts = members.sum(axis=0)
    return (np.asarray(correct, dtype=np.float64) @ members) / np.where(counts == 0, np.nan, counts)


def balanced_accuracy(correct: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean recall over the classes that ``labels`` has; ``correct`` (..., N) -> float64 (...).

    >>> float(balanced_accuracy(np.array([True, True, False]), np.array([0, 0, 1])))
    0.5
    """
    present, inverse = np.unique(labels, return_inverse=True)
    return recalls(correct, inverse, len(present)).mean(axis=-1)


def macro_f1(predictions: np.ndarray, labels: np.ndarray) -> float:
    """The mean F1 over the classes that ``labels`` has: (N,) and (N,) -> [0, 1]."""
    scores = []
    for label in np.unique(labels):
        hits = np.count_nonzero((predictions == label) & (labels == label))
        scores.append(2 * hits / (np.count_nonzero(predictions == label) + np.count_nonzero(labels == label)))
    return float(np.mean(scores))


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015) in :data:`BINS` equal bins of the top class's probability.

    Args:
        confidence: float (N,) in [0, 1].
        correct: bool (N,).
    """
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence.astype(np.float64), minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def seeds_interval(values: np.ndarray) -> Interval:
    """95 % t interval of the mean of ``values`` (S,): what other seeds would give on these same test images."""
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return Interval(float(np.mean(values)) - half, float(np.mean(values)) + half)
