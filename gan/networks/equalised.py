"""Layers with an equalised learning rate: weights at unit scale, scaled where they are used (Karras et al. 2018, 4.1).

Adam moves each weight by about its learning rate, whatever its size. Weights that are all drawn from N(0, 1) are so
learnt at one speed in all layers; the constant of He's initialisation, gain / √inputs, is part of the layer instead.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.conditioning import LabelEmbedding


class EqualisedLinear(nn.Module):
    """A linear layer whose result has the variance gain² for inputs of variance 1 each.

    >>> x = torch.randn(4096, 64)
    >>> 1.8 < EqualisedLinear(64, 32, gain=2**0.5)(x).var() < 2.2
    tensor(True)

    Args:
        inputs, outputs: features.
        bias: what the bias starts at; None for a layer without one.
        gain: of the result's standard deviation; √2 before a rectifier.
        lr_multiplier: how much faster the layer learns than others; 0.01 in StyleGAN's mapping network. The function at
            the start is the same for any.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: float | None = 0.0,
        gain: float = 1.0,
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__()
        self.stored_weight = _unit(outputs, inputs, divisor=lr_multiplier)
        self.stored_bias = None if bias is None else nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        self.scale, self.lr_multiplier = lr_multiplier * gain * inputs**-0.5, lr_multiplier

    @property
    def weight(self) -> Tensor:
        """As it is used, (outputs, inputs)."""
        return self.stored_weight * self.scale

    @property
    def bias(self) -> Tensor | None:
        """As it is used, (outputs,)."""
        return _times(self.stored_bias, self.lr_multiplier)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        return F.linear(x, self.weight, self.bias)


class EqualisedConv2d(nn.Module):
    """A convolution, padded to keep the resolution, whose result has the variance gain² for inputs of variance 1 each.

    It has what :mod:`gan.networks.convolutions` asks of a convolution.

    Args:
        in_channels, out_channels: of the images.
        kernel_size: height and width of the kernel, an odd number.
        bias: what the bias starts at; None for a layer without one.
        gain, lr_multiplier: see :class:`EqualisedLinear`.
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
        super().__init__()
        self.in_channels, self.out_channels, self.padding = in_channels, out_channels, kernel_size // 2
        self.stored_weight = _unit(out_channels, in_channels, kernel_size, kernel_size, divisor=lr_multiplier)
        self.stored_bias = None if bias is None else nn.Parameter(torch.full((out_channels,), bias / lr_multiplier))
        self.scale, self.lr_multiplier = lr_multiplier * gain * (in_channels * kernel_size**2) ** -0.5, lr_multiplier

    @property
    def weight(self) -> Tensor:
        """As it is used, (out_channels, in_channels, kernel_size, kernel_size)."""
        return self.stored_weight * self.scale

    @property
    def bias(self) -> Tensor | None:
        """As it is used, (out_channels,)."""
        return _times(self.stored_bias, self.lr_multiplier)

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


def _unit(*size: int, divisor: float) -> nn.Parameter:
    weight = nn.Parameter(torch.empty(size))
    nn.init.normal_(weight, std=1 / divisor)
    return weight


def _times(bias: Tensor | None, factor: float) -> Tensor | None:
    return bias if bias is None or factor == 1 else bias * factor
