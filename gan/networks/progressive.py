"""Progressively grown generator and critic (Karras et al. 2018, arXiv 1710.10196).

Training begins at the coarsest level, 4x4 to 8x8 pixels. Levels are added one by one: each fades in for as long as it
is then left to settle. Kept from the paper: layers with an equalised learning rate, pixelwise feature normalisation in
the generator, batch statistics in the critic, 3x3 convolutions in pairs, and an image made and read at every level.

A phase, of fading in or of settling, lasts ``PHASE`` of the budget (``gan.networks.growing``): theirs are of 600 of
12,000 kimg (their code's configuration for 1024x1024). So with a budget of 100 kimg at 32 pixels, which are three
doublings from 4: 5 kimg at 4x4; 5 kimg for 8x8 to fade in and 5 to settle; so too 16x16; 5 for 32x32 to fade in, and
the other 70 at full size.

What differs:

- Sizes follow :class:`gan.networks.Shape`; their networks for 256x256 are those of width 64.
- The critic takes images of full size and averages and fades them itself, so that real and synthetic images are treated
  alike; the generator enlarges what it makes to full size. Their networks are handed images of the current size.
- Labels enter the generator as embeddings beside z, and the critic by projection (Miyato & Koyama 2018). tanh ends the
  generator, as the images of all families lie in [-1, 1].
- The batch keeps its size, and Adam its moments, when a level is added.
- Where lower levels are to leave the label out, each further one is modulated by (z, label) before its convolutions,
  as in the first StyleGAN (Karras et al. 2019), and normalised again.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.conditioning import Style
from gan.networks.convolutions import convolve, convolve_and_halve, double, double_and_convolve, halve
from gan.networks.equalised import (
    GAIN,
    EqualisedConv2d,
    EqualisedLinear,
    EqualisedProjection,
    rectified,
    unit_length,
)
from gan.networks.family import Family
from gan.networks.growing import Growing, course, grow
from gan.networks.low import LowImage
from gan.networks.minibatch import MinibatchStd
from gan.networks.shape import Shape


class First(nn.Module):
    """The style at the coarsest level: (N, S) to (N, channels, base, base)."""

    def __init__(self, style_dim: int, channels: int, base: int) -> None:
        super().__init__()
        self.base = base
        # a bias a channel: the layer is a convolution on one pixel, padded, in the paper
        self.linear = EqualisedLinear(style_dim, channels * base**2, bias=None, gain=GAIN / 4)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.conv = EqualisedConv2d(channels, channels, 3, gain=GAIN)

    def forward(self, style: Tensor) -> Tensor:
        """(N, S) to (N, channels, base, base)."""
        x = self.linear(style).view(len(style), -1, self.base, self.base) + self.bias
        return _normalised(self.conv(_normalised(x)))


class UpBlock(nn.Module):
    """Twice the resolution, and two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConv2d(inputs, outputs, 3, gain=GAIN)
        self.second = EqualisedConv2d(outputs, outputs, 3, gain=GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, 2H, 2W)."""
        return _normalised(self.second(_normalised(double_and_convolve(x, self.first))))


class Entry(nn.Module):
    """Where a label reaches a level: gains and biases of each channel, then pixel norm."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style_dim, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x (N, channels, H, W), style (N, S) to (N, channels, H, W)."""
        gain, bias = self.affine(style)[:, :, None, None].chunk(2, dim=1)
        return unit_length(x * (1 + gain) + bias)


class Generator(Growing):
    """z (N, latent_dim) and labels (N,) to images (N, C, H, W) in [-1, 1]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        widths = [shape.width_at(level) for level in range(shape.levels, -1, -1)]
        self.style = Style(shape.classes, shape.latent_dim)
        self.blocks = nn.ModuleList([First(2 * shape.latent_dim, widths[0], shape.base)])
        self.blocks.extend(UpBlock(i, o) for i, o in pairwise(widths))
        self.to_image = nn.ModuleList(EqualisedConv2d(width, shape.channels, 1) for width in widths)
        if shape.unlabelled:
            self.entries = nn.ModuleList(Entry(width, 2 * shape.latent_dim) for width in widths[shape.low : -1])
        if shape.low_images:
            self.low_image = LowImage(shape)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """z float (N, latent_dim), labels int64 (N,); returns (N, C, H, W) in [-1, 1]."""
        return self.drawn(self.styles(z, labels), z)

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        """Unit vectors (N, S) of z and the label; they, not z, are what truncation scales (``gan.truncation``).

        (N, 2, S) with ``shape.unlabelled``, the first of no class.
        """
        style = unit_length(self.style(z, labels))
        return torch.stack([unit_length(self.style.unlabelled(z)), style], dim=1) if self.shape.unlabelled else style

    def drawn(self, styles: Tensor, z: Tensor) -> Tensor:  # noqa: ARG002
        """Images (N, C, H, W) of ``styles``."""
        shape = self.shape
        x, style = styles.unbind(dim=1) if shape.unlabelled else (styles, styles)
        coarser = x
        for stage in range(self.top + 1):
            coarser = x
            if shape.unlabelled and stage > shape.low:
                x = self.entries[stage - shape.low - 1](x, style)
            x = self.blocks[stage](x)
            if shape.low_images and (stage, self.fading and stage == self.top) == self.low():
                self.low_image(_enlarged(self._image(x, coarser, *self.low()), shape.low - stage))
        image = torch.tanh(self._image(x, coarser, self.top, self.fading))
        return _enlarged(image, shape.levels - self.top)[:, :, : shape.image_size, : shape.image_size]

    def _image(self, x: Tensor, coarser: Tensor, stage: int, fading: bool) -> Tensor:
        image = self.to_image[stage](x)
        if not fading:
            return image
        return torch.lerp(double(self.to_image[stage - 1](coarser)), image, self.alpha().to(image.dtype))


class DownBlock(nn.Module):
    """Two convolutions, and half the resolution, rounded up."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConv2d(inputs, inputs, 3, gain=GAIN)
        self.second = EqualisedConv2d(inputs, outputs, 3, gain=GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / 2, W / 2), rounded up."""
        return rectified(convolve_and_halve(self.second, rectified(self.first(x))))


class Last(nn.Module):
    """The features of the coarsest level: (N, channels, base, base) to (N, channels)."""

    def __init__(self, channels: int, base: int, group: int) -> None:
        super().__init__()
        self.statistics = MinibatchStd(group) if group else nn.Identity()
        self.conv = EqualisedConv2d(channels + bool(group), channels, 3, gain=GAIN)
        self.linear = EqualisedLinear(channels * base**2, channels, gain=GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, base, base) to (N, channels)."""
        return rectified(self.linear(rectified(convolve(self.conv, self.statistics(x))).flatten(1)))


class Critic(Growing):
    """Images (N, C, H, W) and labels (N,) to scores (N,); no layer sees more than one image, but for minibatch_std."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        widths = [shape.width_at(level) for level in range(shape.levels, -1, -1)]
        self.from_image = nn.ModuleList(EqualisedConv2d(shape.channels, width, 1, gain=GAIN) for width in widths)
        self.blocks = nn.ModuleList([Last(widths[0], shape.base, shape.minibatch_std)])
        self.blocks.extend(DownBlock(i, o) for o, i in pairwise(widths))
        self.head = EqualisedProjection(shape.classes, widths[0])
        if shape.low_images:
            self.low_score = EqualisedLinear(widths[0], 1)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """images float (N, C, H, W) in [-1, 1], labels int64 (N,); returns float (N,).

        With ``shape.low_images`` the labels None stand for images of the lower level, which have none.
        """
        if labels is None:
            return self.low_score(self._features(images, self.shape.low, *self.low())).squeeze(1)
        return self.head(self._features(images, self.shape.levels, self.top, self.fading), labels)

    def _features(self, images: Tensor, finest: int, top: int, fading: bool) -> Tensor:
        """Of images of the stage ``finest``, read from the stage ``top`` on."""
        for _ in range(finest - top):
            images = halve(images)
        if fading:
            alpha, coarse = self.alpha(), halve(images)
            height, width = images.shape[2:]
            images = torch.lerp(double(coarse)[:, :, :height, :width], images, alpha)
            x = self.blocks[top](rectified(self.from_image[top](images)))
            x = torch.lerp(rectified(self.from_image[top - 1](coarse)), x, alpha.to(x.dtype))
        else:
            x = rectified(self.from_image[top](images))
        for stage in reversed(range(top if fading else top + 1)):
            x = self.blocks[stage](x)
        return x


FAMILY = Family(
    Generator,
    Critic,
    schedule=grow,
    defaults={"minibatch_std": 4, "drift_weight": 1e-3, "beta2": 0.99, "critic_lr": 1e-3, "generator_lr": 1e-3},
    leaves_labels_out=True,
    course=course,
)
"""With the settings of the paper (its appendix A.1), where no recipe says otherwise."""


def _enlarged(image: Tensor, levels: int) -> Tensor:
    return F.interpolate(image, scale_factor=2.0**levels, mode="nearest") if levels else image


def _normalised(x: Tensor) -> Tensor:
    return unit_length(rectified(x))
