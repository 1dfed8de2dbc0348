"""``dcgan`` and ``resnet`` against the layers that were published, and the scale of what passes them at the start."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan.cards import without_storage
from gan.networks import Shape, build, dcgan, resnet
from tests.gan import kinds


def weights(module: nn.Module) -> int:
    """Without biases."""
    return sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Conv2d))


@dataclass(frozen=True)
class Even(Shape):
    """As many channels at every level."""

    def width_at(self, level: int) -> int:
        return self.width


def test_the_strided_layers_of_dcgan_are_those_of_its_critic_for_64_pixels() -> None:
    """Radford et al. 2016, 64 to 512 channels; kernels of 4x4 as in PyTorch's own example of it, there 5x5."""
    critic = without_storage("dcgan", "critic", Shape(64, 3, classes=1, latent_dim=100, width=64))
    assert isinstance(critic, dcgan.Critic)
    strided = [layer for layer in critic.layers.modules() if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)]
    assert [weights(layer) for layer in strided] == [131_072, 524_288, 2_097_152, 4_194_304]
    generator = without_storage("dcgan", "generator", Shape(64, 3, 1, 100, 64))
    halves = [(block.conv.in_channels, block.conv.out_channels) for block in generator.blocks]
    assert halves == [(512, 512), (512, 256), (256, 128), (128, 64)]


def test_the_blocks_of_resnet_are_those_of_the_wgan_for_cifar() -> None:
    """Gulrajani et al. 2017, appendix F: 128 channels at all levels, two 3x3 convolutions a block."""
    shape = Even(32, 3, classes=10, latent_dim=128, width=128)
    generator, critic = without_storage("resnet", "generator", shape), without_storage("resnet", "critic", shape)
    assert [weights(block) for block in generator.blocks] == [2 * 147_456 + 16_384] * 3  # 4 to 32 pixels
    assert weights(generator.to_image) == 3_456
    blocks = [block for block in critic.blocks if isinstance(block, resnet.DownBlock)]
    assert [block.down for block in blocks] == [True, True, True, False]
    assert [weights(block) for block in blocks] == [2 * 147_456 + 16_384] * 4


@pytest.mark.parametrize("size", [8, 32, 128])
def test_what_passes_dcgans_critic_keeps_its_scale_and_so_does_its_gradient(size: int) -> None:
    """He's scale: at the start the gradient has about the length that the penalty asks for, at every size."""
    torch.manual_seed(0)
    critic = build("dcgan", "critic", Shape(size, 1, 2, latent_dim=4, width=8))
    assert isinstance(critic, dcgan.Critic)
    images = F.interpolate(torch.randn(8, 1, 4, 4), size=size, mode="bicubic").requires_grad_()
    x = images
    for layer in critic.layers:
        before, x = x, layer(x)
        assert 0.2 < (x.square().mean() / before.square().mean()).item() < 2
    (gradient,) = torch.autograd.grad(critic(images, torch.arange(8) % 2).sum(), images)
    assert 0.2 < float(gradient.flatten(1).norm(dim=1).mean()) < 3


@pytest.mark.parametrize("family", kinds.KINDS)
@pytest.mark.parametrize("size", [8, 64])
def test_images_begin_neither_flat_nor_saturated(family: str, size: int) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        images = kinds.build(family, "generator", Shape(size, 1, 2, 16, 8))(torch.randn(32, 16), torch.arange(32) % 2)
    assert 0.1 < float(images.std()) < 0.8
    assert float((images.abs() > 0.95).float().mean()) < 0.2
