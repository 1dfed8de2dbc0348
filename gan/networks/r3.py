"""Residual generator and critic without normalisation: R3GAN (Huang et al. 2024, arXiv 2501.05441, their config E).

Kept from the paper and its code: residual blocks that are inverted bottlenecks (1x1, grouped 3x3, 1x1) with 16 channels
a group, initialised after Fixup (Zhang et al. 2019) so that they begin as the identity and need no
normalisation; interpolation with [1, 3, 3, 1] in the place of strides; a basis that is learnt at the coarsest level, in
the generator mixed by (z, label), in the critic met by the features. What differs:

- One block a level in the place of two, which on a processor comes further in the same time. With ``blocks=2`` the
  networks of width 96 at 256 pixels are theirs for FFHQ; those for CIFAR-10 have 768 channels at all levels.
- tanh at the end of the generator, as the images of all families lie in [-1, 1].
- The score has a part without the label (Miyato & Koyama 2018), so that the label can be left out.
- The critic takes batch statistics where ``minibatch_std`` asks for them; theirs has none.
- Where lower levels are to leave the label out, each further one has gains and biases by (z, label), of
  1 and 0 at first.
"""

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.conditioning import Projection, Style
from gan.networks.family import Family
from gan.networks.low import LowImage
from gan.networks.minibatch import MinibatchStd
from gan.networks.shape import Network, Shape

SLOPE = 0.2
GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # of the weights before a leaky ReLU, after He et al. 2015
EXPANSION = 2  # of the channels within a block
BLOCKS = 1  # a level
GROUP = 16  # channels of a group; processors with AVX-512 take so many at once


class Block(nn.Module):
    """x + f(x) with f an inverted bottleneck, which is zero at the start.

    Args:
        channels: in and out.
        depth: blocks of the whole network: the more, the smaller the weights are at first.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        inner, gain = EXPANSION * channels, GAIN * depth**-0.25  # depth^(-1 / (2m - 2)) of m = 3 layers
        self.expand = _scaled(nn.Conv2d(channels, inner, 1), gain)
        self.mix = _scaled(nn.Conv2d(inner, inner, 3, padding=1, groups=groups(inner)), gain)
        self.shrink = _scaled(nn.Conv2d(inner, channels, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        y = F.leaky_relu(self.expand(x), SLOPE)
        y = F.leaky_relu(self.mix(y), SLOPE)
        return x + self.shrink(y)


class Up(nn.Module):
    """Other channels, and twice the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.change = _change(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, 2H, 2W)."""
        return F.interpolate(self.change(x), scale_factor=2.0, mode="bilinear", align_corners=False)


class Down(nn.Module):
    """Half the resolution, rounded up, and other channels."""

    kernel: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(line, line).expand(inputs, 1, 4, 4).clone(), persistent=False)
        self.change = _change(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / 2, W / 2), rounded up."""
        height, width = x.shape[2:]
        if height % 2 or width % 2:
            x = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        return self.change(F.conv2d(x, self.kernel, stride=2, padding=1, groups=len(self.kernel)))


class Entry(nn.Module):
    """Where a label reaches a level: gains and biases of each channel, which change nothing at the start."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style_dim, 2 * channels)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x (N, channels, H, W), style (N, S) to (N, channels, H, W)."""
        gain, bias = self.affine(style)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + gain) + bias


class Generator(Network):
    """z (N, latent_dim) and labels (N,) to images (N, C, H, W) in [-1, 1]; with so many residual blocks a level."""

    def __init__(self, shape: Shape, blocks: int = BLOCKS) -> None:
        super().__init__(shape)
        widths = [shape.width_at(level) for level in range(shape.levels, -1, -1)]
        level = partial(_level, count=blocks, depth=blocks * len(widths))
        self.style = Style(shape.classes, shape.latent_dim)
        self.mix = nn.Linear(2 * shape.latent_dim, widths[0], bias=False)
        nn.init.normal_(self.mix.weight, std=(2 * shape.latent_dim) ** -0.5)
        self.basis = nn.Parameter(torch.empty(widths[0], shape.base, shape.base))
        nn.init.normal_(self.basis)
        stages = [[Up(i, o), *level(o)] for i, o in pairwise(widths)]
        self.stages = nn.Sequential(*level(widths[0]), *(layer for stage in stages for layer in stage))
        self.to_image = _scaled(nn.Conv2d(widths[-1], shape.channels, 1, bias=False), 1.0)
        self._blocks = blocks
        if shape.unlabelled:
            self.entries = nn.ModuleList(Entry(width, 2 * shape.latent_dim) for width in widths[shape.low : -1])
        if shape.low_images:
            self.to_low_image = _scaled(nn.Conv2d(widths[shape.low], shape.channels, 1, bias=False), 1.0)
            self.low_image = LowImage(shape)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """z float (N, latent_dim), labels int64 (N,); returns (N, C, H, W) in [-1, 1]."""
        shape = self.shape
        style = self.style(z, labels)
        plain = self.style.unlabelled(z) if shape.unlabelled else style
        x = self.mix(plain)[:, :, None, None] * self.basis
        for level in range(shape.levels + 1):
            if shape.unlabelled and level > shape.low:
                x = self.entries[level - shape.low - 1](x, style)
            x = self._level(level)(x)
            if shape.low_images and level == shape.low:
                self.low_image(self.to_low_image(x))
        return torch.tanh(self.to_image(x))[:, :, : shape.image_size, : shape.image_size]

    def _level(self, level: int) -> nn.Sequential:
        """What leads to a level's features from those of the one before it: ``Up`` but at the first, and blocks."""
        first = level * (self._blocks + 1)
        return self.stages[max(0, first - 1) : first + self._blocks]


class Critic(Network):
    """Images (N, C, H, W) and labels (N,) to scores (N,); no layer sees more than one image, but for minibatch_std."""

    def __init__(self, shape: Shape, blocks: int = BLOCKS) -> None:
        super().__init__(shape)
        widths = [shape.width_at(level) for level in range(shape.levels + 1)]
        level = partial(_level, count=blocks, depth=blocks * len(widths))
        self.from_image = _scaled(nn.Conv2d(shape.channels, widths[0], 1, bias=False), 1.0)
        stages = [[*level(i), Down(i, o)] for i, o in pairwise(widths)]
        statistics = [MinibatchStd(shape.minibatch_std)] if shape.minibatch_std else []
        last = [*level(widths[-1]), *statistics]
        self.stages = nn.Sequential(*(layer for stage in stages for layer in stage), *last)
        features = widths[-1] + len(statistics)
        self.basis = nn.Parameter(torch.empty(features, shape.base, shape.base))
        nn.init.normal_(self.basis, std=1 / shape.base)
        self.mix = nn.Linear(features, widths[-1], bias=False)
        nn.init.normal_(self.mix.weight, std=features**-0.5)
        self.head = Projection(shape.classes, widths[-1])
        self._skipped = shape.low_halvings * (blocks + 1)  # stages that images of the lower level do not pass
        if shape.low_images:
            self.from_low_image = _scaled(nn.Conv2d(shape.channels, widths[shape.low_halvings], 1, bias=False), 1.0)
            self.low_score = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """images float (N, C, H, W) in [-1, 1], labels int64 (N,); returns float (N,).

        With ``shape.low_images`` the labels None stand for images of the lower level, which have none.
        """
        if labels is not None:
            return self.head(self._features(self.stages(self.from_image(images))), labels)
        x = self.stages[self._skipped :](self.from_low_image(images))
        return self.low_score(self._features(x)).squeeze(1)

    def _features(self, x: Tensor) -> Tensor:
        return self.mix((x * self.basis).sum(dim=(2, 3)))


FAMILY = Family(Generator, Critic, leaves_labels_out=True)


def groups(channels: int) -> int:
    """Of how many groups a convolution of so many channels is: of 16 channels each, or as few more as divide them.

    >>> [groups(channels) for channels in (8, 16, 18, 64, 192)]
    [1, 1, 1, 4, 12]
    """
    return next(channels // size for size in range(min(GROUP, channels), channels + 1) if channels % size == 0)


def _level(channels: int, count: int, depth: int) -> list[Block]:
    return [Block(channels, depth) for _ in range(count)]


def _change(inputs: int, outputs: int) -> nn.Module:
    return nn.Identity() if inputs == outputs else _scaled(nn.Conv2d(inputs, outputs, 1, bias=False), 1.0)


def _scaled(layer: nn.Conv2d, gain: float) -> nn.Conv2d:
    """The layer with weights of the standard deviation gain / √inputs, and no bias at first."""
    nn.init.normal_(layer.weight, std=gain * layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
