import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from pipeline.metrics import distances
from pipeline.metrics.distances import blocks, kth_nearest, nearest, spans


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK_ROWS", 7)
    monkeypatch.setattr(distances, "BLOCK_COLUMNS", 11)


def whole(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    matrix = np.full((len(rows), len(columns)), np.nan)
    for row, column, squared in blocks(rows, columns):
        matrix[row, column] = squared
    return matrix


@given(length=st.integers(0, 50), step=st.integers(1, 60))
def test_spans_cover_every_index_once(length: int, step: int) -> None:
    covered = [index for span in spans(length, step) for index in range(length)[span]]
    assert covered == list(range(length))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 11), (8, 12), (30, 40)])
def test_blocks_equal_scipys_distances(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(size=(n, 5)).astype(np.float32), rng.normal(size=(m, 5)).astype(np.float32)
    expected = cdist(rows.astype(np.float64), columns.astype(np.float64), "sqeuclidean")
    np.testing.assert_allclose(whole(rows, columns), expected, rtol=1e-12)


def test_wide_rows_are_cut_into_smaller_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "OPERAND_VALUES", 3 * 48)
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 4), dtype=np.uint8)
    assert {len(range(10)[row]) for row, _, _ in blocks(images, images)} == {3, 1}
    flat = images.reshape(10, -1).astype(np.float64)
    np.testing.assert_array_equal(whole(images, images), cdist(flat, flat, "sqeuclidean"))


def test_nothing_cancels_far_from_the_origin() -> None:
    rng = np.random.default_rng(0)
    rows = (100 + rng.normal(size=(50, 64))).astype(np.float32)
    columns = (rows + 1e-2 * rng.normal(size=rows.shape)).astype(np.float32)
    expected = np.square(rows.astype(np.float64) - columns).sum(axis=1)
    np.testing.assert_allclose(np.diag(whole(rows, columns)), expected, rtol=1e-6)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("k", [1, 5, 29])
def test_kth_nearest_equals_scikit_learns(k: int) -> None:
    rows = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    reference = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(rows.astype(np.float64))
    expected = reference.kneighbors()[0][:, -1]
    np.testing.assert_allclose(np.sqrt(kth_nearest(rows, k)), expected, rtol=1e-9)


def test_an_equal_row_is_a_neighbour_but_the_row_itself_is_not() -> None:
    rows = np.array([[0.0], [0.0], [3.0]])
    np.testing.assert_array_equal(kth_nearest(rows, 1), [0, 0, 9])
    np.testing.assert_array_equal(kth_nearest(rows, 2), [9, 9, 9])


@pytest.mark.parametrize("k", [0, 3])
def test_kth_nearest_refuses_what_does_not_exist(k: int) -> None:
    with pytest.raises(ValueError, match="3 rows"):
        kth_nearest(np.zeros((3, 2)), k)


@pytest.mark.usefixtures("small_blocks")
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), m=st.integers(1, 30))
def test_nearest_finds_the_first_of_the_nearest_images(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    queries, reference = (rng.integers(0, 3, (count, 1, 2, 2), dtype=np.uint8) for count in (n, m))
    matrix = cdist(queries.reshape(n, -1).astype(float), reference.reshape(m, -1).astype(float))
    distance, index = nearest(queries, reference)
    np.testing.assert_allclose(distance, matrix.min(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(index, matrix.round(9).argmin(axis=1))


def test_an_equal_image_is_at_distance_zero_exactly() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    distance, index = nearest(images[::-1], images)
    np.testing.assert_array_equal(distance, 0)
    np.testing.assert_array_equal(index, np.arange(40)[::-1])
