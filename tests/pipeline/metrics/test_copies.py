import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from pipeline.metrics.copies import copy_share, copy_threshold, share
from pipeline.metrics.resampling import compared_at, halves, prediction_interval, proportional, subset, widening


@pytest.mark.parametrize("count", [0, 1, 37, 199, 200])
def test_interval_is_that_of_clopper_and_pearson(count: int) -> None:
    result = share(count, 200)
    low = beta.ppf(0.025, count, 201 - count) if count else 0.0
    high = beta.ppf(0.975, count + 1, 200 - count) if count < 200 else 1.0
    assert result.value == count / 200
    assert (result.low, result.high) == pytest.approx((low, high), rel=1e-6)


def test_one_in_a_hundred_unseen_real_images_falls_below_the_threshold() -> None:
    rng = np.random.default_rng(0)
    shares = [copy_share(rng.random(500), copy_threshold(rng.random(120))).value for _ in range(400)]
    assert np.mean(shares) == pytest.approx(0.01, abs=0.0015)


def test_copies_are_those_below_the_threshold() -> None:
    held_out = np.arange(1.0, 200.0)  # the second smallest of 199 is the Weibull quantile
    assert copy_threshold(held_out) == pytest.approx(2)
    assert copy_share(np.array([0.0, 1.9, 2.0, 50.0]), copy_threshold(held_out)).value == 0.5


def test_prediction_interval_by_hand() -> None:
    result = prediction_interval([1.0, 2.0, 3.0])
    assert result.mean == 2
    assert result.high - 2 == pytest.approx(4.302653 * np.sqrt(4 / 3), rel=1e-6)
    assert result.low + result.high == pytest.approx(4)


def test_nineteen_of_twenty_new_values_fall_within_the_prediction_interval() -> None:
    draws = np.random.default_rng(0).normal(size=(3000, 11))
    inside = [low <= row[10] <= high for row in draws for _, low, high in [prediction_interval(row[:10])]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.013)


@pytest.mark.parametrize(("held_out", "synthetic"), [(200, 200), (200, 60), (1000, 100)])
def test_means_over_other_images_fall_within_the_widened_interval(held_out: int, synthetic: int) -> None:
    rng, size, inside = np.random.default_rng(0), compared_at(held_out, synthetic), 0
    for _ in range(600):
        real, other = rng.normal(size=held_out), rng.normal(size=synthetic)
        means = [rng.permutation(real)[:size].mean() for _ in range(10)]
        _, low, high = prediction_interval(means, widening(size, held_out, synthetic))
        inside += low <= other.mean() <= high
    assert inside / 600 == pytest.approx(0.95, abs=0.03)


@given(counts=st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(sum), total=st.integers(0, 2000))
def test_proportional_counts_are_within_one_of_exact_and_sum_up(counts: list[int], total: int) -> None:
    result = proportional(np.array(counts), total)
    exact = np.array(counts) * total / sum(counts)
    assert result.sum() == total
    assert (np.abs(result - exact) < 1 + 1e-9).all()
    assert (result[np.array(counts) == 0] == 0).all()


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 60), share_=st.floats(0, 1))
def test_halves_share_no_row_and_keep_the_class_proportions(seed: int, rows: int, share_: float) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    size = max(1, int(share_ * (rows // 2)))
    first, second = halves(labels, size, rng)
    assert len(first) == len(second) == size
    assert len({*first.tolist(), *second.tolist()}) == 2 * size
    for label in range(3):
        exact = (labels == label).mean() * size
        for half in (first, second):
            assert abs((labels[half] == label).sum() - exact) < 2


def test_every_row_is_drawn_equally_often_on_either_side() -> None:
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 2], [3, 4, 14])
    counts = np.zeros((2, 21))
    for _ in range(4000):
        for side, half in enumerate(halves(labels, 5, rng)):
            counts[side, half] += 1
    np.testing.assert_allclose(counts / 4000, 5 / 21, atol=0.035)


def test_subset_of_everything_is_everything() -> None:
    labels = np.array([2, 0, 1, 0, 2])
    assert sorted(subset(labels, 5, np.random.default_rng(0))) == [0, 1, 2, 3, 4]
