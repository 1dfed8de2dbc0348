"""Layers that many networks of one shape take at once: convolutions and batch normalisation.

Images lie here as (N, H, W, S, C): S networks, each with N images of its own, side by side in each pixel. So one call
takes all: convolutions in S groups, and normalisation of S * C channels. Where libraries are slow (one input channel,
1x1 kernels, images of 2x2 pixels) a convolution is a product of matrices, one a network.
"""

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

KERNEL = 3
MOMENTUM = 0.1
SMALLEST = 2  # side of images that are multiplied whole


def convolve(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """A 3x3 convolution with padding 1, or a 1x1 convolution, of each network's images.

    One network's bits are those that it has in a stack. For a convolution in one group oneDNN takes other algorithms
    than in several, for some shapes on some processors: there a network that is alone is computed beside itself.

    Args:
        x: (N, H, W, S, C).
        weight: (S, 3, 3, C, O) or (S, 1, 1, C, O): the kernel's rows and columns.
        stride: 1 or 2.

    Returns:
        (N, ceil(H / stride), ceil(W / stride), S, O).
    """
    if alone(x) and not _same_alone(x.shape, weight.shape, stride, x.dtype, torch.get_num_threads()):
        return _convolve(beside_itself(x, 3), beside_itself(weight, 0), stride)[:, :, :, :1].contiguous()
    return _convolve(x, weight, stride)


def alone(x: Tensor) -> bool:
    """Whether images (N, H, W, S, C) are of one network, on a processor, whose bits may then be others."""
    return x.shape[3] == 1 and x.device.type == "cpu"


def beside_itself(x: Tensor, axis: int) -> Tensor:
    """``x`` twice along an axis of networks; the second time counts for nothing."""
    return torch.cat([x, x.detach()], axis)


@cache
@torch.enable_grad()
def _same_alone(x: torch.Size, weight: torch.Size, stride: int, dtype: torch.dtype, threads: int) -> bool:  # noqa: ARG001
    """Whether a convolution of such shapes has the same bits alone as beside another one: tried on random numbers."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(*x[:3], 2, *x[4:], dtype=dtype, generator=rng)
    kernels = torch.randn(2, *weight[1:], dtype=dtype, generator=rng)
    towards, found = torch.empty(0), []
    for count in (2, 1):
        some = images[:, :, :, :count].contiguous().requires_grad_()
        their = kernels[:count].clone().requires_grad_()
        made = _convolve(some, their, stride)
        towards = (
            torch.randn(made.shape, dtype=dtype, generator=rng) if count == 2 else towards[:, :, :, :1].contiguous()
        )
        to_images, to_kernels = torch.autograd.grad(made, (some, their), towards)
        found.append([made[:, :, :, 0], to_images[:, :, :, 0], to_kernels[0]])
    return all(map(torch.equal, *found))


def _convolve(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    height, width, networks, channels = x.shape[1:]
    if weight.shape[1] == 1:
        return _products(x[:, ::stride, ::stride], weight[:, 0, 0])
    if channels == 1:
        return _products(_patches(x, stride), weight.flatten(1, 3))
    if stride == 1 and height == width == SMALLEST:
        found = _Whole.apply(x.permute(3, 0, 1, 2, 4).contiguous(), weight)
        return found.permute(1, 2, 3, 0, 4).contiguous()
    kernels = weight.permute(0, 4, 3, 1, 2).flatten(0, 1)
    found = F.conv2d(x.flatten(3).permute(0, 3, 1, 2), kernels, stride=stride, padding=1, groups=networks)
    return found.permute(0, 2, 3, 1).unflatten(3, (networks, -1))


def normalise(x: Tensor, scale: Tensor, shift: Tensor, statistics: tuple[Tensor, Tensor] | None, eps: float) -> Tensor:
    """Batch normalisation (Ioffe & Szegedy 2015) of each network's images and channels by themselves.

    Args:
        x: (N, H, W, S, C).
        scale: (S, C), as ``shift`` and the two of ``statistics``.
        statistics: the running mean and variance, which are moved by a tenth; none of them if left out.
    """
    mean, variance = (one.view(-1) for one in statistics) if statistics else (None, None)
    channels = x.flatten(3).permute(0, 3, 1, 2)
    found = F.batch_norm(channels, mean, variance, scale.flatten(), shift.flatten(), True, MOMENTUM, eps)
    return found.permute(0, 2, 3, 1).view(x.shape)


def _products(x: Tensor, weight: Tensor) -> Tensor:
    """Each network's pixels (N, H, W, S, C) times its matrix (S, C, O)."""
    found = torch.bmm(x.flatten(0, 2).transpose(0, 1), weight)
    return found.transpose(0, 1).contiguous().view(*x.shape[:4], -1)


def _patches(x: Tensor, stride: int) -> Tensor:
    """Around each pixel of the result what the kernel sees of images with one channel: (N, H', W', S, 9)."""
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 0, 0, 1, 1, 1, 1))
    rows, columns = -(-height // stride), -(-width // stride)
    shifted = [
        padded[:, row : row + stride * rows : stride, column : column + stride * columns : stride, :, 0]
        for row in range(KERNEL)
        for column in range(KERNEL)
    ]
    return torch.stack(shifted, 4)


class _Whole(Function):
    """Images of 2x2 pixels, of which a patch lies more outside than inside: times one matrix for a whole image."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        networks, _, _, _, channels = x.shape
        matrix = weight.new_empty(networks, SMALLEST, SMALLEST, channels, SMALLEST, SMALLEST, weight.shape[-1])
        turned = weight.flip(1, 2)
        for row, column in _PIXELS:
            matrix[:, row, column] = _seen_from(turned, row, column).permute(0, 3, 1, 2, 4)
        matrix = matrix.flatten(4).flatten(1, 3)
        ctx.save_for_backward(x, matrix)
        return torch.bmm(x.flatten(2), matrix).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, matrix = ctx.saved_tensors
        gradient = gradients[0].flatten(2)
        channels, outputs = x.shape[-1], gradients[0].shape[-1]
        parts = torch.bmm(x.flatten(2).transpose(1, 2), gradient)
        parts = parts.view(len(x), SMALLEST, SMALLEST, channels, SMALLEST, SMALLEST, outputs)
        turned = x.new_zeros(len(x), KERNEL, KERNEL, channels, outputs)
        for row, column in _PIXELS:
            _seen_from(turned, row, column).add_(parts[:, row, column].permute(0, 2, 3, 1, 4))
        return torch.bmm(gradient, matrix.transpose(1, 2)).view(x.shape), turned.flip(1, 2)


_PIXELS = [(row, column) for row in range(SMALLEST) for column in range(SMALLEST)]


def _seen_from(turned: Tensor, row: int, column: int) -> Tensor:
    """What of the turned kernel (S, 3, 3, C, O) a pixel of a 2x2 image gives to each: (S, 2, 2, C, O)."""
    return turned[:, 1 - row : 3 - row, 1 - column : 3 - column]
