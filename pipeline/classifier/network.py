"""The small residual network that the default classifier and the embedder are, made for small images on a CPU."""

import torch
import torch.nn.functional as F
from torch import nn

from gan.seeds import stream

FEATURES = 128
BLOCK = 16  # channels that oneDNN's kernels for AVX-512 take at once; those for AVX2 take 8


class SmallResNet(nn.Module):
    """A residual network (He et al. 2016) with batch normalisation and global average pooling.

    Three stages of ``width``, 2 and 4 times ``width`` channels, each at half the resolution of the one before; images
    above 16x16 are brought to at most 16x16 by the stem, which keeps a training step short on one core.

    Args:
        classes: number of logits.
        channels: 1 or 3.
        image_size: 8 to 256; says how often the stem halves.
        width: channels of the first stage.
        seed: of the initial weights.
    """

    def __init__(self, classes: int, channels: int, image_size: int, *, width: int = 16, seed: int = 0) -> None:
        super().__init__()
        halvings = max(0, (image_size - 1).bit_length() - 4)
        stem: list[nn.Module] = [_conv(channels, width, stride=2 if halvings else 1), nn.BatchNorm2d(width), nn.ReLU()]
        for _ in range(halvings - 1):
            stem += [_conv(width, width, stride=2), nn.BatchNorm2d(width), nn.ReLU()]
        self.body = nn.Sequential(
            *stem,
            _Block(width, width),
            _Block(width, 2 * width, stride=2),
            _Block(2 * width, 4 * width, stride=2),
            nn.Conv2d(4 * width, FEATURES, 1, bias=False),
            nn.BatchNorm2d(FEATURES),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(FEATURES, classes)
        generator = stream(seed, "classifier.init")
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(self.head.bias)
        if unsafe_channels_last(self):
            keep_contiguous(self.body)
        else:
            self.to(memory_format=torch.channels_last)  # 1.2 to 1.4 times the speed of the default layout on a CPU

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) float32 in [-1, 1] -> (N, 128), not negative."""
        return self.body(images)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) float32 in [-1, 1] -> logits (N, classes)."""
        return self.head(self.features(images))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _conv(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            _conv(outputs, outputs),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(_conv(inputs, outputs, stride, 1), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


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


def _contiguous(network: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:  # noqa: ARG001
    return (inputs[0].contiguous(),)


def _conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
