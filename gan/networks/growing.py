"""Networks whose levels are added one by one while they are trained (Karras et al. 2018), and when each is."""

import math
from collections.abc import Hashable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gan.networks.shape import Network, Shape

PHASE = 0.05  # of the budget
UNIT = 2**16  # parts of a level that fading is told in
IMAGES = ("to_image", "from_image")


class Growing(Network):
    """A network with levels, of which the coarsest ones are on: all, until it is told otherwise.

    Stage s, 0 to ``shape.levels``, has the resolution of ``base`` · 2^s.

    Attributes:
        growth: int64 (), how many stages above the coarsest are on, in :data:`UNIT` s; a part of one is fading in. It
            is a whole number, so that it is copied to the averaged generator, and not averaged.
        top: the finest stage that is on, as ``growth`` says.
        fading: whether it is on in part.
    """

    growth: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.register_buffer("growth", torch.full((), shape.levels * UNIT, dtype=torch.int64))
        self.top, self.fading = shape.levels, False
        self.register_load_state_dict_post_hook(_as_loaded)

    def grow(self, levels: float) -> None:
        """Has so many stages above the coarsest on, in [0, ``shape.levels``]."""
        growth = round(levels * UNIT)
        self.growth.fill_(growth)
        self.top, self.fading = math.ceil(growth / UNIT), growth % UNIT > 0

    def follow(self) -> None:
        """Has ``top`` and ``fading`` as ``growth`` says, which another network's state may have changed."""
        growth = int(self.growth)
        if not 0 <= growth <= self.shape.levels * UNIT:
            raise ValueError(f"growth: {growth} is not between 0 and {self.shape.levels * UNIT}")
        self.grow(growth / UNIT)

    def in_use(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Leaves out the levels that are off, and what makes or reads images at others than the finest."""
        finest = {stage for top, fading in self._images() for stage in (top, top - fading)}
        first = {"blocks": 0, "entries": self.shape.low + 1}  # stages of such parts
        for name, parameter in super().in_use():
            part, stage, *_ = name.split(".")
            off = part in first and first[part] + int(stage) > self.top
            if not off and not (part in IMAGES and int(stage) not in finest):
                yield name, parameter

    def low(self) -> tuple[int, bool]:
        """``top`` and ``fading`` of images of the lower level, see ``gan.networks.low``."""
        return min(self.top, self.shape.low), self.fading and self.top <= self.shape.low

    def _images(self) -> list[tuple[int, bool]]:
        return [(self.top, self.fading), *([self.low()] if self.shape.low_images else [])]

    def alpha(self) -> Tensor:
        """How far the finest stage is on, float32 () in (0, 1]."""
        return (self.growth - (self.top - 1) * UNIT).float() / UNIT


def grow(network: Network, share: float) -> None:
    """The schedule: the coarsest level settles, then each further one fades in and settles, a phase each."""
    assert isinstance(network, Growing)
    phases = max(0.0, share) / PHASE
    done = math.floor(phases)
    network.grow(min(network.shape.levels, done // 2 + (phases - done) * (done % 2)))


def course(network: Network) -> Hashable:
    """What a network of the family computes with: which levels are on, and whether the last one fades."""
    assert isinstance(network, Growing)
    return network.top, network.fading


def _as_loaded(network: Growing, _: Any) -> None:
    network.follow()
