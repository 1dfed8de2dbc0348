"""What takes long in an evaluation, done by the project's workers; what does not is done in this process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from pipeline.disk import save_array
from pipeline.metrics.sharing import Here
from pipeline.workers import Workers

PAYS = 2.0
"""Seconds of one core, about, from which on it pays to share work out: processes take some tenths to begin."""


class Sharing(Here):
    """Shares out to workers, who are entered when the first work is worth it.

    Args:
        workers: not entered yet.
        folder: for arrays that workers elsewhere have to see; it is there, and goes in the end. None where there are
            no such workers.
    """

    def __init__(self, workers: Workers, folder: Path | None = None) -> None:
        self._workers, self._folder, self._exits, self._entered = workers, folder, ExitStack(), False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    def __call__(self, work: Callable[[Any], Any], parts: Sequence[Any], seconds: float) -> Iterator[Any]:
        """See :class:`pipeline.metrics.sharing.Share`."""
        if len(parts) < 2 or seconds < PAYS:
            yield from super().__call__(work, parts, seconds)
            return
        if not self._entered:
            self._exits.enter_context(self._workers)
            self._entered = True
        with self._workers.crew(work, forked=True) as crew:
            yield from crew.in_order(parts)

    def kept(self, name: str, array: np.ndarray) -> np.ndarray:
        """In a file, where workers may be elsewhere."""
        if self._folder is None or not self._workers.elsewhere:
            return array
        path = self._folder / f"{name}.npy"
        save_array(path, array)
        return np.load(path, mmap_mode="r")
