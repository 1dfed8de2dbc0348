"""Layers that many networks of one shape take at once: convolutions as products of matrices, and batch normalisation.

Images lie here as (S, N, H, W, C): S networks, each with N images of its own. Each network's numbers come from the same
operations of the same sizes, however many networks there are, so that they are equal to the last bit.

A convolution of small images of few channels is what libraries are slowest at, above all its gradients: on one core
with AVX2 a third of what products of matrices reach. So it is a product of the patches that the kernel sees, or, of
images so small that most of a patch lies outside, of whole images. Of larger images the patches would be too many.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

KERNEL = 3
SMALLEST = 2  # side of images that are multiplied whole
MIDDLING = 16  # pixels of an image whose patches are worth their memory
FEW = 4  # channels whose patches are small at any size


def convolve(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """A 3x3 convolution with padding 1, or a 1x1 convolution, of each network's images.

    Args:
        x: (S, N, H, W, C).
        weight: (S, 3, 3, C, O) or (S, 1, 1, C, O): the kernel's rows and columns.
        stride: 1 or 2.

    Returns:
        (S, N, ceil(H / stride), ceil(W / stride), O).
    """
    height, width, channels = x.shape[2:]
    if weight.shape[1] == 1:
        x = x[:, :, ::stride, ::stride]
        return torch.bmm(x.flatten(1, 3), weight[:, 0, 0]).view(*x.shape[:-1], -1)
    if stride == 1 and height == width == SMALLEST:
        return _Whole.apply(x, weight)
    if stride > 1 or channels <= FEW or height * width <= MIDDLING or x.device.type != "cpu":
        return _Patches.apply(x, weight, stride)
    return _Library.apply(x, weight)


def normalise(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation (Ioffe & Szegedy 2015) of each network's images and channels by themselves.

    Args:
        x: (S, N, H, W, C).
        scale: (S, C), as ``shift``.

    Returns:
        (S, N, H, W, C), and without gradients the batch's mean and biased variance, (S, C) each.
    """
    return _BatchNorm.apply(x, scale, shift, eps)


class _Patches(Function):
    """The kernel (S, 3, 3, C, O) times the patches of the images (S, N, H, W, C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        patches = _patches(x, stride)
        ctx.save_for_backward(weight, patches)
        ctx.shape, ctx.stride = x.shape, stride
        return _product(patches, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None]:
        weight, patches = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        of_weight = torch.bmm(patches.flatten(1, 3).transpose(1, 2), gradient.flatten(1, 3)).view(weight.shape)
        of_x = None
        if ctx.needs_input_grad[0] and ctx.stride == 1:  # the kernel turned by half, its channels changed over
            of_x = _product(_patches(gradient, 1), weight.flip(1, 2).transpose(3, 4))
        elif ctx.needs_input_grad[0]:
            of_x = _gathered(torch.bmm(gradient.flatten(1, 3), weight.flatten(1, 3).transpose(1, 2)), ctx.shape)
        return of_x, of_weight, None


def _patches(x: Tensor, stride: int) -> Tensor:
    """Around each pixel of the result what the kernel sees: (S, N, H, W, C) -> (S, N, H', W', 9 * C)."""
    networks, count, height, width, channels = x.shape
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    sizes = networks, count, -(-height // stride), -(-width // stride), KERNEL, KERNEL * channels
    strides = padded.stride()
    along = *strides[:2], stride * strides[2], stride * strides[3], strides[2], 1
    return padded.as_strided(sizes, along).flatten(4)


def _product(patches: Tensor, weight: Tensor) -> Tensor:
    return torch.bmm(patches.flatten(1, 3), weight.flatten(1, 3)).view(*patches.shape[:-1], -1)


def _gathered(patches: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sum over all patches, taken with a stride of 2, in the places that they were taken from."""
    networks, count, height, width, channels = shape
    rows, columns = -(-height // 2), -(-width // 2)
    parts = patches.view(networks, count, rows, columns, KERNEL, KERNEL, channels)
    result = patches.new_zeros(networks, count, height + 2, width + 2, channels)
    for row in range(KERNEL):
        for column in range(KERNEL):
            place = result[:, :, row : row + 2 * rows - 1 : 2, column : column + 2 * columns - 1 : 2]
            place += parts[:, :, :, :, row, column]
    return result[:, :, 1:-1, 1:-1].contiguous()


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


class _Library(Function):
    """The library's convolution, one network after the other: the best for large images, with a stride of 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        kernels = weight.permute(0, 4, 3, 1, 2)
        found = [F.conv2d(_channels_second(one), kernel, padding=1) for one, kernel in zip(x, kernels, strict=True)]
        return torch.stack([one.permute(0, 2, 3, 1) for one in found])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = [], []
        for one, kernel, gradient in zip(x, weight.permute(0, 4, 3, 1, 2), gradients[0].contiguous(), strict=True):
            found = torch.ops.aten.convolution_backward(
                _channels_second(gradient), _channels_second(one), kernel,
                None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False],
            )  # fmt: skip
            of_x.append(found[0].permute(0, 2, 3, 1))
            of_weight.append(found[1].permute(2, 3, 1, 0))
        return torch.stack(of_x), torch.stack(of_weight)


def _channels_second(x: Tensor) -> Tensor:
    """(N, H, W, C) as (N, C, H, W), in its place."""
    return x.permute(0, 3, 1, 2)


class _BatchNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        count = x[0].numel() // x.shape[-1]
        mean = _sums(x) / count
        centred = x - _wide(mean)
        variance = _sums(centred.square()) / count
        inverse = (variance + eps).rsqrt()
        result = torch.addcmul(_wide(shift), centred, _wide(scale * inverse))
        ctx.save_for_backward(centred, scale, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return result, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        centred, scale, inverse = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        count = gradient[0].numel() // gradient.shape[-1]
        of_shift = _sums(gradient)
        of_scale = _sums(gradient * centred) * inverse
        factor = scale * inverse
        result = torch.addcmul(_wide(factor * of_shift / -count), gradient, _wide(factor))
        return result.addcmul_(centred, _wide(factor * inverse * of_scale / -count)), of_scale, of_shift, None


def _sums(x: Tensor) -> Tensor:
    """The sum of each channel: (S, N, H, W, C) -> (S, C); as a product, which is the fastest sum there is."""
    rows = x.flatten(1, 2).flatten(2)
    ones = rows.new_ones(1, 1, rows.shape[1]).expand(len(rows), -1, -1)
    return torch.bmm(ones, rows).view(len(rows), -1, x.shape[-1]).sum(1)


def _wide(values: Tensor) -> Tensor:
    """(S, C) -> (S, 1, 1, 1, C)."""
    return values[:, None, None, None]
