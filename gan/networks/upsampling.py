"""The frame of a generator: style, stem, blocks that double the resolution, image; a family brings the block."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.conditioning import Modulation, Style
from gan.networks.low import LowImage
from gan.networks.shape import Network, Shape


class UpsamplingGenerator(Network):
    """z (N, latent_dim) and labels (N,) to images (N, C, H, W) in [-1, 1].

    Args:
        shape: sizes.
        block: makes a module from (inputs, outputs, style_dim); that turns x (N, inputs, H, W) and a style
            (N, style_dim) into (N, outputs, 2H, 2W).
    """

    def __init__(self, shape: Shape, block: Callable[[int, int, int], nn.Module]) -> None:
        super().__init__(shape)
        widths = [shape.width_at(level) for level in range(shape.levels, -1, -1)]
        style_dim = 2 * shape.latent_dim
        self.style = Style(shape.classes, shape.latent_dim)
        self.stem = nn.Linear(style_dim, widths[0] * shape.base**2)
        self.blocks = nn.ModuleList(block(i, o, style_dim) for i, o in pairwise(widths))
        self.last_norm = Modulation(widths[-1], style_dim)
        self.to_image = nn.Conv2d(widths[-1], shape.channels, 3, padding=1)
        if shape.low_images:
            self.low_norm = Modulation(widths[shape.low], style_dim)
            self.to_low_image = nn.Conv2d(widths[shape.low], shape.channels, 3, padding=1)
            self.low_image = LowImage(shape)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """z float (N, latent_dim), labels int64 (N,); returns (N, C, H, W) in [-1, 1]."""
        shape = self.shape
        style = self.style(z, labels)
        plain = self.style.unlabelled(z) if shape.unlabelled else style
        x = self.stem(plain).view(len(z), -1, shape.base, shape.base)
        for level, block in enumerate(self.blocks):
            if shape.low_images and level == shape.low:
                self.low_image(self.to_low_image(F.relu(self.low_norm(x, plain))))
            x = block(x, plain if level <= shape.low else style)
        x = torch.tanh(self.to_image(F.relu(self.last_norm(x, style))))
        return x[:, :, : shape.image_size, : shape.image_size]


def modulations(generator: Network) -> list[tuple[Tensor, ...]]:
    """What the label alone adds to gains and biases at the mean latent; see :data:`gan.networks.family.Modulations`."""
    assert isinstance(generator, UpsamplingGenerator)
    shape, table = generator.shape, generator.style.embed.weight
    labels = torch.arange(shape.classes, device=table.device)
    z = table.new_zeros(shape.classes, shape.latent_dim)
    if shape.class_prior:
        z = generator.prior(z, labels)  # type: ignore[operator]
    style = generator.style(z, labels)
    blocks = generator.blocks[shape.low + 1 :]
    layers = [layer for block in (*blocks, generator.last_norm) for layer in block.modules()]
    affine = [layer.affine.weight for layer in layers if isinstance(layer, Modulation)]
    return [F.linear(style, weight).chunk(2, dim=1) for weight in affine]
