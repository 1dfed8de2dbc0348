"""The first StyleGAN's layers against the paper's own sizes, NumPy and SciPy alone, and Jacobians by differences.

What every kind of networks has to be, these are tried for beside the others; see ``tests/gan/kinds.py``.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from torch import Tensor, nn

from gan.cards import shape_of, sizes_of, without_storage
from gan.checkpoint import load_generator, save_network
from gan.config import Config
from gan.networks import FAMILIES, Shape, build
from gan.networks.equalised import EqualisedConv2d
from gan.networks.stylegan2 import Generator, path_lengths, path_spread
from gan.networks.styles import AdaptiveLayer, DoublingConv
from gan.sampler import Sampler
from gan.trainer import Trainer
from tests.gan.digits import kids
from tests.gan.slopes import slope
from tests.gan.test_stylegan2 import TAPS, Paper, count
from tests.gan.test_stylegan2 import generator as quiet
from tests.gan.test_trainer import CPU, bars

TINY = Shape(8, 1, classes=2, latent_dim=4, width=4, adain=1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def generator(shape: Shape = TINY) -> Generator:
    """With noise that counts."""
    made = quiet(shape)
    for layer in made.convs:
        nn.init.normal_(layer.noise_strength, std=0.3)
    return made


# The paper's sizes ----------------------------------------------------------------------------------------------------

# Parameters of the authors' networks for 1024x1024 (github.com/NVlabs/stylegan): of the synthesis 4x4 first, the
# constant's layer without its 8,192 values, then each resolution's two layers and its to-image; 26.2 million in all,
# as the paper has it. A layer of c channels has 9 i c weights, c strengths, c biases and (512 + 1) 2c for the style.
SYNTHESIS = [
    (526_336, 2_885_632, 1539),
    *[(2_885_632, 2_885_632, 1539)] * 3,
    (1_442_816, 852_992, 771),
    (426_496, 279_040, 387),
    (139_520, 102_656, 195),
    (51_328, 42_112, 99),
    (21_056, 18_752, 51),
]


def test_every_layer_of_the_generator_is_of_the_papers_size() -> None:
    made = without_storage("stylegan2", "generator", Paper(1024, 3, classes=1, latent_dim=512, width=16, adain=1))
    assert isinstance(made, Generator)
    convs, images = ([count(layer) for layer in layers] for layers in (made.convs, made.to_images))
    assert list(zip(convs[::2], convs[1::2], images, strict=True)) == SYNTHESIS
    assert made.constant.numel() == 8192
    by_label = count(made.mapping.embed) + 512 * 512  # the first layer of the mapping takes both
    assert count(made) - by_label == 26_219_627


def test_the_critic_is_the_same() -> None:
    plain, other = (build("stylegan2", "critic", replace(TINY, adain=adain)).state_dict() for adain in (0, 1))
    assert {name: one.shape for name, one in plain.items()} == {name: one.shape for name, one in other.items()}


# Layers ---------------------------------------------------------------------------------------------------------------


def convolved(x: np.ndarray, conv: nn.Module) -> np.ndarray:
    """(I, H, W) by ``conv``, to (O, H', W')."""
    if isinstance(conv, nn.Identity):
        return x
    assert isinstance(conv, EqualisedConv2d)
    kernels = conv.weight.detach().numpy()
    if not isinstance(conv, DoublingConv):
        flipped = kernels[:, :, ::-1, ::-1]
        return np.stack([sum(convolve2d(a, k, "same") for a, k in zip(x, row, strict=True)) for row in flipped])
    side = x.shape[1]
    spread = np.zeros((len(x), 2 * side - 1, 2 * side - 1))
    spread[:, ::2, ::2] = x
    summed = [sum(convolve2d(a, k) for a, k in zip(spread, row, strict=True)) for row in kernels]
    return np.stack([convolve2d(each, 4 * TAPS)[2 : 2 + 2 * side, 2 : 2 + 2 * side] for each in summed])


@pytest.mark.parametrize("conv", [nn.Identity(), EqualisedConv2d(5, 5, 3, bias=None), DoublingConv(5, 5)])
def test_a_layer_is_that_of_the_paper(conv: nn.Module) -> None:
    """Convolution, noise, bias, leaky ReLU, then eq. 1: each channel of each image alone."""
    layer = AdaptiveLayer(5, 4, conv).double()
    for parameter in (layer.noise_strength, layer.bias, layer.affine.stored_bias):
        nn.init.normal_(parameter)
    side = 12 if isinstance(conv, DoublingConv) else 6
    x, w, noise = (torch.randn(size).double() for size in ((3, 5, 6, 6), (3, 4), (3, 1, side, side)))
    found = layer(x, w, noise).detach().numpy()
    strength, bias = (one.detach().numpy()[:, None, None] for one in (layer.noise_strength, layer.bias))
    for image, own, grain, made in zip(x.numpy(), w, noise.numpy(), found, strict=True):
        y = convolved(image, conv) + strength * grain + bias
        y = np.where(y > 0, y, 0.2 * y)
        y = (y - y.mean(axis=(1, 2), keepdims=True)) / np.sqrt(y.var(axis=(1, 2), keepdims=True) + 1e-5)
        style = (layer.affine.weight @ own + layer.affine.bias).detach().numpy().reshape(2, 5, 1, 1)
        np.testing.assert_allclose(made, (1 + style[0]) * y + style[1], rtol=1e-9, atol=1e-12)


def test_what_comes_out_of_every_layer_is_of_mean_zero_and_unit_variance_but_for_its_style() -> None:
    shape, labels = Shape(32, 3, classes=4, latent_dim=64, width=32, adain=1), torch.arange(16) % 4
    made, seen = generator(shape), []
    for layer in made.convs:
        nn.init.zeros_(layer.affine.stored_weight)
        layer.register_forward_hook(lambda _, inputs, y: seen.append(y))
    with torch.no_grad():
        image = made(torch.randn(16, 64), labels)
    assert len(seen) == 8 and image.shape == (16, 3, 32, 32)
    for y in seen:
        assert y.mean(dim=(2, 3)).abs().max() < 1e-4
        assert ((y.var(dim=(2, 3), correction=0) - 1).abs() < 0.05).all()


def test_styles_keep_the_same_size_through_the_layers() -> None:
    """(1 + s)² + t² of independent s and t of unit variance is 3 on the average."""
    shape, labels = Shape(32, 3, classes=4, latent_dim=64, width=32, adain=1), torch.arange(64) % 4
    made, seen = generator(shape).eval(), []
    for layer in made.convs:
        layer.register_forward_hook(lambda _, inputs, y: seen.append(float(y.square().mean())))
    with torch.no_grad():
        z = torch.randn(64, 64)
        size = float(made.mapping(z, labels).square().mean())
        made(z, labels)
    assert seen == pytest.approx([1 + 2 * size] * 8, rel=0.35)


def test_bfloat16_draws_nearly_the_same() -> None:
    made, z, labels = generator(Shape(16, 3, 2, 16, 16, adain=1)).eval(), torch.randn(4, 16), torch.arange(4) % 2
    with torch.no_grad():
        exact = made(z, labels)
        with torch.autocast("cpu", torch.bfloat16):
            rough = made(z, labels)
    assert rough.dtype == torch.float32
    assert (exact - rough).abs().mean() < 0.02


# Styles ---------------------------------------------------------------------------------------------------------------


def test_low_layers_have_the_style_of_no_class() -> None:
    made = generator(Shape(32, 1, 2, latent_dim=4, width=4, unlabelled=8, adain=1)).eval()
    z = torch.randn(3, 4)
    one, other = (made.styles(z, torch.full((3,), label)) for label in (0, 1))
    alike = [torch.equal(*layer) for layer in zip(one.unbind(1), other.unbind(1), strict=True)]
    assert alike == [True] * 4 + [False] * 4  # two layers at each of 4, 8, 16 and 32 pixels


def test_every_style_reaches_the_image_and_noise_belongs_to_it() -> None:
    made = generator(Shape(16, 1, 2, 4, 4, adain=1)).double().eval()
    z, labels = torch.randn(2, 4).double(), torch.arange(2)
    styles = made.styles(z, labels).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(made.drawn(styles, z).square().sum(), styles)
    assert gradient.shape == (2, 6, 4) and (gradient != 0).any(dim=2).all()
    assert not torch.equal(made.drawn(styles, z), made.drawn(styles, z.flip(0)))


def test_path_lengths_are_differentiated_twice() -> None:
    made, z = generator().double(), torch.randn(4, 4).double()
    made.path_length.fill_(0.5)
    mean = torch.tensor(0.7).double()

    def value() -> Tensor:
        return path_spread(made, path_lengths(made, z, torch.arange(4) % 2), mean)

    found, expected = slope(value, list(made.parameters()))
    assert found == pytest.approx(expected, rel=1e-4)
    assert expected != 0


# The option -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"stylegan2"}))
def test_a_family_without_styles_is_refused_in_a_sentence(family: str) -> None:
    with pytest.raises(ValueError, match=rf"^style: adain goes with the family stylegan2, not with {family}$"):
        Config(kimg=1, family=family, style="adain")


def test_a_card_tells_of_it_and_of_demodulation_nothing(tmp_path: Path) -> None:
    config = Config.of("stylegan2", kimg=1, batch_size=16, width=4, latent_dim=4)
    trainers = [Trainer.on_images(replace(config, style=style), bars(), 0, CPU) for style in ("demodulation", "adain")]
    assert [sizes_of(one.generator.shape).get("adain") for one in trainers] == [None, 1]
    assert not any("adain" in sizes_of(one.critic.shape) for one in trainers)
    assert shape_of({"shape": sizes_of(trainers[1].ema.shape)}, tmp_path).adain
    save_network(tmp_path, "generator", trainers[1].ema, {"family": "stylegan2"})
    shipped = Sampler(load_generator(tmp_path)[0], 0).draw(1, 0, 8)
    assert torch.equal(shipped, Sampler(trainers[1].ema, 0).draw(1, 0, 8))


def test_digits_come_nearer_to_real_ones_with_the_missions_own_recipe() -> None:
    sizes = {"kimg": 4, "batch_size": 32, "width": 8, "latent_dim": 16, "ema_kimg": 0.25, "augment": ()}
    before, after = kids(Config.of("wgan-gp", family="stylegan2", style="adain", **sizes))
    assert after < 0.5 * before
