"""How much of a run is done: by images, or by wall time."""

import time

from gan.config import Config


class Budget:
    """Thousands of images, or minutes over all of a run's sittings.

    A budget of minutes depends on the machine's speed and load, so its result cannot be had again byte for byte.

    Args:
        config: holds ``kimg``.
        minutes: in place of it.
    """

    def __init__(self, config: Config, minutes: float | None) -> None:
        self.config, self.minutes = config, minutes
        self._before, self._began = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Spent so far; 0 where time is not counted, so that a state of the same run is the same bytes."""
        return 0.0 if self.minutes is None else self._before + time.monotonic() - self._began

    def resume(self, seconds: float) -> None:
        """Counts on from what earlier sittings spent."""
        self._before, self._began = seconds, time.monotonic()

    def share(self, done: int) -> float:
        """Of the budget, spent after so many iterations, in [0, 1]."""
        if self.minutes is None:
            return min(1.0, done / self.config.iterations)
        return min(1.0, self.seconds / (60 * self.minutes))

    def units(self, done: int) -> int:
        """The same in whole images, or seconds."""
        return done * self.config.images_per_iteration if self.minutes is None else int(self.seconds)

    @property
    def total(self) -> int:
        """All of it, in the same unit."""
        if self.minutes is None:
            return self.config.iterations * self.config.images_per_iteration
        return max(1, int(60 * self.minutes))

    @property
    def unit(self) -> str:
        """What :meth:`units` counts."""
        return "images" if self.minutes is None else "s"
