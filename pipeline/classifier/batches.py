"""Which rows a batch takes: rounds in which everything comes once before anything comes again."""

import numpy as np
import torch

from pipeline.errors import UserError


def draw_batches(labels: np.ndarray, steps: int, batch_size: int, balanced: bool, rng: torch.Generator) -> np.ndarray:
    """The rows of every batch, int64 (steps, batch_size).

    Rows come in shuffled rounds, so that none is drawn again before all have been; if ``balanced``, classes come in
    such rounds, and the members of each class in rounds of their own.
    """
    total = steps * batch_size
    if not balanced:
        return shuffled_rounds(np.arange(len(labels)), total, rng).reshape(steps, batch_size)
    order = shuffled_rounds(np.unique(labels), total, rng)
    rows = np.empty(total, dtype=np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(order == label)
        rows[places] = shuffled_rounds(np.flatnonzero(labels == label), len(places), rng)
    return rows.reshape(steps, batch_size)


def shuffled_rounds(items: np.ndarray, total: int, rng: torch.Generator) -> np.ndarray:
    """``total`` of ``items`` (K,): shuffled anew in each round, the last one cut."""
    rounds = -(-total // len(items))
    return np.concatenate([items[torch.randperm(len(items), generator=rng).numpy()] for _ in range(rounds)] or [items])[
        :total
    ]


class Joined:
    """Rows of two arrays, the second one's numbered after the first one's; neither is read but for rows asked for.

    Args:
        first: uint8 (M, C, H, W), may be memory-mapped.
        second: uint8 (N, C, H, W), likewise.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self._first, self._second = first, second

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Rows int64 (K,) in [0, M + N) to uint8 (K, C, H, W)."""
        out = np.empty((len(rows), *self._first.shape[1:]), self._first.dtype)
        later = rows >= len(self._first)
        out[~later] = self._first[rows[~later]]
        out[later] = self._second[rows[later] - len(self._first)]
        return out


def copies(labels: np.ndarray, train_labels: np.ndarray, rng: torch.Generator) -> np.ndarray:
    """For each of ``labels`` (K,) the row of a real image of that class, int64 (K,), all of a class equally often.

    Raises:
        UserError: a class has no real train image.
    """
    rows = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        real = np.flatnonzero(train_labels == label)
        if not len(real):
            raise UserError(
                f"class number {label} has synthetic images but no real train image; add some, or raise its share"
            )
        places = np.flatnonzero(labels == label)
        rows[places] = shuffled_rounds(real, len(places), rng)
    return rows
