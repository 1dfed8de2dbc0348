"""Columns of a Parquet file, made of Python's values.

``pyarrow.array`` would import pandas, which takes from a fifth of a second to a whole one, before it looks at what it
was given: an export of some thousand images spends a tenth of its time there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

NUMBERS = {pa.int32(): np.int32, pa.int64(): np.int64, pa.float64(): np.float64}


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """What ``pyarrow.array`` makes of ``values``, of which any may be None.

    Args:
        kind: string, binary, bool, int32, int64, float64, or a list of strings.

    Raises:
        KeyError: another type.
    """
    missing = np.fromiter((value is None for value in values), bool, len(values))
    if pa.types.is_list(kind):
        lists = [value or () for value in values]
        inner = column([each for value in lists for each in value], kind.value_type)
        return pa.Array.from_buffers(kind, len(values), [_present(missing), _offsets(lists)], children=[inner])
    if make := TEXTS.get(kind):
        texts = [b"" if value is None else make(value) for value in values]
        buffers = [_present(missing), _offsets(texts), pa.py_buffer(b"".join(texts))]
        return pa.Array.from_buffers(kind, len(values), buffers)
    if kind == pa.bool_():
        bits = np.fromiter((bool(value) for value in values), bool, len(values))
        return pa.Array.from_buffers(kind, len(values), [_present(missing), _bits(bits)])
    known = np.fromiter((0 if value is None else value for value in values), NUMBERS[kind], len(values))
    return numbers(known, missing)


def texts(values: Sequence[str | None]) -> pa.Array:
    """A column of strings."""
    return column(values, pa.string())


def numbers(values: np.ndarray, missing: np.ndarray) -> pa.Array:
    """``values``, int32, int64 or float64 (n,), with null where bool (n,) says so."""
    kind = next(kind for kind, dtype in NUMBERS.items() if dtype == values.dtype)
    return pa.Array.from_buffers(kind, len(values), [_present(missing), pa.py_buffer(np.ascontiguousarray(values))])


TEXTS: dict[pa.DataType, Callable[[Any], bytes]] = {pa.string(): str.encode, pa.binary(): bytes}


def _offsets(parts: Sequence[Any]) -> pa.Buffer:
    """Where each of ``parts`` begins once they are joined, and where the last one ends."""
    offsets = np.zeros(len(parts) + 1, np.int32)
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    if len(ends) and ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"{ends[-1]:,} values in one column, which holds {np.iinfo(np.int32).max:,} at most")
    offsets[1:] = ends
    return pa.py_buffer(offsets)


def _present(missing: np.ndarray) -> pa.Buffer | None:
    """The bit for each value that is there; None where all are."""
    return _bits(~missing) if missing.any() else None


def _bits(values: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
