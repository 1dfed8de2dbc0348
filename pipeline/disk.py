"""Writing so that a full disk is an error: in a mapped file it is a signal, and in others it may be silence."""

import errno
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes what ``numpy.save`` would, whose error on a full disk says neither so nor where.

    Raises:
        OSError: it cannot be written; has the path.
    """
    write_blocks(path, [array], array.shape, array.dtype)


def write_blocks(
    path: Path, blocks: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype | type = np.uint8
) -> None:
    """Writes a ``.npy`` block by block: unlike a memory map, what is written does not count as memory of ours.

    Its room on the disk is taken first, where the file system can, so that a disk that is too small is known at once.

    Args:
        path: the file.
        blocks: arrays (n, ...) that follow one another.
        shape: of all together.
        dtype: of the blocks.

    Raises:
        ValueError: the blocks are not as many as ``shape`` says, or of another shape or type.
        OSError: it cannot be written; has the path.
    """
    written, dtype = 0, np.dtype(dtype)
    with naming(path), path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        _take_room(file.fileno(), file.tell() + math.prod(shape) * dtype.itemsize)
        for block in blocks:
            if block.shape[1:] != shape[1:] or block.dtype != dtype:
                raise ValueError(f"images of {block.dtype} {block.shape[1:]}, expected {dtype} {shape[1:]}")
            file.write(np.ascontiguousarray(block).data)
            written += len(block)
    if written != shape[0]:
        raise ValueError(f"{written} images for {shape[0]} labels")


def write_at(file: int, data: bytes, offset: int) -> None:
    """Writes all of ``data`` at ``offset``: on a disk that is nearly full the system may write a part without a word.

    Raises:
        OSError: it cannot be written.
    """
    rest = memoryview(data)
    while rest:
        done = os.pwrite(file, rest, offset)
        rest, offset = rest[done:], offset + done


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the path to an error of the body: of a write that fails the system does not say where."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _take_room(file: int, size: int) -> None:
    if not hasattr(os, "posix_fallocate"):  # on macOS
        return
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
