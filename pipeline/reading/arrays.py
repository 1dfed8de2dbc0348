"""``.npy`` files: type, shape and length are those that are expected before a byte of the content is touched."""

import math
import os
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from gan.files import regular

Expected = tuple[int | None, ...]
"""A shape; None where any length will do."""


def open_array(path: Path, kind: type[np.generic], expected: Expected) -> np.ndarray:
    """The array in a file, memory-mapped and read-only.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ``.npy`` file, is cut, or holds another type or shape.
    """
    with regular(path).open("rb") as file:
        if npy.read_magic(file) != (1, 0):
            raise ValueError("another version of the format than augmint writes")
        try:
            shape, fortran, dtype = npy.read_array_header_1_0(file)
        except Exception as error:  # NumPy's parser raises whatever a damaged header provokes
            raise ValueError(f"no header of an array ({type(error).__name__})") from None
        offset, length = file.tell(), os.fstat(file.fileno()).st_size
    if dtype != np.dtype(kind) or fortran or not _fits(shape, expected):
        raise ValueError(f"holds {dtype} {shape}, not {np.dtype(kind)} {_in_words(expected)}")
    if not math.prod(shape):
        raise ValueError("holds nothing")
    if length != offset + dtype.itemsize * math.prod(shape):
        raise ValueError(f"{length:,} bytes, not the {offset + dtype.itemsize * math.prod(shape):,} of {dtype} {shape}")
    return np.memmap(path, dtype, "r", offset, shape)


def _fits(shape: tuple[int, ...], expected: Expected) -> bool:
    return len(shape) == len(expected) and all(
        found >= 0 and wanted in (None, found) for found, wanted in zip(shape, expected, strict=True)
    )


def _in_words(expected: Expected) -> str:
    return f"({', '.join('n' if length is None else str(length) for length in expected)})"
