"""In how many parts a batch is taken: in more where the device turns out to have no room for it."""

from collections.abc import Callable

import torch

from gan.config import Config
from gan.errors import first_line
from gan.parts import Made, Part, Step, groups, own_parts
from gan.ranks import Ranks


class Room:
    """Tries work on the parts of a batch, and has it in more of them from then on where there is no room.

    Args:
        config: of the batch.
        ranks: the processes that share it.
        device: of the work.
        told: is told why there are more parts, once there are.

    Attributes:
        parts: how many a batch is taken in, of this process.
    """

    def __init__(self, config: Config, ranks: Ranks, device: torch.device, told: Callable[[str], None]) -> None:
        self._config, self._ranks, self._device, self._told = config, ranks, device, told
        self.parts = 1

    @property
    def most(self) -> int:
        """How many parts there can be."""
        return groups(self._config) // self._ranks.count

    def own(self, given: Step) -> list[Part]:
        """This process's parts of a step's draws; those of all of them together are the whole."""
        return own_parts(given, self._config, self.parts, self._ranks.rank, self._ranks.count)

    def done(self, work: Callable[[list[Part]], Made], parts: list[Part]) -> Made | None:
        """What the work on these parts gives; None if there is no room for it: from then on there are more parts.

        Raises:
            torch.OutOfMemoryError: there cannot be more.
        """
        found, reason = None, "as another process says"
        try:
            found = work(parts)
        except torch.OutOfMemoryError as error:
            if self._recording() or self.parts == self.most:
                raise
            reason = first_line(error)
        if not self._short(found is None):
            return found
        self.parts = min(2 * self.parts, self.most)  # here, as the error holds what filled the memory
        self._told(reason)
        return None

    def _short(self, here: bool) -> bool:
        """Whether one process is; it is asked on GPUs alone, as a processor's memory runs out in other ways."""
        return here if self._device.type == "cpu" else self._ranks.any(here)

    def _recording(self) -> bool:
        return self._device.type == "cuda" and torch.cuda.is_current_stream_capturing()
