"""The two-sample test: its distance is KID's, its p is uniform for equal sets, and class shares decide nothing."""

import numpy as np
from scipy import stats

from pipeline.metrics.kid import kid
from pipeline.metrics.two_sample import two_sample

CENTRES = np.array([[0.0] * 6, [3.0] * 6, [-2.0] * 6])


def drawn(rng: np.random.Generator, counts: tuple[int, ...], shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(labels), 6)) + CENTRES[labels] + shift, labels


def test_its_distance_of_one_class_is_kid() -> None:
    rng = np.random.default_rng(0)
    (first, one), (second, two) = drawn(rng, (30,)), drawn(rng, (40,), 0.3)
    found = two_sample(first, second, one, two, rng)
    assert found is not None and found.images == (30, 40)
    np.testing.assert_allclose(found.distance, kid(first, second).value, rtol=1e-9)


def test_p_is_uniform_for_equal_sets_of_other_class_shares() -> None:
    """One false alarm in a hundred at 0.01; the shares alone would give p = 0.001 each time."""
    rng, found = np.random.default_rng(1), []
    for _ in range(150):
        (first, one), (second, two) = drawn(rng, (14, 4, 8)), drawn(rng, (4, 14, 8))
        result = two_sample(first, second, one, two, rng)
        assert result is not None
        found.append(result.p)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.05) <= 0.1
    pooled = two_sample(first, second, np.zeros_like(one), np.zeros_like(two), rng)
    assert pooled is not None and pooled.p <= 0.01


def test_a_shift_within_classes_is_found() -> None:
    rng = np.random.default_rng(2)
    (first, one), (second, two) = drawn(rng, (40, 40, 20)), drawn(rng, (40, 40, 20), 0.8)
    found = two_sample(first, second, one, two, rng)
    assert found is not None and found.p == 0.001


def test_few_images_give_no_false_alarm_and_single_ones_no_answer() -> None:
    """Two against two can be parted in three ways: p is 1/3 at least, however far they lie apart."""
    rng = np.random.default_rng(3)
    (first, one), (second, two) = drawn(rng, (2,)), drawn(rng, (2,), 9.0)
    found = two_sample(first, second, one, two, rng)
    assert found is not None and found.p > 0.25
    assert two_sample(first[:1], second, one[:1], two, rng) is None
