"""Layers with an equalised learning rate: weights at unit scale, scaled where they are used (Karras et al. 2018, 4.1).

Adam moves each weight by about its learning rate, whatever its size. Weights that are all drawn from N(0, 1) are so
learnt at one speed in all layers; the constant of He's initialisation, gain / √inputs, is part of the layer instead.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.conditioning import LabelEmbedding

GAIN = math.sqrt(2)  # with a leaky ReLU, before or after it, keeps the variance, nearly
SLOPE = 0.2


def rectified(x: Tensor) -> Tensor:
    """The leaky ReLU of these papers' networks."""
    return F.leaky_relu(x, SLOPE)


def unit_length(x: Tensor) -> Tensor:
    """Each pixel's features, or each vector, at a mean square of 1 (Karras et al. 2018, section 4.2)."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class Equalised(nn.Module):
    """A layer's weight and bias, stored at unit scale.

    Args:
        size: of the weight; the first axis is of the outputs.
        bias: what the bias starts at; None for a layer without one.
        gain: of the result's standard deviation; √2 before a rectifier.
        lr_multiplier: how much faster the layer learns than others; 0.01 in StyleGAN's mapping network. The function at
            the start is the same for any.
    """

    def __init__(self, *size: int, bias: float | None, gain: float, lr_multiplier: float) -> None:
        super().__init__()
        self.stored_weight = nn.Parameter(torch.empty(size))
        nn.init.normal_(self.stored_weight, std=1 / lr_multiplier)
        self.stored_bias = None if bias is None else nn.Parameter(torch.full((size[0],), bias / lr_multiplier))
        self.scale, self.lr_multiplier = lr_multiplier * gain * math.prod(size[1:]) ** -0.5, lr_multiplier

    @property
    def weight(self) -> Tensor:
        """As it is used."""
        return self.stored_weight * self.scale

    @property
    def bias(self) -> Tensor | None:
        """As it is used, (outputs,)."""
        if self.stored_bias is None or self.lr_multiplier == 1:
            return self.stored_bias
        return self.stored_bias * self.lr_multiplier


class EqualisedLinear(Equalised):
    """A linear layer whose result has the variance gain² for inputs of variance 1 each.

    >>> x = torch.randn(4096, 64)
    >>> 1.8 < EqualisedLinear(64, 32, gain=2**0.5)(x).var() < 2.2
    tensor(True)

    Args:
        inputs, outputs: features.
        bias, gain, lr_multiplier: see :class:`Equalised`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: float | None = 0.0,
        gain: float = 1.0,
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__(outputs, inputs, bias=bias, gain=gain, lr_multiplier=lr_multiplier)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        return F.linear(x, self.weight, self.bias)


class EqualisedConv2d(Equalised):
    """A convolution, padded to keep the resolution, whose result has the variance gain² for inputs of variance 1 each.

    It has what :mod:`gan.networks.convolutions` asks of a convolution.

    Args:
        in_channels, out_channels: of the images.
        kernel_size: height and width of the kernel, an odd number.
        bias, gain, lr_multiplier: see :class:`Equalised`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: float | None = 0.0,
        gain: float = 1.0,
        lr_multiplier: float = 1.0,
    ) -> None:
        size = (out_channels, in_channels, kernel_size, kernel_size)
        super().__init__(*size, bias=bias, gain=gain, lr_multiplier=lr_multiplier)
        self.in_channels, self.out_channels, self.padding = in_channels, out_channels, kernel_size // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)


class EqualisedProjection(nn.Module):
    """The score of Miyato & Koyama 2018 (see :class:`gan.networks.conditioning.Projection`) in such layers."""

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.score = EqualisedLinear(features, 1)
        self.embed = LabelEmbedding(classes, features)
        self.scale = features**-0.5

    def forward(self, h: Tensor, labels: Tensor) -> Tensor:
        """h (N, features), labels int64 (N,) to scores (N,)."""
        return self.score(h).squeeze(1) + (self.embed(labels) * h).sum(dim=1) * self.scale
