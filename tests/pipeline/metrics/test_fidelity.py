"""Fréchet distance, KID, manifold figures and diversity: against other people's code, and against pencil and paper."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from pipeline.metrics import distances, frechet
from pipeline.metrics import kid as kid_module
from pipeline.metrics.distances import blocks
from pipeline.metrics.diversity import within_class_spread
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.kid import kid
from pipeline.metrics.manifold import coverage, manifold


def two_sets(n: int, m: int, features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features, the second set shifted and narrower; not negative, like those of a network."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(features, features)) / np.sqrt(features)
    first = np.maximum(rng.normal(size=(n, features)) @ mix, 0)
    second = np.maximum(0.8 * rng.normal(size=(m, features)) @ mix + 0.1, 0)
    return first.astype(np.float32), second.astype(np.float32)


@pytest.mark.parametrize(("n", "m", "features"), [(400, 300, 16), (5000, 4500, 64)])
def test_frechet_distance_equals_torch_fidelitys(n: int, m: int, features: int) -> None:
    first, second = two_sets(n, m, features)
    statistics = [fid_features_to_statistics(torch.from_numpy(x).double()) for x in (first, second)]
    expected = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


def by_rows(first: np.ndarray, second: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> float:
    """The distance by the way that forms no covariance."""
    with monkeypatch.context() as patch:
        patch.setattr(frechet, "ERROR_MOST", -1.0)
        return frechet_distance(first, second)


def test_both_ways_to_the_frechet_distance_agree_and_the_fast_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = two_sets(3000, 2500, 48)
    expected = by_rows(first, second, monkeypatch)
    monkeypatch.setattr(frechet, "_factor", None)  # whoever calls it fails
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("spoil", ["dead", "equal", "nearly equal"])
def test_the_stable_way_is_taken_for_singular_covariances(spoil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (values.astype(np.float64) for values in two_sets(900, 800, 12))
    for values in (first, second):
        if spoil == "dead":
            values[:, 3] = 0
        else:
            values[:, 3] = values[:, 4] * (1 + (1e-9 * values[:, 5] if spoil == "nearly equal" else 0))
    assert frechet_distance(first, second) == pytest.approx(by_rows(first, second, monkeypatch), rel=1e-7)
    reduced = [np.delete(values, 3, axis=1) for values in (first, second)]
    if spoil == "dead":
        assert frechet_distance(first, second) == pytest.approx(frechet_distance(*reduced), rel=1e-7)


def test_frechet_distance_of_numbers_is_that_of_their_means_and_deviations() -> None:
    first, second = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [1.0], [10.0], [4.0]])
    expected = (2 - 4) ** 2 + (2 - np.sqrt(54 / 3)) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


def test_frechet_distance_keeps_its_digits_with_singular_covariances() -> None:
    """The same points in 6 dimensions and, turned, in 300: C1 C2 is then of rank 6 at most, and 20 rows see no more."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(20, 6)), 0.5 * rng.normal(size=(25, 6)) + 1
    turn = np.linalg.qr(rng.normal(size=(300, 300)))[0][:6]
    assert frechet_distance(first @ turn, second @ turn) == pytest.approx(frechet_distance(first, second), rel=1e-9)


def test_frechet_distance_of_a_set_to_itself_is_zero_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = two_sets(300, 200, 8)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-12)
    expected = frechet_distance(first, second)
    monkeypatch.setattr(frechet, "BLOCK_ROWS", 17)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows"):
        frechet_distance(np.zeros((1, 2)), np.zeros((5, 2)))
    with pytest.raises(ValueError, match="three rows"):
        kid(np.zeros((2, 2)), np.zeros((5, 2)))


def test_kid_equals_torch_fidelitys_on_the_same_subset() -> None:
    first, second = two_sets(600, 600, 32)
    tensors = (torch.from_numpy(x).double() for x in (first, second))
    expected = kid_features_to_metric(*tensors, kid_subsets=1, kid_subset_size=600, verbose=False)[KEY_METRIC_KID_MEAN]
    assert kid(first, second).value == pytest.approx(expected, rel=1e-6)


def test_mean_of_kid_over_subsets_equals_torch_fidelitys() -> None:
    first, second = two_sets(400, 300, 24)
    tensors = (torch.from_numpy(x).double() for x in (first, second))
    options = {"kid_subsets": 7, "kid_subset_size": 100, "rng_seed": 5, "verbose": False}
    expected = kid_features_to_metric(*tensors, **options)[KEY_METRIC_KID_MEAN]
    rng = np.random.RandomState(5)  # as torch-fidelity draws them
    picked = [(rng.choice(400, 100, replace=False), rng.choice(300, 100, replace=False)) for _ in range(7)]
    values = [kid(first[one], second[two]).value for one, two in picked]
    assert np.mean(values) == pytest.approx(expected, rel=1e-6)


def plain_kid(first: np.ndarray, second: np.ndarray) -> float:
    within = [(x @ x.T / x.shape[1] + 1) ** 3 for x in (first, second)]
    means = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in within]
    return float(sum(means) - 2 * ((first @ second.T / first.shape[1] + 1) ** 3).mean())


def test_kids_standard_error_is_the_jackknifes_taken_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kid_module, "BLOCK_ROWS", 5)
    monkeypatch.setattr(kid_module, "BLOCK_COLUMNS", 4)
    first, second = (x.astype(np.float64) for x in two_sets(12, 9, 3))
    one = np.array([plain_kid(np.delete(first, i, axis=0), second) for i in range(12)])
    two = np.array([plain_kid(first, np.delete(second, i, axis=0)) for i in range(9)])
    error = np.sqrt(11 * one.var() + 8 * two.var())
    result = kid(first, second)
    assert result.value == pytest.approx(plain_kid(first, second), rel=1e-10)
    assert result.standard_error == pytest.approx(error, rel=1e-8)


@pytest.mark.parametrize(("shift", "most"), [(0.0, 1.6), (0.7, 1.15)])
def test_kid_of_classes_in_set_proportions_is_unbiased_too(shift: float, most: float) -> None:
    """Three classes far apart. Without labels the same sets would read far below the truth."""
    rng, labels, places = np.random.default_rng(0), np.repeat([0, 1, 2], [24, 12, 4]), np.eye(3, 4) * 4

    def draw(times: int, move: float) -> tuple[np.ndarray, np.ndarray]:
        many = np.repeat(labels, times)
        return rng.normal(size=(len(many), 4)) + places[many] + move, many

    def once(times: int) -> tuple[float, float, float]:
        (first, of_first), (second, of_second) = draw(times, 0), draw(times, shift)
        return *kid(first, second, of_first, of_second), kid(first, second).value

    values, errors, without = np.array([once(1) for _ in range(500)]).T
    expected = once(100)
    assert abs(values.mean() - expected[0]) < 4 * (values.std() / np.sqrt(500) + expected[1])
    assert 0.9 < np.sqrt(np.square(errors).mean()) / values.std() < most
    assert without.mean() < values.mean() - 4 * values.std() / np.sqrt(500)


@pytest.mark.parametrize(("shift", "most"), [(0.0, 1.6), (0.7, 1.15)])
def test_kid_is_unbiased_and_its_standard_error_is_that_of_repeated_draws(shift: float, most: float) -> None:
    rng = np.random.default_rng(0)
    draws = [kid(rng.normal(size=(40, 4)), rng.normal(size=(40, 4)) + shift) for _ in range(600)]
    values, errors = np.array(draws).T
    big = np.random.default_rng(1)
    expected = kid(big.normal(size=(8000, 4)), big.normal(size=(8000, 4)) + shift)
    assert abs(values.mean() - expected.value) < 4 * (values.std() / np.sqrt(600) + expected.standard_error)
    assert 0.9 < np.sqrt(np.square(errors).mean()) / values.std() < most


@pytest.mark.parametrize(("n", "m", "k"), [(700, 500, 5), (500, 2500, 3), (60, 40, 1)])
def test_manifold_equals_prdcs(n: int, m: int, k: int) -> None:
    real, synthetic = two_sets(n, m, 12)
    expected = compute_prdc(real, synthetic, k)
    result = manifold(real, synthetic, k)
    for name, value in result._asdict().items():
        assert value == pytest.approx(expected[name], rel=1e-6), name
    assert coverage(real, synthetic, k) == result.coverage


def test_precision_and_recall_equal_torch_fidelitys() -> None:
    real, synthetic = two_sets(400, 300, 10)
    expected = prc_features_to_metric(
        torch.from_numpy(synthetic).double(),
        torch.from_numpy(real).double(),
        prc_neighborhood=3,
        prc_batch_size=1000,
        save_cpu_ram=False,
        verbose=False,
    )
    result = manifold(real, synthetic, 3)
    assert result.precision == pytest.approx(expected["precision"], rel=1e-6)
    assert result.recall == pytest.approx(expected["recall"], rel=1e-6)


def test_manifold_by_hand() -> None:
    """Real balls: 0 ± 1, 1 ± 1, 10 ± 9. Synthetic balls: 0.5 ± 1, 1.5 ± 1, 30 ± 28.5."""
    real, synthetic = np.array([[0.0], [1.0], [10.0]]), np.array([[0.5], [1.5], [30.0]])
    result = manifold(real, synthetic, 1)
    assert result.precision == pytest.approx(2 / 3)  # 30 lies in no real ball
    assert result.recall == pytest.approx(1)  # 10 lies in the ball of 30
    assert result.density == pytest.approx((2 + 2 + 0) / 3)  # 0.5 in the first two balls, 1.5 in the last two
    assert result.coverage == pytest.approx(1)


def test_manifold_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    real, synthetic = two_sets(90, 70, 6)
    expected = manifold(real, synthetic, 4)
    monkeypatch.setattr(distances, "BLOCK_ROWS", 13)
    monkeypatch.setattr(distances, "BLOCK_COLUMNS", 3)
    assert manifold(real, synthetic, 4) == expected


def test_memory_stays_far_below_the_matrix_of_distances() -> None:
    """10,000 x 10,000 distances in float64 are 763 MiB."""
    program = f"""
import resource, numpy as np
from pipeline.metrics.manifold import manifold
from pipeline.metrics.kid import kid
real, synthetic = np.random.default_rng(0).normal(size=(2, 10000, 64)).astype(np.float32)
manifold(real[:3000], synthetic[:3000], 5), kid(real[:3000], synthetic[:3000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
manifold(real, synthetic, 5), kid(real, synthetic)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / {_maxrss_per_mib()})
"""
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert float(output.splitlines()[-1]) < 100


@pytest.mark.parametrize("features", [64, 2048, 3 * 256 * 256])
def test_a_block_of_50000_by_50000_rows_stays_small_whatever_their_width(features: int) -> None:
    rows = np.broadcast_to(np.float32(1), (50_000, features))
    row, column, squared = next(blocks(rows, rows))
    assert squared.shape == (row.stop, column.stop)
    assert squared.nbytes <= 8 << 20
    assert max(squared.shape) * features * 8 <= max(32 << 20, 8 * features)


def test_wide_features_take_no_more_memory_however_many() -> None:
    """50,000 x 50,000 distances would be 18.6 GiB, 30,000 rows of 2,048 as float64 469 MiB."""
    program = f"""
import itertools, resource, numpy as np
from pipeline.metrics.distances import blocks
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.kid import kid
many = np.broadcast_to(np.float32(1), (50000, 2048))
rows = np.random.default_rng(0).normal(size=(30000, 256)).astype(np.float32)
frechet_distance(rows[:2000], rows[:2000]), kid(rows[:100, :8], rows[:100, :8])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in itertools.islice(blocks(many, many), 4): pass
frechet_distance(rows, rows[::-1]), np.einsum("nd,nd->n", many[:20000], many[:20000], dtype=np.float64)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / {_maxrss_per_mib()})
"""
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert float(output.splitlines()[-1]) < 130


def _maxrss_per_mib() -> int:
    return 1 << 20 if sys.platform == "darwin" else 1 << 10


def test_spread_is_the_root_mean_square_distance_of_images_of_one_class() -> None:
    features = np.array([[0.0, 0], [3, 4], [100, 0], [100, 2], [50, 50]])
    labels = np.array([0, 0, 1, 1, 2])
    assert within_class_spread(features, labels) == pytest.approx(np.sqrt((25 + 4) / 2))
    assert within_class_spread(features, np.arange(5)) is None


def test_spread_equals_the_mean_over_all_pairs() -> None:
    features = two_sets(40, 2, 7)[0]
    squared = np.square(features[:, None] - features[None]).sum(axis=2, dtype=np.float64)
    expected = np.sqrt(squared.sum() / (40 * 39))
    assert within_class_spread(features, np.zeros(40, dtype=np.int64)) == pytest.approx(expected, rel=1e-6)
