"""Real images that are read while earlier ones are learnt from, for a set that does not fit on the device.

Which images an iteration sees follows from the seed and its number alone, so a thread reads them some iterations ahead.
What it foretold is held against what is asked for in the end: the bytes are those of a set on the device in any case.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

AHEAD = 2  # iterations


class _Read(NamedTuple):
    names: Tensor
    pixels: Tensor


class Ahead:
    """Gives real images by their names, most of them read already.

    Args:
        foretell: the names of what an iteration will ask for, in order; called in another thread.
        read: the pixels of images by their names; likewise.
    """

    def __init__(self, foretell: Callable[[int], list[Tensor]], read: Callable[[Tensor], Tensor]) -> None:
        self._foretell, self._read = foretell, read
        self._pool = ThreadPoolExecutor(1, "ahead")
        self._waiting: dict[int, Future[list[_Read]]] = {}
        self._iteration, self._there = -1, list[_Read]()

    def take(self, iteration: int, place: int, names: Tensor) -> Tensor:
        """The pixels of ``names``, the images that stand at ``place`` among those that ``iteration`` asks for."""
        if iteration != self._iteration:
            self._begin(iteration)
        if place < len(self._there) and torch.equal(self._there[place].names, names):
            return self._there[place].pixels
        return self._read(names)

    def _begin(self, iteration: int) -> None:
        own = self._waiting.pop(iteration, None)
        coming = range(iteration + 1, iteration + 1 + AHEAD)
        for number in self._waiting.keys() - set(coming):  # the run went elsewhere
            self._waiting.pop(number).cancel()
        for number in coming:
            if number not in self._waiting:
                self._waiting[number] = self._pool.submit(self._read_all, number)
        self._iteration, self._there = iteration, own.result() if own is not None else []

    def _read_all(self, iteration: int) -> list[_Read]:
        return [_Read(names, self._read(names)) for names in self._foretell(iteration)]
