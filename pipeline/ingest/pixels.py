"""The decoded images on disk, from when they are read until they are in the store."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from pipeline.disk import naming, write_at
from pipeline.ingest.decode import Target

MOST_AT_ONCE = 1 << 25
A_CALL_IN_BYTES = 8 << 10
"""What can be copied in the time that the system takes for one call."""


class Pixels:
    """The decoded images in one file that is read and written by row, so that none of it counts as memory.

    Rows have room for three channels unless ``channels`` is ``L``; a grey image fills the first, and the file system
    keeps no blocks for the rest. Deep grey images wait in a file of their own, without a name, until the range of the
    whole set is known.
    """

    def __init__(self, path: Path, count: int, target: Target) -> None:
        self._shape = (1 if target.channels == "L" else 3, target.size, target.size)
        self._row = int(np.prod(self._shape))
        self._path, self._file = path, path.open("w+b", buffering=0)
        self._file.truncate(count * self._row)
        self._deep = tempfile.TemporaryFile("w+b", buffering=0, dir=path.parent)  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._deep.close()

    def write(self, row: int, pixels: np.ndarray) -> None:
        """Keeps one image, uint8 (C, H, W).

        Raises:
            OSError: the disk does not take it; has the path.
        """
        with naming(self._path):
            write_at(self._file.fileno(), pixels.tobytes(), row * self._row)

    def write_many(self, rows: Sequence[int], images: Sequence[np.ndarray]) -> None:
        """Keeps some images, as :meth:`write` does; small ones that follow one another in one call.

        Raises:
            OSError: the disk does not take it; has the path.
        """
        if self._row > A_CALL_IN_BYTES or len(rows) < 2 or list(rows) != list(range(rows[0], rows[0] + len(rows))):
            for row, image in zip(rows, images, strict=True):
                self.write(row, image)
            return
        block = np.zeros((len(rows), *self._shape), np.uint8)
        for place, image in zip(block, images, strict=True):
            place[: len(image)] = image
        with naming(self._path):
            write_at(self._file.fileno(), block.tobytes(), rows[0] * self._row)

    def read(self, rows: np.ndarray, grey: np.ndarray, channels: int) -> np.ndarray:
        """Some images, uint8 (n, channels, H, W); ``grey`` (N,) says of every row whether it has one channel alone."""
        wanted = channels * self._shape[1] * self._shape[2]
        images = np.empty((len(rows), channels, *self._shape[1:]), np.uint8)
        if (near := self._around(rows, wanted)) is not None:
            places = rows - rows.min()
            images[...] = near[places, :channels]
            if channels > 1:
                images[grey[rows]] = near[places[grey[rows]], :1]
            return images
        for image, row in zip(images, rows.tolist(), strict=True):
            size = image[0].nbytes if grey[row] else wanted
            data = os.pread(self._file.fileno(), size, row * self._row)
            image[...] = np.frombuffer(data, np.uint8).reshape(-1, *self._shape[1:])  # one channel spreads over three
        return images

    def _around(self, rows: np.ndarray, wanted: int) -> np.ndarray | None:
        """All rows from the first to the last of ``rows`` in one read, uint8 (n, ...), where that is faster.

        ``wanted`` is what is needed of each of ``rows``, in bytes.
        """
        first, last = int(rows.min(initial=sys.maxsize)), int(rows.max(initial=0))
        size = (last + 1 - first) * self._row
        if not 0 < size <= min(MOST_AT_ONCE, len(rows) * (wanted + A_CALL_IN_BYTES)):
            return None
        data = os.pread(self._file.fileno(), size, first * self._row)
        return np.frombuffer(data, np.uint8).reshape(-1, *self._shape)

    @property
    def side(self) -> int:
        """Height and width of an image."""
        return self._shape[1]

    def write_deep(self, row: int, values: np.ndarray) -> None:
        """Keeps the values of a deep grey image, float32 (1, H, W)."""
        os.pwrite(self._deep.fileno(), values.tobytes(), row * values.nbytes)

    def read_deep(self, rows: np.ndarray) -> np.ndarray:
        """The values of some deep grey images, float32 (n, H, W)."""
        values = np.empty((len(rows), *self._shape[1:]), np.float32)
        for image, row in zip(values, rows.tolist(), strict=True):
            data = os.pread(self._deep.fileno(), image.nbytes, row * image.nbytes)
            image[...] = np.frombuffer(data, np.float32).reshape(image.shape)
        return values
