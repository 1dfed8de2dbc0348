"""No family's generator leaves a pattern that repeats with its doublings of the resolution."""

from collections.abc import Callable
from itertools import product
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from gan.networks import FAMILIES, Network, Shape, dcgan, resnet
from gan.networks.upsampling import UpsamplingGenerator
from tests.gan.kinds import KINDS, build

SIZE = 64
MOST = 10.0  # untrained generators without a pattern reach 3, those with one begin at 30


class Transposed(nn.Module):
    """What leaves a checkerboard: a transposed convolution, each of whose 2x2 pixels has weights of its own."""

    def __init__(self, inputs: int, outputs: int, style_dim: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.up(torch.relu(x))


def repeated(generator: Network) -> float:
    """Power of the drawn images at periods of 2 and 4 pixels, as a multiple of that of waves a little longer.

    What repeats over a whole image with exactly such a period has all of its power there, what images show has not.
    """
    with torch.no_grad():
        images = generator(torch.randn(24, generator.shape.latent_dim), torch.arange(24) % generator.shape.classes)
    window = torch.hann_window(SIZE, dtype=torch.float64)
    images = images.double() - images.double().mean(dim=(2, 3), keepdim=True)
    power = torch.fft.fft2(images * window * window[:, None]).abs().square().mean(dim=(0, 1))
    found = []
    for period, (down, across) in product((2, 4), ((1, 0), (0, 1), (1, 1))):
        there, less = SIZE // period, SIZE // period - 3
        found.append(float(power[down * there, across * there] / power[down * less, across * less]))
    return max(found)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("family", KINDS)
def test_nothing_that_is_drawn_repeats_every_other_pixel(family: str, seed: int) -> None:
    torch.manual_seed(seed)
    generator = build(family, "generator", Shape(SIZE, 3, classes=4, latent_dim=16, width=8))
    if schedule := FAMILIES[family.split()[0]].schedule:
        schedule(generator, 1.0)  # a network that grows has all of its levels then
    assert repeated(generator) < MOST


def test_a_transposed_convolution_would_be_found() -> None:
    torch.manual_seed(0)
    assert repeated(UpsamplingGenerator(Shape(SIZE, 3, 4, 16, 8), Transposed)) > 3 * MOST


@pytest.mark.parametrize(("block", "flat"), [(dcgan.UpBlock, True), (resnet.UpBlock, True), (Transposed, False)])
def test_a_flat_map_stays_flat_when_it_is_doubled(block: Callable[[int, int, int], nn.Module], flat: bool) -> None:
    """Away from the border, whose padding is no part of the map."""
    torch.manual_seed(0)
    x, style = torch.randn(1, 6, 1, 1).expand(1, 6, 8, 8), torch.randn(1, 4)
    inner = cast(Tensor, block(6, 3, 4)(x, style))[:, :, 4:-4, 4:-4]
    spread = (inner.amax(dim=(2, 3)) - inner.amin(dim=(2, 3))).max()
    assert bool(spread < 1e-5) is flat
