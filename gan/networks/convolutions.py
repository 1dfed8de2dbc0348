"""Convolutions in a cheaper form: the same function of the same weights, in fewer multiplications.

A convolution and the halving or doubling of the resolution beside it are one convolution with a stride, whose kernel is
made from the given one: 16 multiplications a pixel of the coarse level in the place of 36. At 4x4 pixels Winograd's
algorithm takes 36 in the place of 144. Most processors have no units of their own for convolutions, and there this
is what the time goes by (docs/benchmarks.md).
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Convolution(Protocol):
    """A padded 3x3 convolution: ``nn.Conv2d``, or one that makes its weights anew each time."""

    @property
    def in_channels(self) -> int:
        """Channels I of what it takes."""
        ...

    @property
    def out_channels(self) -> int:
        """Channels O of what it makes."""
        ...

    @property
    def weight(self) -> Tensor:
        """(O, I, 3, 3)."""
        ...

    @property
    def bias(self) -> Tensor | None:
        """(O,), if there is one."""
        ...

    def __call__(self, x: Tensor, /) -> Tensor:
        """(N, I, H, W) to (N, O, H, W)."""
        ...


def convolve_and_halve(conv: Convolution, x: Tensor) -> Tensor:
    """``avg_pool2d(conv(x), 2)`` of a padded 3x3 convolution; of odd sides the last pixels are averaged alone.

    >>> conv, x = torch.nn.Conv2d(2, 3, 3, padding=1), torch.randn(1, 2, 6, 8)
    >>> torch.allclose(convolve_and_halve(conv, x), F.avg_pool2d(conv(x), 2), atol=1e-6)
    True

    Args:
        conv: (N, inputs, H, W) to (N, outputs, H, W).
        x: (N, inputs, H, W).

    Returns:
        (N, outputs, H / 2, W / 2), rounded up.
    """
    if any(side % 2 for side in x.shape[2:]):
        return halve(conv(x))
    return F.conv2d(x, _four_shifts(conv.weight) / 4, conv.bias, stride=2, padding=1)


def double_and_convolve(x: Tensor, conv: Convolution) -> Tensor:
    """``conv(double(x))`` of a padded 3x3 convolution.

    >>> conv, x = torch.nn.Conv2d(2, 3, 3, padding=1), torch.randn(1, 2, 4, 5)
    >>> torch.allclose(double_and_convolve(x, conv), conv(double(x)), atol=1e-6)
    True

    Args:
        x: (N, inputs, H, W).
        conv: (N, inputs, 2H, 2W) to (N, outputs, 2H, 2W).
    """
    kernel = _four_shifts(conv.weight.flip(2, 3).transpose(0, 1))
    return F.conv_transpose2d(x, kernel, conv.bias, stride=2, padding=1)


def convolve(conv: Convolution, x: Tensor) -> Tensor:
    """``conv(x)`` of a padded 3x3 convolution, at 4x4 pixels on a CPU after Winograd (Lavin & Gray 2016, F(4x4, 3x3)).

    That one loses some three bits, for which float32 has room and bfloat16 has not. The last bits depend on the batch,
    so it is not for generators, whose images must not.

    >>> conv, x = torch.nn.Conv2d(8, 8, 3, padding=1), torch.randn(2, 8, 4, 4)
    >>> torch.allclose(convolve(conv, x), conv(x), atol=1e-4)
    True

    Args:
        conv: (N, inputs, H, W) to (N, outputs, H, W).
        x: (N, inputs, H, W).
    """
    if x.device.type != "cpu" or x.shape[2:] != (4, 4) or torch.is_autocast_enabled("cpu"):
        return conv(x)
    count, inputs, outputs = len(x), conv.in_channels, conv.out_channels
    to_points, of_kernel, to_pixels = (matrix.to(x.dtype) for matrix in (TO_POINTS, OF_KERNEL, TO_PIXELS))
    points = to_points @ x.permute(2, 3, 0, 1).reshape(16, count * inputs)
    kernels = of_kernel @ conv.weight.permute(2, 3, 1, 0).reshape(9, inputs * outputs)
    products = torch.bmm(points.view(36, count, inputs), kernels.view(36, inputs, outputs))
    y = (to_pixels @ products.view(36, count * outputs)).view(4, 4, count, outputs).permute(2, 3, 0, 1)
    if conv.bias is not None:
        y = y + conv.bias.view(1, -1, 1, 1)
    return y.contiguous(memory_format=torch.channels_last)


def halve(x: Tensor) -> Tensor:
    """Averages 2x2 pixels, at odd sides what is left of them: (N, C, H, W) to (N, C, H / 2, W / 2), rounded up."""
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def double(x: Tensor) -> Tensor:
    """Makes each pixel four: (N, C, H, W) to (N, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _four_shifts(kernel: Tensor) -> Tensor:
    """A kernel (O, I, 3, 3) added to itself where it lies for each of 2x2 pixels: (O, I, 4, 4)."""
    top, bottom = (F.pad(kernel, (0, 0, 0, 1)), F.pad(kernel, (0, 0, 1, 0)))
    rows = top + bottom
    return F.pad(rows, (0, 1)) + F.pad(rows, (1, 0))


# In one dimension four pixels between two zeros, a kernel of three and their convolution, at the points 0, 1, -1, 2, -2
# and infinity; in two dimensions each with itself.
_POINTS = torch.tensor(
    [[0, -5, 0, 1], [-4, -4, 1, 1], [4, -4, -1, 1], [-2, -1, 2, 1], [2, -1, -2, 1], [4, 0, -5, 0]],
    dtype=torch.float64,
)
_KERNEL = torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64)
_PIXELS = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float64
)
TO_POINTS, OF_KERNEL, TO_PIXELS = (
    torch.kron(_POINTS, _POINTS),
    torch.kron(_KERNEL, _KERNEL) / 576,
    torch.kron(_PIXELS, _PIXELS),
)
