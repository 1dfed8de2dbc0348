"""Plain convolutional generator and critic: DCGAN (Radford et al. 2016) for any size, with labels, without batch norm.

Kept from the paper: strided 4x4 convolutions instead of pooling, ReLU in the generator, leaky ReLU of slope 0.2 in the
critic, tanh at the end. What differs:

- The generator doubles its pixels and convolves them, in the place of the paper's transposed 4x4 convolutions: those
  give each of 2x2 pixels weights of its own, and leave a checkerboard (Odena et al. 2016). The work is the same, see
  :func:`gan.networks.convolutions.double_and_convolve`.
- No batch norm, so that an image never depends on its batch: the generator is normalised per image and modulated by
  (z, label), the critic is not normalised.
- The label enters the critic by projection (Miyato & Koyama 2018).
- A 3x3 convolution at full resolution in either network and one at the critic's coarsest level (as in Miyato et al.
  2018, table 3), so that 8x8 images too get some depth.
- Weights start at He's scale instead of 0.02, which fades out where nothing renormalises.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from gan.networks.conditioning import Modulation, Projection
from gan.networks.convolutions import double_and_convolve
from gan.networks.family import Family
from gan.networks.minibatch import MinibatchStd
from gan.networks.shape import Network, Shape
from gan.networks.upsampling import UpsamplingGenerator, modulations

SLOPE = 0.2


class UpBlock(nn.Module):
    """Normalises, modulates, rectifies, doubles the resolution and convolves."""

    def __init__(self, inputs: int, outputs: int, style_dim: int) -> None:
        super().__init__()
        self.norm = Modulation(inputs, style_dim)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x (N, inputs, H, W), style (N, S) to (N, outputs, 2H, 2W)."""
        return double_and_convolve(F.relu(self.norm(x, style)), self.conv)


class Generator(UpsamplingGenerator):
    """z (N, latent_dim) and labels (N,) to images (N, C, H, W) in [-1, 1]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, UpBlock)


class Critic(Network):
    """Images (N, C, H, W) and labels (N,) to scores (N,); no layer sees more than one image, but for minibatch_std."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        widths = [shape.width_at(level) for level in range(shape.levels + 1)]
        layers: list[nn.Module] = [_rectified(nn.Conv2d(shape.channels, widths[0], 3, padding=1))]
        layers += [_rectified(nn.Conv2d(i, o, 4, stride=2, padding=1)) for i, o in pairwise(widths)]
        if shape.minibatch_std:
            layers.append(MinibatchStd(shape.minibatch_std))
        layers.append(_rectified(nn.Conv2d(widths[-1] + bool(shape.minibatch_std), widths[-1], 3, padding=1)))
        self.layers = nn.Sequential(*layers)
        side = shape.image_size >> shape.levels  # a strided convolution rounds down, and yet looks at every pixel
        self.head = Projection(shape.classes, widths[-1] * side**2)
        if shape.low_images:
            self.from_low_image = _rectified(nn.Conv2d(shape.channels, widths[shape.low_halvings], 3, padding=1))
            self.low_score = nn.Linear(widths[-1] * side**2, 1)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """images float (N, C, H, W) in [-1, 1], labels int64 (N,); returns float (N,).

        With ``shape.low_images`` the labels None stand for images of the lower level, which have none.
        """
        if labels is not None:
            return self.head(self.layers(images).flatten(1), labels)
        skipped = self.shape.low_halvings
        side = self.shape.image_size >> skipped
        x = self.layers[1 + skipped :](self.from_low_image(images[:, :, :side, :side]))
        return self.low_score(x.flatten(1)).squeeze(1)


FAMILY = Family(
    Generator,
    Critic,
    modulations=modulations,
    leaves_labels_out=True,
    former={"blocks.0.up.weight": "upsampled by transposed convolutions, which leave a checkerboard"},
)


def _rectified(layer: nn.Conv2d) -> nn.Sequential:
    nn.init.kaiming_normal_(layer.weight, SLOPE)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(layer, nn.LeakyReLU(SLOPE))
