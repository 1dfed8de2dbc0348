"""The endpoints against scikit-learn, by images that are counted once and by images that are counted more than once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from pipeline.errors import UserError
from pipeline.experiment.accuracies import answers, balanced_accuracy, probabilities
from pipeline.experiment.endpoints import (
    BALANCED_ACCURACY,
    BRIER,
    MACRO_F1,
    WORST_CLASS_RECALL,
    average_precision,
    endpoint,
    mean_of,
    recall_at,
)
from pipeline.metric import split_metric

CLASSES = ("ok", "hair: crack@edge", "dent")


def _made(seed: int, rows: int = 60, coarse: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with some truth in them, labels of all classes, and how often each image counts."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(3), rng.choice(3, rows - 3, p=(0.7, 0.2, 0.1))])
    scores = rng.normal(size=(rows, 3)) + 1.5 * np.eye(3)[labels]
    return (np.round(scores) if coarse else scores), labels, rng.integers(1, 4, rows).astype(float)


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=40, deadline=None)
def test_endpoints_are_scikit_learns(seed: int, coarse: bool) -> None:
    scores, labels, weights = _made(seed, coarse=coarse)
    told, sure = scores.argmax(axis=1), probabilities(scores)
    for by in (np.ones(len(labels)), weights):
        recalls = metrics.recall_score(labels, told, average=None, sample_weight=by)
        f1 = metrics.f1_score(labels, told, average="macro", sample_weight=by)
        expected = {BALANCED_ACCURACY: recalls.mean(), WORST_CLASS_RECALL: recalls.min(), MACRO_F1: f1}
        expected[BRIER] = np.average(((sure - np.eye(3)[labels]) ** 2).sum(axis=1), weights=by)
        for label, name in enumerate(CLASSES):
            own = labels == label
            precision = metrics.average_precision_score(own, sure[:, label], sample_weight=by)
            expected[average_precision(label, name)] = precision
            alarms, hits, _ = metrics.roc_curve(own, sure[:, label], sample_weight=by, drop_intermediate=False)
            for allowed in (0.01, 0.05, 0.3):
                expected[recall_at(label, name, allowed)] = hits[alarms <= allowed + 1e-12].max()
        for one, value in expected.items():
            assert one(scores, labels, by[None])[0] == pytest.approx(value), one.name
            if by is not weights:
                assert one(scores, labels) == pytest.approx(value)


def test_the_brier_score_of_two_classes_is_twice_scikit_learns() -> None:
    scores, labels, _ = _made(1)
    kept = labels < 2
    sure = probabilities(scores[kept][:, :2])
    expected = metrics.brier_score_loss(labels[kept], sure[:, 1])
    assert BRIER(scores[kept][:, :2], labels[kept]) == pytest.approx(2 * expected)


def test_classifiers_and_resamples_are_measured_each_by_itself() -> None:
    several = np.stack([np.stack([_made(seed)[0] for seed in (4, 5)]) for _ in range(3)])
    labels, weights = _made(4)[1], np.random.default_rng(0).integers(0, 3, (7, 60)) + 0.5
    for one in (BALANCED_ACCURACY, MACRO_F1, endpoint("recall:dent@5%", CLASSES)):
        assert one(several, labels).shape == (3, 2)
        found = one(several, labels, weights)
        assert found.shape == (3, 2, 7)
        assert found[1, 1, 6] == pytest.approx(float(one(several[1, 1], labels, weights[6:7])[0]))


def test_a_class_without_images_has_no_value_and_is_no_part_of_a_mean() -> None:
    scores, labels, _ = _made(2)
    kept = labels != 2
    parts = [average_precision(label, name) for label, name in enumerate(CLASSES)]
    assert np.isnan(parts[2](scores[kept], labels[kept]))
    mean = mean_of("mean", "", parts)(scores[kept], labels[kept])
    assert mean == pytest.approx((parts[0](scores[kept], labels[kept]) + parts[1](scores[kept], labels[kept])) / 2)
    assert np.isnan(mean_of("none", "", parts[2:])(scores[kept], labels[kept]))


def test_a_metric_is_read_as_it_is_written() -> None:
    assert split_metric("recall:hair: crack@edge@1%") == ("recall", "hair: crack@edge", 0.01)
    assert split_metric("recall:dent@0.05") == ("recall", "dent", 0.05)
    assert split_metric("average_precision:dent") == ("average_precision", "dent", None)
    assert endpoint("average_precision:hair: crack@edge", CLASSES).title == "average precision of 'hair: crack@edge'"


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("accuracy", "is none of balanced_accuracy, macro_f1"),
        ("recall:dent", "is none of"),
        ("recall:dent@", "is none of"),
        ("recall:dent@0", "above 0 and below 1"),
        ("recall:dent@100%", "above 0 and below 1"),
        ("recall:dent@few", "above 0 and below 1"),
        ("average_precision:", "is none of"),
    ],
)
def test_any_other_is_refused(metric: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        split_metric(metric)


def test_an_unknown_class_is_refused_by_the_names_of_those_that_there_are() -> None:
    with pytest.raises(UserError, match="no class 'dents' in this set; it has 'ok', 'hair: crack@edge', 'dent'"):
        endpoint("recall:dents@1%", CLASSES)


def test_balanced_accuracy_is_to_the_bit_what_the_verdict_has_always_been_of() -> None:
    scores, labels, _ = _made(3, rows=200)
    several = scores + np.random.default_rng(0).normal(size=(5, 3, 200, 3))
    assert np.array_equal(BALANCED_ACCURACY(several, labels), balanced_accuracy(answers(several) == labels, labels))
