"""How tensors lie in memory: convolutions run fastest with the channels innermost, and where that is not safe."""

import torch
from torch import Tensor, nn

BLOCK = 16  # channels that oneDNN's kernels for AVX-512 take at once; those for AVX2 take 8


def channels_last(tensor: Tensor) -> Tensor:
    """The layout of the networks' own weights, which the fused optimiser takes for granted of gradients and moments."""
    return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def unsafe_channels_last(network: nn.Module) -> bool:
    """Whether a layer has a 1x1 kernel, a stride and fewer than :data:`BLOCK` input channels.

    With channels last, oneDNN (3.13, in torch 2.15) writes past its memory for the gradient of such weights: it copies
    the pixels that the stride takes to a buffer with room for the channels that there are, and writes whole blocks. The
    process aborts, hangs, or goes on with wrong weights. In the default layout it does not. The smallest that shows it,
    with ``ONEDNN_MAX_CPU_ISA=AVX2`` or on a processor without AVX-512, and glibc's ``malloc.check``::

        layer = nn.Conv2d(4, 8, 1, stride=2).to(memory_format=torch.channels_last)
        for _ in range(5):
            layer(torch.randn(64, 4, 8, 8).contiguous(memory_format=torch.channels_last)).sum().backward()

    See https://github.com/uxlfoundation/oneDNN/issues/6035; ``benchmarks/sizes.py`` looks for its like.
    """
    return any(
        module.kernel_size == (1, 1) and max(module.stride) > 1 and module.in_channels < BLOCK
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    )


def keep_contiguous(network: nn.Module) -> None:
    """Has ``network`` compute in the default layout, whatever the layout of its images (N, C, H, W)."""
    network.to(memory_format=torch.contiguous_format)
    network.register_forward_pre_hook(_contiguous)


def _contiguous(network: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:  # noqa: ARG001
    return (inputs[0].contiguous(),)
