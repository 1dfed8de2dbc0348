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

MOST_AT_ONCE = 1 << 26
A_CALL_IN_BYTES = 8 << 10
"""What can be copied in the time that the system takes for one call of it."""


class Pixels:
    """The decoded images in one file that is read and written by row, so that none of it counts as memory.

    It has a plane of every row, and, unless ``channels`` is ``L``, behind them the other two of every row, for which
    the file system keeps no blocks where an image is grey. Deep grey images wait in a file of their own, without a
    name, until the range of the whole set is known.
    """

    def __init__(self, path: Path, count: int, target: Target) -> None:
        self._shape = (1 if target.channels == "L" else 3, target.size, target.size)
        self._plane, self._count = target.size**2, count
        self._path, self._file = path, path.open("w+b", buffering=0)
        self._file.truncate(count * self._shape[0] * self._plane)
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
        self.write_many([row], [pixels])

    def write_many(self, rows: Sequence[int], images: Sequence[np.ndarray]) -> None:
        """Keeps some images, as :meth:`write` does; those that follow one another in one call.

        Raises:
            OSError: the disk does not take it; has the path.
        """
        with naming(self._path):
            self._write(rows, [image[0] for image in images], 0, 1)
            coloured = [place for place, image in enumerate(images) if len(image) > 1]
            self._write([rows[place] for place in coloured], [images[place][1:] for place in coloured], self._count, 2)

    def _write(self, rows: Sequence[int], parts: Sequence[np.ndarray], start: int, planes: int) -> None:
        """Writes ``planes`` of each image, of which the file has those of all images from plane ``start`` on."""
        first = 0
        for place, row in enumerate(rows, 1):
            if place == len(rows) or rows[place] != row + 1:
                data = b"".join([part.tobytes() for part in parts[first:place]])
                write_at(self._file.fileno(), data, (start + rows[first] * planes) * self._plane)
                first = place

    def read(self, rows: np.ndarray, grey: np.ndarray, channels: int) -> np.ndarray:
        """Some images, uint8 (n, channels, H, W); ``grey`` (N,) says of every row whether it has one channel alone."""
        images = np.empty((len(rows), channels, *self._shape[1:]), np.uint8)
        images[:, :1] = self._read(rows, 0, 1)
        if channels > 1:
            coloured = ~grey[rows]
            images[coloured, 1:] = self._read(rows[coloured], self._count, 2)
            images[~coloured, 1:] = images[~coloured, :1]  # one channel spreads over three
        return images

    def _read(self, rows: np.ndarray, start: int, planes: int) -> np.ndarray:
        """``planes`` of each of ``rows``, uint8 (n, planes, H, W): in one call where they lie near to one another."""
        wanted = planes * self._plane
        first, last = int(rows.min(initial=sys.maxsize)), int(rows.max(initial=0))
        size = (last + 1 - first) * wanted
        if 0 < size <= min(MOST_AT_ONCE, len(rows) * (wanted + A_CALL_IN_BYTES)):
            data = os.pread(self._file.fileno(), size, start * self._plane + first * wanted)
            return np.frombuffer(data, np.uint8).reshape(-1, planes, *self._shape[1:])[rows - first]
        images = np.empty((len(rows), planes, *self._shape[1:]), np.uint8)
        for image, row in zip(images, rows.tolist(), strict=True):
            data = os.pread(self._file.fileno(), wanted, start * self._plane + row * wanted)
            image[...] = np.frombuffer(data, np.uint8).reshape(image.shape)
        return images

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
