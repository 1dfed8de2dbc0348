import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm

from pipeline.metrics.copies import status
from pipeline.metrics.copy_statistic import LEAST, cell_centres, copy_statistic, mann_whitney_z
from pipeline.metrics.distances import nearest

FEW_NUMBERS = st.lists(st.integers(0, 9), min_size=2, max_size=30)


def test_z_by_hand() -> None:
    """Of 2 x 3 pairs the first set is above in 5, where 3 are expected with a variance of 2 * 3 * 6 / 12."""
    assert mann_whitney_z(np.array([2.5, 9.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx((5 - 3) / np.sqrt(3))


@given(
    first=st.lists(st.integers(0, 9), min_size=2, max_size=30),
    second=st.lists(st.integers(0, 9), min_size=2, max_size=30),
)
def test_z_is_that_of_scipys_p_value_with_ties(first: list[int], second: list[int]) -> None:
    if len({*first, *second}) == 1:
        assert mann_whitney_z(np.array(first), np.array(second)) == 0
        return
    p = mannwhitneyu(first, second, alternative="less", method="asymptotic", use_continuity=False).pvalue
    assert norm.cdf(mann_whitney_z(np.array(first), np.array(second))) == pytest.approx(p, rel=1e-9, abs=1e-12)


def test_cells_are_weighed_by_their_real_images_and_small_ones_left_out() -> None:
    rng = np.random.default_rng(0)
    real, drawn = rng.random(75), rng.random(65)
    real_cells = np.repeat([0, 1, 2], [30, 40, 5])
    drawn_cells = np.repeat([0, 1, 2], [20, 25, 20])
    result = copy_statistic(drawn, real, drawn_cells, real_cells)
    assert result is not None
    scores = [mann_whitney_z(drawn[drawn_cells == cell], real[real_cells == cell]) for cell in (0, 1)]
    assert result.value == pytest.approx((30 * scores[0] + 40 * scores[1]) / 70)
    assert result.deviation == pytest.approx(np.sqrt(30**2 + 40**2) / 70)
    assert result.cells == 2
    few = np.arange(LEAST - 1.0)
    assert copy_statistic(few, few, np.zeros(LEAST - 1), np.zeros(LEAST - 1)) is None


def statistics(rng: np.random.Generator, copied: float, noise: float) -> tuple[float, float]:
    train, real, drawn = rng.normal(size=(3, 400, 4))
    count = int(copied * len(drawn))
    drawn[:count] = train[:count] + noise * rng.normal(size=(count, 4))
    centres = cell_centres(train.astype(np.float32), 400, seed=0)
    sides = [(nearest(side, train)[0], nearest(side, centres)[1]) for side in (drawn, real)]
    result = copy_statistic(sides[0][0], sides[1][0], sides[0][1], sides[1][1])
    assert result is not None
    return result.value, result.deviation


def test_copies_read_far_below_zero_unseen_images_about_zero_and_a_poor_fit_above() -> None:
    rng = np.random.default_rng(0)
    honest = [statistics(rng, 0, 0) for _ in range(60)]
    values, deviations = np.array(honest).T
    assert abs(values.mean()) < 4 * deviations.mean() / np.sqrt(60)
    assert values.std() == pytest.approx(deviations.mean(), rel=0.3)
    assert statistics(rng, 0.5, 0.01)[0] < -3 * deviations.mean()
    assert statistics(rng, 1.0, 3.0)[0] > 3 * deviations.mean()


def test_cells_are_the_same_at_each_call_and_many_images_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    first = cell_centres(features, 200, seed=3)
    assert first.shape == (5, 8)
    np.testing.assert_array_equal(first, cell_centres(features, 200, seed=3))
    assert len(cell_centres(features, 10, seed=3)) == 1
    assert len(cell_centres(features, 10**6, seed=3)) == 10
    monkeypatch.setattr("pipeline.metrics.copy_statistic.CLUSTERED_MOST", 4)
    assert len(cell_centres(features, 10**6, seed=3)) == 4


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "PASS"), (0.02, "PASS"), (0.021, "WARN"), (0.05, "WARN"), (0.051, "FAIL"), (1.0, "FAIL")]
)
def test_status_of_a_copy_share(share: float, said: str) -> None:
    assert status(share) == said
