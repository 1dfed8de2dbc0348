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
        self._before, self._began = 0.0, time.monotonic()  # seconds

    def resume(self, share: float) -> None:
        """Counts time on from the share that earlier sittings spent."""
        self._before, self._began = share * self._seconds, time.monotonic()

    def share(self, done: int) -> float:
        """Of the budget, spent after so many iterations, in [0, 1]."""
        if self.minutes is None:
            return min(1.0, done / self.config.iterations)
        return min(1.0, (self._before + time.monotonic() - self._began) / self._seconds)

    def units(self, share: float) -> int:
        """A share in whole images, or seconds."""
        return round(share * self.total)

    @property
    def total(self) -> int:
        """All of it, in the same unit."""
        if self.minutes is None:
            return self.config.iterations * self.config.images_per_iteration
        return max(1, round(self._seconds))

    @property
    def _seconds(self) -> float:
        return 60 * (self.minutes or 0.0)

    @property
    def unit(self) -> str:
        """What :meth:`units` counts."""
        return "images" if self.minutes is None else "s"
