"""Distances between rows in blocks: memory stays at a few blocks however many rows there are."""

from collections.abc import Iterator

import numpy as np
import torch

from gan.symmetry import SYMMETRIES, reflect

BLOCK_ROWS, BLOCK_COLUMNS = 512, 2048  # 8 MiB of distances: larger ones fall out of the cache between two uses
OPERAND_VALUES = 1 << 22  # float64 values of wide rows held on either side: 32 MiB


def blocks(rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Squared Euclidean distances of every row of ``rows`` to every row of ``columns``, block by block.

    In float64: the short form |a|² - 2ab + |b|² loses digits where a is near b, which float32 cannot spare. Distances
    between whole numbers (pixels) come out exact. Rounding may leave others just below 0.

    Memory: one block of distances of at most 8 MiB, and its rows on either side, at most 32 MiB each (or one row).

    Args:
        rows: any real dtype (N, D) or more axes, which are flattened; may be memory-mapped.
        columns: likewise (M, D).

    Yields:
        The rows, the columns, and float64 (rows, columns), which may be changed in place and holds until the next one
        is asked for. The columns run fastest.
    """
    most = max(1, OPERAND_VALUES // int(np.prod(rows.shape[1:])))
    buffer = torch.empty(BLOCK_ROWS * BLOCK_COLUMNS, dtype=torch.float64)
    for row in spans(len(rows), min(BLOCK_ROWS, most)):
        left = _float64(rows[row])
        left_squares = left.square().sum(1, keepdim=True)
        for column in spans(len(columns), min(BLOCK_COLUMNS, most)):
            right = _float64(columns[column])
            squared = buffer[: len(left) * len(right)].view(len(left), len(right))
            torch.addmm(right.square().sum(1), left, right.T, alpha=-2, out=squared).add_(left_squares)
            yield row, column, squared.numpy()


def spans(length: int, step: int) -> Iterator[slice]:
    """Consecutive slices of at most ``step`` that cover ``length``."""
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def kth_nearest(rows: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of every row to its k-th nearest other row.

    Args:
        rows: (N, D) with N > k; a row is no neighbour of itself, but an equal row is.
        k: 1 for the nearest.

    Returns:
        float64 (N,).

    Raises:
        ValueError: there are too few rows.
    """
    if not 1 <= k < len(rows):
        raise ValueError(f"{len(rows)} rows have no {k}-th nearest other row")
    nearest = torch.full((len(rows), k), torch.inf, dtype=torch.float64)
    for row, column, squared in blocks(rows, rows):
        _hide_self(squared, row, column)
        smallest = _smallest(torch.from_numpy(squared), min(k, squared.shape[1]))
        nearest[row] = _smallest(torch.cat([nearest[row], smallest], 1), k)
    return nearest.amax(1).clamp_min_(0).numpy()


def nearest(queries: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of every query to the nearest row of ``reference``, and which row that is (the first among equals).

    Args:
        queries: (Q, D) or more axes.
        reference: (N, D) likewise, N > 0.

    Returns:
        float64 (Q,) and int64 (Q,).
    """
    least, where = np.full(len(queries), np.inf), np.zeros(len(queries), dtype=np.int64)
    for row, column, squared in blocks(queries, reference):
        index = squared.argmin(axis=1)
        value = squared[np.arange(len(index)), index]
        closer = value < least[row]
        least[row] = np.where(closer, value, least[row])
        where[row] = np.where(closer, index + column.start, where[row])
    return np.sqrt(least.clip(0)), where


def mirrored(images: np.ndarray, kind: str) -> Iterator[tuple[slice, np.ndarray]]:
    """The images under every symmetry of a kind but the one that leaves them as they are, some at a time.

    Args:
        images: uint8 (N, C, S, S), may be memory-mapped.
        kind: of :data:`gan.symmetry.SYMMETRIES`.

    Yields:
        The rows, and uint8 (rows, C, S, S). All rows of one symmetry come before those of the next.
    """
    for code in range(1, SYMMETRIES[kind]):
        for row in spans(len(images), BLOCK_ROWS):
            some = torch.from_numpy(np.array(images[row]))
            yield row, reflect(some, torch.full((len(some),), code)).contiguous().numpy()


def nearest_mirrored(images: np.ndarray, reference: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`nearest`, among the images of ``reference`` and all that a symmetry makes of them.

    An image is as far from another's mirror image as its own mirror image is from the other.

    Args:
        images: uint8 (Q, C, S, S).
        reference: uint8 (N, C, S, S).
        kind: of :data:`gan.symmetry.SYMMETRIES`.
    """
    least, where = nearest(images, reference)
    for row, turned in mirrored(images, kind):
        distance, index = nearest(turned, reference)
        where[row] = np.where(distance < least[row], index, where[row])
        least[row] = np.minimum(distance, least[row])
    return least, where


def _smallest(values: torch.Tensor, k: int) -> torch.Tensor:
    """The k smallest values of each row, in no order; several times as fast as ``np.partition``."""
    return values.topk(k, largest=False, sorted=False).values


def _hide_self(squared: np.ndarray, row: slice, column: slice) -> None:
    """Puts infinity where a row meets itself."""
    own = np.arange(max(row.start, column.start), min(row.stop, column.stop))
    squared[own - row.start, own - column.start] = np.inf


def _float64(part: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(part, dtype=np.float64).reshape(len(part), -1))
