"""Images of a level below the whole image's, which are drawn and judged without a label.

After Khorram et al. 2024 (UTLO, arXiv 2402.17065): a generator whose lower levels leave the label out also draws an
image there, and a critic reads it by layers of its own, then by those of the same resolution, and gives it a score that
no label is part of. So what is common to the classes is learned from the images of all of them.
"""

import torch
from torch import Tensor, nn

from gan.networks.convolutions import halve
from gan.networks.shape import Network, Shape


class LowImage(nn.Module):
    """Where the generator's image of the lower level is; see :func:`with_low_images`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.side = shape.low_side

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) of any range to an image (N, C, ``side``, ``side``) in [-1, 1]."""
        return torch.tanh(x)[:, :, : self.side, : self.side]


def with_low_images(generator: Network, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) of a generator with ``shape.low_images``, and those of the lower level, smaller ones."""
    seen: list[Tensor] = []
    place = next(module for module in generator.modules() if isinstance(module, LowImage))
    with place.register_forward_hook(lambda _, __, low: seen.append(low)):
        images = generator(z, labels)
    return images, seen[0]


def lowered(images: Tensor, shape: Shape) -> Tensor:
    """Images (N, C, H, W) of the whole size at that of the lower level, by the means of their pixels."""
    for _ in range(shape.low_halvings):
        images = halve(images)
    return images
