"""Rows of several files as one array: what NumPy says of the joined array is right."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.reading.sharded import ShardedArray, span

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def made(sizes: list[int]) -> tuple[np.ndarray, ShardedArray]:
    whole = np.arange(sum(sizes) * 6, dtype=np.uint8).reshape(-1, 1, 2, 3)
    return whole, ShardedArray(np.split(whole, np.cumsum(sizes)[:-1]))


def same(found: Any, expected: np.ndarray) -> None:
    assert type(found) is np.ndarray or isinstance(found, np.generic | np.memmap)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    assert np.shape(found) == expected.shape


@given(SIZES, st.data())
def test_whatever_is_looked_up_is_what_the_joined_array_gives(sizes: list[int], data: st.DataObject) -> None:
    whole, both = made(sizes)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    whole, both = whole[start:stop], both.span(start, stop)
    assert (both.shape, both.dtype, both.ndim, both.size, both.nbytes, len(both)) == (
        (whole.shape, whole.dtype, whole.ndim, whole.size, whole.nbytes, len(whole))
    )
    key = data.draw(st.slices(len(whole)))
    same(both[key], whole[key])
    mask = data.draw(arrays.arrays(bool, len(whole)))
    same(both[mask], whole[mask])
    if len(whole):
        numbers = st.integers(-len(whole), len(whole) - 1)
        rows = data.draw(arrays.arrays(np.int64, arrays.array_shapes(max_dims=2, min_side=0), elements=numbers))
        one = data.draw(numbers)
        for further in ((), (0,), (slice(None), slice(0, 1)), (0, slice(None, None, -1), 2)):
            same(both[(rows, *further)], whole[rows][(*[slice(None)] * rows.ndim, *further)])
            same(both[(key, *further)], whole[(key, *further)])
            same(both[(one, *further)], whole[(one, *further)])
    same(np.asarray(both), whole)
    same(np.array(both, np.float32), whole.astype(np.float32))
    assert [one.tolist() for one in both] == whole.tolist()


@pytest.mark.parametrize("key", [5, -6, [0, 5], None, Ellipsis, True, [True, False], [0.5], "a", ([0], [0]), (0, None)])
def test_what_cannot_be_looked_up_is_refused(key: Any) -> None:
    with pytest.raises(IndexError):
        made([2, 3])[1][key]


def test_rows_within_one_file_are_not_copied() -> None:
    whole, both = made([2, 3])
    assert np.shares_memory(both[2:4], whole) and not np.shares_memory(both[1:3], whole)
    assert np.shares_memory(span(whole, 1, 3), whole)
    assert isinstance(span(both, 1, 3), ShardedArray)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="copy"):
        np.array(both, copy=False)


@pytest.mark.parametrize("parts", [[], [np.zeros((1, 2)), np.zeros((1, 3))], [np.zeros(1), np.zeros(1, np.uint8)]])
def test_arrays_that_do_not_belong_together_are_refused(parts: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="belong"):
        ShardedArray(parts)
