"""Residual generator and critic for class-conditional GANs.

After Gulrajani et al. 2017 (residual blocks, no batch norm in the critic) and Miyato & Koyama 2018 (projection).
The generator is normalised per image and modulated by (z, label), so that an image never depends on its batch.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.conditioning import Modulation, Projection
from gan.networks.convolutions import convolve, convolve_and_halve, double, double_and_convolve, halve
from gan.networks.family import Family
from gan.networks.minibatch import MinibatchStd
from gan.networks.shape import Network, Shape
from gan.networks.upsampling import UpsamplingGenerator, modulations


class UpBlock(nn.Module):
    """A residual block that doubles the resolution.

    The wide convolution runs before the upsampling: a quarter of the work of the usual order, which upsamples first.
    """

    def __init__(self, inputs: int, outputs: int, style_dim: int) -> None:
        super().__init__()
        self.first_norm = Modulation(inputs, style_dim)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second_norm = Modulation(outputs, style_dim)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x (N, inputs, H, W), style (N, S) to (N, outputs, 2H, 2W)."""
        y = self.first(F.relu(self.first_norm(x, style)))
        y = F.relu(self.second_norm(y, style))
        return double_and_convolve(y, self.second) + double(self.skip(x))


class Generator(UpsamplingGenerator):
    """z (N, latent_dim) and labels (N,) to images (N, C, H, W) in [-1, 1]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, UpBlock)


class DownBlock(nn.Module):
    """A residual block; ``down`` halves the resolution, rounding up, before the wide convolution (see ``UpBlock``)."""

    def __init__(self, inputs: int, outputs: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/2, W/2), or (N, outputs, H, W) without ``down``."""
        if self.down:
            y, x = convolve_and_halve(self.first, F.relu(x)), halve(x)
        else:
            y = convolve(self.first, F.relu(x))
        return convolve(self.second, F.relu(y)) + self.skip(x)


class Critic(Network):
    """Images (N, C, H, W) and labels (N,) to scores (N,); no layer sees more than one image, but for minibatch_std."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        widths = [shape.width_at(level) for level in range(shape.levels + 1)]
        self.from_image = nn.Conv2d(shape.channels, widths[0], 3, padding=1)
        blocks = [DownBlock(i, o, down=True) for i, o in pairwise(widths)]
        statistics = [MinibatchStd(shape.minibatch_std)] if shape.minibatch_std else []
        last = DownBlock(widths[-1] + len(statistics), widths[-1], down=False)
        self.blocks = nn.ModuleList([*blocks, *statistics, last])
        self.head = Projection(shape.classes, widths[-1])
        if shape.low_images:
            self.from_low_image = nn.Conv2d(shape.channels, widths[shape.low_halvings], 3, padding=1)
            self.low_score = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """images float (N, C, H, W) in [-1, 1], labels int64 (N,); returns float (N,).

        With ``shape.low_images`` the labels None stand for images of the lower level, which have none.
        """
        low = labels is None
        x = self.from_low_image(images) if low else self.from_image(images)
        for block in self.blocks[self.shape.low_halvings if low else 0 :]:
            x = block(x)
        features = F.relu(x).mean(dim=(2, 3))
        return self.low_score(features).squeeze(1) if low else self.head(features, labels)


FAMILY = Family(Generator, Critic, modulations=modulations, leaves_labels_out=True)
