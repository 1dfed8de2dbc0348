import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from pipeline.experiment.accuracies import (
    answers,
    balanced_accuracy,
    calibration_error,
    macro_f1,
    probabilities,
    recalls,
    seeds_interval,
)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@settings(max_examples=80, deadline=None)
def test_figures_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = (np.array(column) for column in zip(*pairs, strict=True))
    present = np.unique(labels)
    correct = predictions == labels
    by_class = recalls(correct, labels, 5)
    expected = recall_score(labels, predictions, labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(by_class[present], expected)
    assert np.isnan(np.delete(by_class, present)).all()
    mean = np.mean(expected)
    assert balanced_accuracy(correct, labels) == pytest.approx(mean)
    if len(present) > 1 and set(predictions) <= set(labels):  # else scikit-learn warns
        assert balanced_accuracy(correct, labels) == pytest.approx(balanced_accuracy_score(labels, predictions))
    f1 = f1_score(labels, predictions, labels=present, average="macro", zero_division=0)
    assert macro_f1(predictions, labels) == pytest.approx(f1)


def test_seeds_interval_is_the_t_test() -> None:
    values = np.array([0.010, 0.014, 0.002, 0.021, 0.008])
    ci = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    mine = seeds_interval(values)
    assert (mine.low, mine.high) == pytest.approx((ci.low, ci.high))


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    confidence = np.array([0.95, 0.97, 0.5, 0.52, 1.0])
    correct = np.array([True, False, True, True, True])
    # bins of 1/15: the 15th holds 0.95, 0.97 and 1.0, the 8th 0.5 and 0.52
    expected = (abs(2 - 2.92) + abs(2 - 1.02)) / 5
    assert calibration_error(confidence, correct) == pytest.approx(expected)
    assert calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_answers_and_probabilities_of_logits_are_torchs() -> None:
    logits = np.random.default_rng(0).normal(0, 30, (3, 2, 7, 4)).astype(np.float32)
    expected = torch.from_numpy(logits).softmax(dim=-1)
    np.testing.assert_allclose(probabilities(logits), expected.numpy(), atol=1e-6)
    assert np.array_equal(answers(logits), expected.argmax(dim=-1).numpy())
