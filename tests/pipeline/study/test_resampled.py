"""The statistics of a study against their definitions, scipy and simulation."""

import numpy as np
import pytest
from scipy import integrate, stats

from benchmarks.study_coverage import SETTINGS, coverage
from pipeline.experiment.effect import stratified_weights
from pipeline.study.resampled import (
    chances,
    exact_lower,
    group_deviations,
    holm,
    resampled,
)

DIFFERENCES = np.array([0.031, 0.012, -0.004, 0.022, 0.040])


def test_the_corrected_t_is_nadeau_and_bengios() -> None:
    found = resampled(DIFFERENCES, ratio=40 / 160)
    squares = sum((value - DIFFERENCES.mean()) ** 2 for value in DIFFERENCES) / 4
    assert found.scale**2 == pytest.approx((1 / 5 + 40 / 160) * squares)
    assert found.half_width == pytest.approx(2.7764451 * found.scale)  # the table's t of 4 degrees of freedom
    # without overlap it is the t test
    plain = stats.ttest_1samp(DIFFERENCES, 0.0)
    apart = resampled(DIFFERENCES, ratio=0.0)
    assert apart.p_value() == pytest.approx(plain.pvalue)
    ends = plain.confidence_interval(0.95)
    assert (apart.mean - apart.half_width, apart.mean + apart.half_width) == pytest.approx((ends.low, ends.high))


def test_the_chances_are_the_areas_of_the_posterior() -> None:
    """Benavoli et al. (2017), eq. 8, by numerical integration; rho is the share of test images."""
    rho, squares = 0.2, DIFFERENCES.var(ddof=1)
    scale = np.sqrt((1 / 5 + rho / (1 - rho)) * squares)

    def density(x: float) -> float:
        return float(stats.t.pdf(x, 4, loc=DIFFERENCES.mean(), scale=scale))

    found = chances(resampled(DIFFERENCES, ratio=0.25), margin=0.01)
    assert found.gain == pytest.approx(integrate.quad(density, 0.01, np.inf)[0], abs=1e-6)
    assert found.within == pytest.approx(integrate.quad(density, -0.01, 0.01)[0], abs=1e-6)
    assert found.loss == pytest.approx(integrate.quad(density, -np.inf, -0.01)[0], abs=1e-6)
    assert found.gain + found.within + found.loss == pytest.approx(1)


def test_folds_that_agree_leave_no_doubt_and_no_division_by_zero() -> None:
    same = resampled([0.1] * 5, 0.25)
    assert (same.half_width, same.p_value(), chances(same, 0.01).gain) == (0.0, 0.0, 1.0)
    none = resampled([0.0] * 5, 0.25)
    assert none.p_value() == 1.0
    assert chances(none, 0.01).within == 1.0


def test_29_of_29_show_90_per_cent_at_95_per_cent_confidence() -> None:
    assert exact_lower(29, 29) == pytest.approx(0.05 ** (1 / 29))  # the closed form where none is missed
    assert exact_lower(29, 29) > 0.9 > exact_lower(28, 28)
    assert exact_lower(0, 10) == 0.0
    for hits, trials in ((1, 5), (18, 20), (59, 60)):
        expected = stats.binomtest(hits, trials, alternative="greater").proportion_ci(0.95, method="exact").low
        assert exact_lower(hits, trials) == pytest.approx(expected)
        assert stats.binom.sf(hits - 1, trials, exact_lower(hits, trials)) == pytest.approx(0.05)


def test_holms_p_values_reject_what_his_steps_reject() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.random(6) ** 3
        adjusted = holm(values.tolist())
        for level in (0.01, 0.05, 0.2):
            rejected, order = set(), np.argsort(values)
            for step, place in enumerate(order):  # from the smallest on, until one is not small enough
                if values[place] > level / (len(values) - step):
                    break
                rejected.add(place)
            assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


def test_the_bootstrap_of_single_images_has_the_variance_of_a_stratified_mean() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [40, 12, 5])
    outcomes = rng.choice([-1.0, 0.0, 1.0], 57, p=(0.1, 0.6, 0.3))
    outcomes[-5:] = (1, 0, 0, -1, 1)
    expected = sum(outcomes[labels == k].var(ddof=1) / (labels == k).sum() for k in range(3)) / 9
    found = group_deviations(outcomes, labels, np.arange(57), 20_000, rng)
    assert found.var() == pytest.approx(expected, rel=0.05)
    assert found.mean() == pytest.approx(0, abs=0.002)


def test_copies_of_an_image_tell_no_more_than_the_image() -> None:
    rng = np.random.default_rng(0)
    labels, outcomes = np.repeat([0, 1], [30, 10]), rng.normal(size=40)
    once = group_deviations(outcomes, labels, np.arange(40), 20_000, rng).std()
    four = [np.repeat(array, 4) for array in (outcomes, labels, np.arange(40))]
    assert group_deviations(*four, 20_000, rng).std() == pytest.approx(once, rel=0.03)
    assert group_deviations(four[0], four[1], np.arange(160), 20_000, rng).std() == pytest.approx(once / 2, rel=0.05)


def test_each_stratum_is_resampled_by_itself() -> None:
    strata = np.array([3, 3, 3, 5, 9, 9])
    weights = stratified_weights(strata, 200, np.random.default_rng(0))
    assert np.allclose(weights[:, :3].sum(axis=1), 3)
    assert np.allclose(weights[:, 4:].sum(axis=1), 2)
    assert (weights[:, 3] == 1).all()


@pytest.mark.parametrize("folds", [5, 10])
def test_the_interval_holds_the_truth_as_often_as_it_says(folds: int) -> None:
    """A small part of ``benchmarks/study_coverage.py``, whose table is of 1,000 sets a setting."""
    found = coverage(SETTINGS[0], folds, sets=150, seed=0, truths=800)
    assert 0.92 <= found["study"][0] <= 0.99
    assert found["corrected t"][0] >= found["study"][0]  # the wider one holds it too often, by far too wide an interval
    assert found["corrected t"][1] > 1.3 * found["study"][1]
