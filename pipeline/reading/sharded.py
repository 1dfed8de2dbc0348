"""One array in several files, each memory-mapped: read-only, and like NumPy's as far as images are looked up in it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Rows = slice | Sequence[int] | np.ndarray


class ShardedArray:
    """Arrays that follow one another along their first axis, as one; none is joined to another but for rows asked for.

    What is looked up comes as an array of NumPy's: a view where a slice lies in one of the arrays, else a copy. The
    first index is a whole number, a slice, whole numbers in an array of any shape, or one bool a row; further ones are
    whole numbers and slices. ``np.asarray`` reads all of it.

    >>> both = ShardedArray([np.arange(6).reshape(3, 2), np.arange(6, 10).reshape(2, 2)])
    >>> both.shape, both[2:4].tolist(), both[[-1, 0], 1].tolist()
    ((5, 2), [[4, 5], [6, 7]], [9, 1])

    Args:
        parts: one at least, of one type, alike but for the length of the first axis.
        start, stop: the rows of all parts together that are meant; all of them if left out.

    Raises:
        ValueError: the parts differ, or there is none.
    """

    def __init__(self, parts: Sequence[np.ndarray], start: int = 0, stop: int | None = None) -> None:
        if len({(part.dtype, part.shape[1:]) for part in parts}) != 1:
            raise ValueError("arrays that do not belong together")
        self._parts = parts
        self._stops = np.cumsum([len(part) for part in parts])
        total = int(self._stops[-1])
        self._start, self._stop, _ = slice(start, stop).indices(total)
        self._stop = max(self._start, self._stop)

    @property
    def shape(self) -> tuple[int, ...]:
        """As NumPy has it."""
        return (len(self), *self._parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Of all parts."""
        return self._parts[0].dtype

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self._parts[0].ndim

    @property
    def size(self) -> int:
        """How many values there are."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Of all values."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self._stop - self._start

    def __iter__(self) -> Iterator[np.ndarray]:
        for row in range(len(self)):
            yield self[row]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("what lies in several files cannot be had as one array without a copy")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        """See the class.

        Raises:
            IndexError: a row that is not there, or an index of another kind.
        """
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if not all(isinstance(each, int | np.integer | slice) for each in rest):
            raise IndexError("the first index may choose rows freely; further ones are whole numbers and slices")
        if isinstance(first, int | np.integer) and not isinstance(first, bool):
            return self._gathered(np.array([first]))[0][rest]
        found = self._sliced(first) if isinstance(first, slice) else self._gathered(self._numbers(first))
        axes = 1 if isinstance(first, slice) else np.ndim(first)  # what stands for the rows
        return found[(*[slice(None)] * axes, *rest)] if rest else found

    def span(self, start: int, stop: int) -> "ShardedArray":
        """Some of the rows that follow one another, of which none is read."""
        return ShardedArray(self._parts, self._start + start, self._start + stop)

    def _numbers(self, rows: Any) -> np.ndarray:
        """The rows asked for, int64 of any shape."""
        if rows is None or rows is Ellipsis or isinstance(rows, bool | np.bool_):
            raise IndexError(f"rows are not chosen by {rows!r}")
        numbers = np.asarray(rows, None if np.size(rows) else np.int64)
        if numbers.dtype == bool and numbers.shape == (len(self),):
            return np.flatnonzero(numbers)
        if numbers.dtype.kind not in "iu":
            raise IndexError(f"rows are not chosen by {numbers.dtype} {numbers.shape}")
        return numbers.astype(np.int64)

    def _gathered(self, rows: np.ndarray) -> np.ndarray:
        length = len(self)
        if len(strange := rows[(rows < -length) | (rows >= length)]):
            raise IndexError(f"row {strange[0]} of {length}")
        numbers = np.where(rows < 0, rows + length, rows).ravel() + self._start
        places = np.searchsorted(self._stops, numbers, "right")
        found = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        for place in np.unique(places).tolist():
            mine = places == place
            found[mine] = self._parts[place][numbers[mine] - self._begin(place)]
        return found.reshape(*rows.shape, *self.shape[1:])

    def _sliced(self, rows: slice) -> np.ndarray:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            return self._gathered(np.arange(start, stop, step))
        start, stop = start + self._start, max(start, stop) + self._start
        first, last = np.searchsorted(self._stops, start, "right"), np.searchsorted(self._stops, stop, "left")
        pieces = []
        for place in range(int(first), min(int(last) + 1, len(self._parts))):
            begin = self._begin(place)
            pieces.append(self._parts[place][max(0, start - begin) : stop - begin])
        if not pieces:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _begin(self, place: int) -> int:
        return int(self._stops[place]) - len(self._parts[place])


def span(array: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Rows of an array, or of a :class:`ShardedArray`, that follow one another; no copy is made."""
    return array.span(start, stop) if isinstance(array, ShardedArray) else array[start:stop]
