"""Layers of StyleGAN's generators: the mapping, and what a style does to a convolution.

Two kinds. Modulated convolutions, which are demodulated, are those of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958);
adaptive instance normalisation is that of the first StyleGAN (Karras et al. 2019, arXiv 1812.04948). Layers have the
papers' sizes.

A modulated convolution is the plain one of scaled inputs, with scaled outputs. On a processor that takes a third to a
twentieth of the time of one convolution a group, which has weights of its own for each image.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.blur import Blur
from gan.networks.conditioning import LabelEmbedding
from gan.networks.equalised import GAIN, EqualisedConv2d, EqualisedLinear, rectified, unit_length

MAPPING_LAYERS, MAPPING_LR = 8, 0.01


class Mapping(nn.Module):
    """z and the label to an intermediate latent vector w, in float32 also under autocast."""

    def __init__(self, classes: int, latent_dim: int) -> None:
        super().__init__()
        self.embed = LabelEmbedding(classes, latent_dim)
        inputs = [2 * latent_dim] + [latent_dim] * (MAPPING_LAYERS - 1)
        self.layers = nn.ModuleList(EqualisedLinear(i, latent_dim, gain=GAIN, lr_multiplier=MAPPING_LR) for i in inputs)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """z (N, latent_dim), labels int64 (N,), or None for no class, to w (N, latent_dim)."""
        with torch.autocast(z.device.type, enabled=False):
            label = torch.zeros_like(z) if labels is None else self.embed(labels)
            w = torch.cat([unit_length(z), label], dim=1)
            for layer in self.layers:
                w = rectified(layer(w))
        return w


class ModulatedConv(nn.Module):
    """A convolution whose weights are scaled along the inputs, for each image by its style (section 2.2).

    Args:
        demodulated: also along the outputs, so that inputs of unit variance give outputs of unit variance.
        up: doubles the resolution; the blur after it takes the checkerboard out.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style_dim: int, demodulated: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.normal_(self.weight)
        self.blur = Blur(padding=1, gain=4.0) if up else None
        self._scale, self._demodulated = 1 / math.sqrt(inputs * kernel**2), demodulated

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, inputs, H, W), w (N, style_dim) to what is yet to be multiplied: (N, outputs, H', W') and factors.

        H' is H or 2H; the factors are (N, outputs, 1, 1), or 1 without demodulation.
        """
        with torch.autocast(x.device.type, enabled=False):
            style = self.affine(w) * self._scale
            factors = torch.ones((), device=x.device)
            if self._demodulated:
                squares = style.square() @ self.weight.square().sum(dim=(2, 3)).T
                factors = (squares + 1e-8).rsqrt()[:, :, None, None]
        return self._convolved(x * style[:, :, None, None].to(x.dtype)), factors

    def _convolved(self, x: Tensor) -> Tensor:
        if self.blur is None:
            return F.conv2d(x, self.weight, padding=self.weight.shape[2] // 2)
        return self.blur(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))


class StyledConv(nn.Module):
    """A modulated convolution, noise of a learned strength, bias, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style_dim, up=up)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """x (N, inputs, H, W), w (N, style_dim), noise (N, 1, H', W') to (N, outputs, H', W')."""
        y, factors = self.conv(x, w)
        noise = noise * (self.noise_strength * GAIN)
        y = torch.addcmul(noise.to(y.dtype), y, (factors * GAIN).to(y.dtype))
        return rectified(y + (self.bias * GAIN).view(1, -1, 1, 1).to(y.dtype))


class ToImage(nn.Module):
    """A modulated convolution of one pixel, not demodulated, and a bias."""

    def __init__(self, inputs: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, channels, 1, style_dim, demodulated=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (N, inputs, H, W), w (N, style_dim) to (N, channels, H, W), in float32 at least."""
        return self.conv(x, w)[0] + self.bias.view(1, -1, 1, 1)


class DoublingConv(EqualisedConv2d):
    """A plain convolution that doubles the resolution; the blur after it takes the checkerboard out."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, bias=None, gain=GAIN)
        self.blur = Blur(padding=1, gain=4.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, 2H, 2W)."""
        return self.blur(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))


class AdaptiveLayer(nn.Module):
    """What ``conv`` makes, noise of a learned strength a channel, bias, leaky ReLU; normalised, then scaled by a style.

    Each channel of each image is normalised alone, and its style is a scale and a shift (Huang & Belongie 2017).

    Args:
        channels: that ``conv`` makes.
        conv: the convolution; for the first layer, whose input is the learned constant, none.
    """

    def __init__(self, channels: int, style_dim: int, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.noise_strength = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.affine = EqualisedLinear(style_dim, 2 * channels)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """x (N, inputs, H, W), w (N, style_dim), noise (N, 1, H', W') to (N, channels, H', W')."""
        y = self.conv(x)
        strength, bias = (one.view(1, -1, 1, 1).to(y.dtype) for one in (self.noise_strength, self.bias))
        y = rectified(torch.addcmul(y + bias, noise.to(y.dtype), strength))
        with torch.autocast(x.device.type, enabled=False):
            style = self.affine(w)[:, :, None, None]
        scale, shift = style.to(y.dtype).chunk(2, dim=1)
        return torch.addcmul(shift, F.group_norm(y, y.shape[1]), 1 + scale)


class PlainToImage(nn.Module):
    """A convolution of one pixel, which no style has a part in, and a bias.

    Its gain is such that images of ``levels`` levels, of layers of a mean square of 3, begin with one of 1 in all.
    """

    def __init__(self, inputs: int, channels: int, levels: int) -> None:
        super().__init__()
        self.conv = EqualisedConv2d(inputs, channels, 1, bias=None, gain=(3 * levels) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:  # noqa: ARG002
        """x (N, inputs, H, W) to (N, channels, H, W), in float32 at least."""
        return self.conv(x) + self.bias.view(1, -1, 1, 1)


def demodulated_layers(widths: list[int], style_dim: int) -> list[nn.Module]:
    """StyleGAN2's layers for levels of these channels, from the coarsest on: one there, two at each further level."""
    layers: list[nn.Module] = [StyledConv(widths[0], widths[0], style_dim)]
    for inputs, outputs in pairwise(widths):
        layers += [StyledConv(inputs, outputs, style_dim, up=True), StyledConv(outputs, outputs, style_dim)]
    return layers


def adaptive_layers(widths: list[int], style_dim: int) -> list[nn.Module]:
    """The same of the first StyleGAN: two at every level, the first of all without a convolution."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([0, *widths]):
        first = DoublingConv(inputs, outputs) if inputs else nn.Identity()
        second = EqualisedConv2d(outputs, outputs, 3, bias=None, gain=GAIN)
        layers += [AdaptiveLayer(outputs, style_dim, conv) for conv in (first, second)]
    return layers
