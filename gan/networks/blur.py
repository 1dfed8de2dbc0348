"""Resampling that leaves no checkerboard: blurred by [1, 3, 3, 1] in both directions (Karras et al. 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Blur(nn.Module):
    """Convolves each channel with [1, 3, 3, 1] in both directions, between zeros.

    Args:
        padding: zeros on each side.
        stride: 2 leaves out what would not be looked at.
        gain: the sum of the kernel.
    """

    taps: Tensor

    def __init__(self, padding: int, stride: int = 1, gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("taps", _taps(gain), persistent=False)
        self._padding, self._stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W'), H' = H + 2 padding - 3 for a stride of 1."""
        channels = x.shape[1]
        kernel = self.taps.expand(channels, 1, 4, 4)
        return F.conv2d(x, kernel, stride=self._stride, padding=self._padding, groups=channels)


class DoublingBlur(nn.Module):
    """Doubles the resolution: zeros between the pixels, then the :class:`Blur`, in one transposed convolution."""

    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("taps", _taps(4.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 2H, 2W)."""
        channels = x.shape[1]
        return F.conv_transpose2d(x, self.taps.expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)


def _taps(gain: float) -> Tensor:
    row = (1.0, 3.0, 3.0, 1.0)
    return torch.tensor([[gain * one * other / 64 for other in row] for one in row])
