"""What every family has to know: sizes, and how they grow from the coarsest level to the image."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Shape:
    """Sizes of a generator and its critic.

    Attributes:
        image_size: height and width of an image in pixels, 8 or more; any number, not only powers of two.
        channels: 1 for grey, 3 for colour.
        classes: how many labels there are.
        latent_dim: length of the latent vector z.
        width: channels of the convolutions at full resolution; doubled at each coarser level, eight times at most.
        minibatch_std: images over which the critic takes its batch statistics; 0 for none.
    """

    image_size: int
    channels: int
    classes: int
    latent_dim: int
    width: int
    minibatch_std: int = 0

    @property
    def levels(self) -> int:
        """How often the resolution doubles between the coarsest level and the image."""
        return max(1, int(math.log2(self.image_size / 4)))

    @property
    def base(self) -> int:
        """Height and width of the coarsest level: 4 to 8, rounded up so that the image fits."""
        return math.ceil(self.image_size / 2**self.levels)

    def width_at(self, level: int) -> int:
        """Channels at ``level``: 0 is the image, ``levels`` the coarsest."""
        return self.width * min(2**level, 8)


class Network(nn.Module):
    """A generator or critic, which knows the shape that it was built for."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def in_use(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters, by name, that its results depend on by now: all, but in a network that grows."""
        return self.named_parameters()
