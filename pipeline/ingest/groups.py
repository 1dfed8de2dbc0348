"""Groups of images that grow together."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class Groups:
    """Which of N images are in one group by now."""

    def __init__(self, count: int) -> None:
        self._above = np.arange(count)  # another of the group, numbered lower, or the image itself

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The first image of the group of each of ``rows``, of any shape."""
        found = self._above[rows]
        while (further := self._above[found]).tobytes() != found.tobytes():
            found = further
        self._above[rows] = found
        return found

    def join(self, rows: np.ndarray, edges: np.ndarray) -> None:
        """Makes one group of the groups of every two ``rows`` (M,) whose places stand in ``edges`` (2, E)."""
        if not edges.size:
            return
        firsts, place = np.unique(self.of(rows), return_inverse=True)
        first, second = place[edges]
        links = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(firsts), len(firsts)))
        _, joined = connected_components(links, directed=False)
        _, lowest = np.unique(joined, return_index=True)
        self._above[firsts] = firsts[lowest][joined]

    def join_pairs(self, pairs: np.ndarray) -> None:
        """Makes one group of the groups of the two images of each of ``pairs`` (P, 2)."""
        self.join(pairs.ravel(), np.arange(pairs.size).reshape(-1, 2).T)

    def numbered(self) -> np.ndarray:
        """The group of each image, numbered in the order of their first members: int64 (N,)."""
        return np.unique(self.of(np.arange(len(self._above))), return_inverse=True)[1]


def groups_of(groups: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """``groups`` (N,) after the groups of each pair (P, 2) of images became one; numbered by first members."""
    joined = Groups(len(groups))
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    joined.join_pairs(np.stack([first[number], np.arange(len(groups))], axis=1))
    joined.join_pairs(pairs)
    return joined.numbered()
