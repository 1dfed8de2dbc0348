"""StyleGAN2 against the paper's own sizes, a loop over images, an independent filter, and Jacobians by hand."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import convolve2d
from torch import Tensor, nn

from gan.cards import without_storage
from gan.config import Config
from gan.networks import Shape, build
from gan.networks.blur import Blur, DoublingBlur
from gan.networks.noise import normals, seeds
from gan.networks.stylegan2 import (
    DIRECTION,
    PATH_DECAY,
    PATH_EVERY,
    PATH_WEIGHT,
    DownBlock,
    Generator,
    path_lengths,
    path_spread,
    remember_path_length,
)
from gan.networks.styles import ModulatedConv, StyledConv
from gan.penalties import PENALTIES
from gan.seeds import stream
from gan.trainer import FIGURES, Trainer
from tests.gan.digits import kids
from tests.gan.slopes import slope
from tests.gan.test_trainer import CPU, bars, run

TAPS = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
TINY = Shape(8, 1, classes=2, latent_dim=4, width=4)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def generator(shape: Shape = TINY) -> Generator:
    made = build("stylegan2", "generator", shape)
    assert isinstance(made, Generator)
    return made


def noisy(network: Generator) -> Generator:
    """With noise that counts."""
    for layer in network.convs:
        nn.init.constant_(layer.noise_strength, 0.3)
    return network


# The paper's sizes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paper(Shape):
    """Twice as many channels at each halving, 512 at most; configuration F has 32 at 1024x1024."""

    def width_at(self, level: int) -> int:
        return min(self.width * 2**level, 512)


# What the authors' program prints of its networks (stylegan2-ada-pytorch, for 1024x1024 without labels): parameters of
# a layer of the mapping; of the synthesis 4x4 first, the constant, then each resolution's convolutions and to-image;
# of the critic 1024x1024 first, each resolution's skip and convolutions. That run has two layers of mapping; the
# paper's eight make its generator of 30,370,060 parameters.
MAPPING, CONSTANT = 262_656, 8192
SYNTHESIS = [
    (2_622_465, 264_195),
    *[(2_622_465, 2_622_465, 264_195)] * 4,
    (1_442_561, 721_409, 132_099),
    (426_369, 213_249, 66_051),
    (139_457, 69_761, 33_027),
    (51_297, 25_665, 16_515),
]
CRITIC = [
    (9248, 18_496, 2048),
    (36_928, 73_856, 8192),
    (147_584, 295_168, 32_768),
    (590_080, 1_180_160, 131_072),
    *[(2_359_808, 2_359_808, 262_144)] * 4,
]
CRITIC_ENDS = {"from_image": 128, "last": 2_364_416, "dense": 4_194_816, "head.score": 513}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_layer_of_the_generator_is_of_the_papers_size() -> None:
    made = without_storage("stylegan2", "generator", Paper(1024, 3, classes=1, latent_dim=512, width=32))
    assert isinstance(made, Generator)
    first, *further = (count(layer) for layer in made.mapping.layers)
    by_label = count(made.mapping.embed) + first - MAPPING
    assert by_label == 512 + 512 * 512
    assert further == [MAPPING] * 7
    convs, images = ([count(layer) for layer in layers] for layers in (made.convs, made.to_images))
    found = [(convs[0], images[0]), *zip(convs[1::2], convs[2::2], images[1:], strict=True)]
    assert found == SYNTHESIS
    assert made.constant.numel() == CONSTANT
    assert count(made) - by_label == 30_370_060


def test_every_layer_of_the_critic_is_of_the_papers_size() -> None:
    critic = without_storage("stylegan2", "critic", Paper(1024, 3, 1, 512, 32, minibatch_std=4))
    blocks = [block for block in critic.blocks if isinstance(block, DownBlock)]
    assert [(count(b.first), count(b.second), count(b.skip)) for b in blocks] == CRITIC
    assert {name: count(critic.get_submodule(name)) for name in CRITIC_ENDS} == CRITIC_ENDS
    assert count(critic) - count(critic.head.embed) == 29_012_513


# Layers ---------------------------------------------------------------------------------------------------------------


def by_hand(conv: ModulatedConv, image: Tensor, w: Tensor, demodulated: bool, up: bool) -> np.ndarray:
    """Eq. 1 and 3 for one image (I, H, W): weights of its own, then a convolution; (O, H', W')."""
    style = F.linear(w, conv.affine.weight, conv.affine.bias)
    weight = (conv.weight * style[None, :, None, None] / (conv.weight[0].numel() ** 0.5)).detach().numpy()
    if demodulated:
        weight = weight / np.sqrt((weight**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
    x = image.numpy()
    if not up:
        flipped = weight[:, :, ::-1, ::-1]
        return np.stack([sum(convolve2d(a, k, "same") for a, k in zip(x, row, strict=True)) for row in flipped])
    side = x.shape[1]
    spread = np.zeros((len(x), 2 * side - 1, 2 * side - 1))
    spread[:, ::2, ::2] = x
    summed = [sum(convolve2d(a, k) for a, k in zip(spread, row, strict=True)) for row in weight]
    return np.stack([convolve2d(each, 4 * TAPS)[2 : 2 + 2 * side, 2 : 2 + 2 * side] for each in summed])


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulated", [False, True])
def test_a_modulated_convolution_is_one_with_weights_of_its_own_for_each_image(up: bool, demodulated: bool) -> None:
    conv = ModulatedConv(3, 5, 3, style_dim=4, demodulated=demodulated, up=up).double()
    x, w = torch.randn(4, 3, 6, 6).double(), torch.randn(4, 4).double()
    y, factors = conv(x, w)
    expected = np.stack([by_hand(conv, *pair, demodulated, up) for pair in zip(x, w, strict=True)])
    np.testing.assert_allclose((y * factors).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("side", [7, 8])
def test_resampling_is_filtering_with_1_3_3_1(side: int) -> None:
    x = torch.randn(1, 1, side, side).double()
    full = convolve2d(x[0, 0], TAPS)  # reaches 3 pixels beyond
    halved = Blur(padding=1, stride=2).double()(x)[0, 0]
    np.testing.assert_allclose(halved, full[2:-2:2, 2:-2:2], rtol=1e-12)
    assert halved.shape == (side // 2, side // 2)
    spread = np.zeros((2 * side, 2 * side))
    spread[::2, ::2] = x[0, 0]
    np.testing.assert_allclose(DoublingBlur().double()(x)[0, 0], 4 * convolve2d(spread, TAPS)[1:-2, 1:-2], rtol=1e-12)


def second_moments(network: nn.Module, kind: type[nn.Module], *inputs: Tensor) -> list[tuple[float, float]]:
    """Of what goes in and what comes out of each layer of a kind."""
    seen: list[tuple[float, float]] = []
    for module in network.modules():
        if isinstance(module, kind):
            module.register_forward_hook(
                lambda _, given, made: seen.append((float(given[0].square().mean()), float(made.square().mean())))
            )
    with torch.no_grad():
        network(*inputs)
    return seen


def test_demodulation_keeps_unit_variance_whatever_the_style() -> None:
    conv, x = ModulatedConv(16, 24, 3, style_dim=8), torch.randn(4, 16, 64, 64)
    with torch.no_grad():
        y, factors = conv(x, 10 * torch.randn(4, 8))
    variances = (y * factors)[..., 1:-1, 1:-1].var(dim=(2, 3))  # without the edges, which see zeros
    assert variances.shape == (4, 24)
    assert ((variances > 0.8) & (variances < 1.2)).all()


def test_activations_neither_fade_nor_grow_through_the_layers() -> None:
    """Zeros around 4x4 pixels take 0.31 of white noise's power, and the blur behind enlarging 0.61."""
    shape, labels = Shape(32, 3, classes=4, latent_dim=64, width=32), torch.arange(16) % 4
    made, z = generator(shape), torch.randn(16, 64)
    assert 0.5 < made.mapping(z, labels).square().mean() < 2
    for index, (before, after) in enumerate(second_moments(made, StyledConv, z, labels)):
        assert (0.3 if index % 2 else 0.6) < after / before < 2, index
    critic = build("stylegan2", "critic", shape)
    for before, after in second_moments(critic, DownBlock, torch.randn(16, 3, 32, 32), labels):
        assert 0.2 < after / before < 1.5


def test_bfloat16_draws_nearly_the_same() -> None:
    made, z, labels = noisy(generator(Shape(16, 3, 2, 16, 16))).eval(), torch.randn(4, 16), torch.arange(4) % 2
    with torch.no_grad():
        exact = made(z, labels)
        with torch.autocast("cpu", torch.bfloat16):
            rough = made(z, labels)
    assert (exact - rough).abs().mean() < 0.02


# What follows from z --------------------------------------------------------------------------------------------------


def test_noise_belongs_to_an_image_whatever_its_batch() -> None:
    made, labels = noisy(generator()).double(), torch.tensor([0, 1, 0, 1, 1])
    z = torch.randn(5, 4).double()
    with torch.no_grad():
        whole, order = made(z, labels), torch.tensor([3, 0])
        torch.testing.assert_close(made(z[order], labels[order]), whole[order], rtol=1e-12, atol=1e-12)
        styles = made.styles(z, labels)
        assert not torch.equal(made.drawn(styles, z), made.drawn(styles, z.flip(0)))
    still = generator().double()
    assert torch.equal(still.drawn(styles, z), still.drawn(styles, z.flip(0)))  # strengths start at zero


def test_styles_are_mixed_in_training_alone_and_nine_times_in_ten() -> None:
    made, labels = generator(Shape(32, 1, 2, 8, 4)), torch.zeros(4000, dtype=torch.int64)
    z = torch.randn(4000, 8)
    with torch.no_grad():
        styles = made.styles(z, labels)
        assert torch.equal(styles, made.styles(z, labels))
        halves = torch.cat([made.styles(z[:7], labels[:7]), made.styles(z[7:], labels[7:])])
        torch.testing.assert_close(halves, styles)
        w = made.eval().styles(z, labels)
    assert (w == w[:, :1]).all()
    own = (styles == w).all(dim=2)
    assert own[:, 0].all() and (own[:, :-1] >= own[:, 1:]).all()  # from one layer on, another one
    others = (~own).sum(dim=1)
    assert (others > 0).float().mean() == pytest.approx(0.9, abs=0.02)
    crossings = others[others > 0].bincount(minlength=w.shape[1])[1:]
    assert (crossings / crossings.sum()).tolist() == pytest.approx([1 / 7] * 7, abs=0.03)
    last = styles[others > 0, -1]
    assert (torch.corrcoef(torch.stack([last[:, 0], w[others > 0, 0, 0]]))[0, 1]).abs() < 0.1


def test_both_styles_of_a_mixture_come_from_the_latents_of_the_class() -> None:
    """Where a class's latents all lie at its mean, a mixture of two of them is none."""
    made, labels = generator(Shape(32, 1, 2, 8, 4, class_prior=1)), torch.arange(64) % 2
    nn.init.normal_(made.prior.mean.weight)
    nn.init.constant_(made.prior.log_scale.weight, -30.0)
    with torch.no_grad():
        styles = made.styles(made.prior(torch.randn(64, 8), labels), labels)
    torch.testing.assert_close(styles, styles[:, :1].expand_as(styles))


# Derivatives ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", sorted(name for name, there in PENALTIES.items() if there))
def test_penalties_are_differentiated_twice(penalty: str) -> None:
    critic = build("stylegan2", "critic", Shape(8, 1, 2, 4, 4)).double()
    real, fake = torch.randn(2, 4, 1, 8, 8).double()
    labels, alpha = torch.arange(4) % 2, torch.rand(4).double()
    taken = PENALTIES[penalty]
    assert taken is not None
    found, expected = slope(
        lambda: taken(lambda x, y: 30 * critic(x, y), real, fake, labels, alpha), list(critic.parameters())
    )
    assert found == pytest.approx(expected, rel=1e-4)
    assert expected != 0


def test_path_lengths_are_those_of_the_jacobian() -> None:
    """Karras et al. 2020, eq. 4, with the mean square over layers of their code."""
    made, labels = noisy(generator()).double(), torch.arange(4) % 2
    z = torch.randn(4, 4).double()
    found, half = path_lengths(made, z[:2], labels[:2]), z[:2]
    jacobian = torch.autograd.functional.jacobian(
        lambda styles: made.drawn(styles, half), made.styles(half, labels[:2]).detach()
    )
    own = torch.stack([jacobian[i, :, :, :, i] for i in range(2)])  # image, C, H, W, layer, of w
    y = normals(seeds(half), DIRECTION, 64).double().view(2, 1, 8, 8) / 8
    lengths = torch.einsum("nchw,nchwls->nls", y, own).square().sum(dim=2).mean(dim=1).sqrt()
    assert found.tolist() == pytest.approx(lengths.tolist(), rel=1e-9)
    mean = PATH_DECAY * lengths.mean()
    spread = path_spread(made, found, lengths.mean())
    assert spread.item() == pytest.approx((PATH_WEIGHT * (lengths - mean).square().mean()).item(), rel=1e-9)
    assert float(made.path_length) == 0  # until the step is made
    remember_path_length(made, lengths.mean())
    assert float(made.path_length) == pytest.approx(float(mean), rel=1e-9)


def test_path_lengths_are_differentiated_twice() -> None:
    made, z = noisy(generator()).double(), torch.randn(4, 4).double()
    made.path_length.fill_(0.5)
    mean = torch.tensor(0.7).double()  # of the batch: it has no gradient

    def value() -> Tensor:
        return path_spread(made, path_lengths(made, z, torch.arange(4) % 2), mean)

    found, expected = slope(value, list(made.parameters()))
    assert found == pytest.approx(expected, rel=1e-4)
    assert expected != 0


# Training -------------------------------------------------------------------------------------------------------------


def trainer(**choices: object) -> Trainer:
    chosen = {"kimg": 1, "batch_size": 16, "width": 4, "latent_dim": 4} | choices
    return Trainer.on_images(Config.of("stylegan2", **chosen), bars(), 0, CPU)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("style", ["demodulation", "adain"])
def test_a_run_that_goes_on_ends_in_the_same_bits(precision: str, style: str) -> None:
    """Past two turns of the path lengths, whose mean is part of the state."""
    first = run(trainer(precision=precision, style=style), 3)
    resumed = trainer(precision=precision, style=style)
    resumed.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    whole = run(first, 7).state()
    for name, tensor in run(resumed, 7).state().items():
        assert torch.equal(tensor, whole[name]), name
    assert float(whole["generator/path_length"]) > 0


def test_path_lengths_are_taken_every_fourth_time_and_count_fourfold(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, taken = FIGURES.index("generator_loss"), []
    with_terms, without = trainer(critic_lr=1e-30, generator_lr=1e-30), trainer(critic_lr=1e-30, generator_lr=1e-30)
    monkeypatch.setattr(without.objective, "family", replace(without.objective.family, generator_terms=()))
    for iteration in range(5):
        before = with_terms.generator.path_length.clone()
        more = float(with_terms.iteration()[loss] - without.iteration()[loss])
        if with_terms.generator.path_length == before:
            assert more == 0
            continue
        taken.append(iteration)
        with_terms.generator.path_length.copy_(before)
        rng = stream(0, "train.generator", iteration)
        labels = with_terms._labels(rng)
        lengths = path_lengths(with_terms.generator, with_terms.latents(rng)[:8], labels[:8])  # of half of the batch
        term = path_spread(with_terms.generator, lengths, lengths.mean())
        assert more == pytest.approx(PATH_EVERY * term.item(), rel=1e-3)
    assert taken == [0, PATH_EVERY]


def test_digits_come_nearer_to_real_ones_with_the_missions_own_recipe() -> None:
    """`stylegan2`, its own, learns in ``test_recipes.py``."""
    sizes = {"kimg": 4, "batch_size": 32, "width": 8, "latent_dim": 16, "ema_kimg": 0.25, "augment": ()}
    before, after = kids(Config.of("wgan-gp", family="stylegan2", **sizes))
    assert after < 0.5 * before
