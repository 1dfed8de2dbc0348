"""Groups of images against connected components by hand, and SciPy's."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from pipeline.ingest.groups import Groups, groups_of


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 30).flatmap(
        lambda n: st.lists(st.tuples(*[st.integers(0, n - 1)] * 2), max_size=30).map(lambda p: (n, p))
    )
)
def test_groups_are_the_connected_components(case: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = case
    expected = list(range(count))
    for _ in range(count):
        for a, b in pairs:
            expected[a] = expected[b] = min(expected[a], expected[b])
    merged = groups_of(np.arange(count), np.array(pairs, np.int64).reshape(-1, 2))
    order = sorted(set(expected))
    assert merged.tolist() == [order.index(root) for root in expected]


def test_groups_that_were_there_stay_and_are_numbered_by_their_first_members() -> None:
    merged = groups_of(np.array([7, 3, 7, 0, 3, 5]), np.array([[2, 3]]))
    assert merged.tolist() == [0, 1, 0, 0, 1, 2]
    assert groups_of(np.array([1, 0, 1]), np.empty((0, 2), np.int64)).tolist() == [0, 1, 0]


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_what_is_joined_step_by_step_is_one_group(case: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = case
    joined, every = Groups(count), np.eye(count, dtype=bool)
    for part in (pairs[::2], pairs[1::2]):
        edges = np.array(part, np.int64).reshape(-1, 2)
        joined.join_pairs(edges)
    every[tuple(np.array(pairs, np.int64).reshape(-1, 2).T)] = True
    expected = connected_components(every, directed=False)[1]
    _, first, place = np.unique(expected, return_index=True, return_inverse=True)
    assert joined.numbered().tolist() == np.argsort(np.argsort(first))[place].tolist()
