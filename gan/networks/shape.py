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
        minibatch_discrimination: images that the critic compares with each other; 0 for none.
        unlabelled: the generator's levels of so many pixels a side and less leave the label out; 0 for none.
        class_prior: 1 where each class has a mean and a scale of the latent vector of its own, else 0.
        low_images: 1 where the largest level without a label has an image of its own, which the generator draws beside
            the whole one and the critic judges without a label, else 0.
        adain: 1 where a generator of styles has the first StyleGAN's adaptive instance normalisation, else 0.
    """

    image_size: int
    channels: int
    classes: int
    latent_dim: int
    width: int
    minibatch_std: int = 0
    minibatch_discrimination: int = 0
    unlabelled: int = 0
    class_prior: int = 0
    low_images: int = 0
    adain: int = 0

    @property
    def levels(self) -> int:
        """How often the resolution doubles between the coarsest level and the image."""
        return max(1, int(math.log2(self.image_size / 4)))

    @property
    def base(self) -> int:
        """Height and width of the coarsest level: 4 to 8, rounded up so that the image fits."""
        return math.ceil(self.image_size / 2**self.levels)

    @property
    def sides(self) -> list[int]:
        """Heights and widths of the generator's levels, from the coarsest on; the last may be larger than the image."""
        return [self.base << level for level in range(self.levels + 1)]

    @property
    def low(self) -> int:
        """The largest level without a label, counted from the coarsest one, which is 0; -1 where all have one."""
        return sum(side <= self.unlabelled for side in self.sides) - 1

    @property
    def low_halvings(self) -> int:
        """How often an image is halved to the size of that level."""
        return self.levels - self.low

    @property
    def low_side(self) -> int:
        """Height and width of the image of that level: those of the whole one, halved and rounded up each time."""
        return -(-self.image_size // 2**self.low_halvings)

    def width_at(self, level: int) -> int:
        """Channels at ``level``: 0 is the image, ``levels`` the coarsest."""
        return self.width * min(2**level, 8)


def levels_without_label(image_size: int, pixels: int) -> list[int]:
    """The sides of a generator's levels that leave the label out, those of up to ``pixels``.

    >>> levels_without_label(32, 16)
    [4, 8, 16]

    Raises:
        ValueError: it is none of them, or all.
    """
    sides = Shape(image_size, channels=1, classes=1, latent_dim=1, width=1).sides
    found = [side for side in sides if side <= pixels]
    if not found or found == sides:
        what = "all levels" if found else "no level"
        raise ValueError(
            f"{pixels} leaves {what} without a label, for images of {image_size}: take {sides[0]} to {sides[-1] - 1}"
        )
    return found


class Network(nn.Module):
    """A generator or critic, which knows the shape that it was built for."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def in_use(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters, by name, that its results depend on by now: all, but in a network that grows."""
        return self.named_parameters()
