"""The small residual network that the default classifier and the embedder are, made for small images on a CPU."""

import torch
import torch.nn.functional as F
from torch import nn

from gan.layout import keep_contiguous, unsafe_channels_last
from gan.seeds import stream

FEATURES = 128


class SmallResNet(nn.Module):
    """A residual network (He et al. 2016) with batch normalisation and global average pooling.

    Three stages of ``width``, 2 and 4 times ``width`` channels, each at half the resolution of the one before; images
    above 16x16 are brought to at most 16x16 by the stem, which keeps a training step short on one core.

    Args:
        classes: number of logits.
        channels: 1 or 3.
        image_size: 8 to 512; says how often the stem halves.
        width: channels of the first stage.
        seed: of the initial weights.
    """

    def __init__(self, classes: int, channels: int, image_size: int, *, width: int = 16, seed: int = 0) -> None:
        super().__init__()
        self.width = width
        halvings = max(0, (image_size - 1).bit_length() - 4)
        stem: list[nn.Module] = [_conv(channels, width, stride=2 if halvings else 1), nn.BatchNorm2d(width), nn.ReLU()]
        for _ in range(halvings - 1):
            stem += [_conv(width, width, stride=2), nn.BatchNorm2d(width), nn.ReLU()]
        self.body = nn.Sequential(
            *stem,
            Block(width, width),
            Block(width, 2 * width, stride=2),
            Block(2 * width, 4 * width, stride=2),
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


class Block(nn.Module):
    """Two convolutions beside a shortcut: (N, inputs, H, W) -> (N, outputs, H, W over stride)."""

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


def _conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
