"""Networks without normalisation, and the burn-in of the recipe that they come with."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gan.config import Config
from gan.networks import Shape
from gan.networks.r3 import GAIN, Block, Critic, Down, Generator, Up, groups
from gan.penalties import PENALTIES
from gan.rates import BETA2_STEPS, rates_at
from gan.recipes import RECIPES
from gan.trainer import FIGURES, Labelled, Trainer
from tests.gan.digits import kids
from tests.gan.slopes import slope
from tests.gan.test_trainer import CPU, bars


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# The networks --------------------------------------------------------------------------------------------------------


def test_the_parameters_are_those_of_the_published_networks() -> None:
    """For FFHQ at 256x256, by the authors' code: without labels 23,057,952 and 23,009,568, as config E in the paper's
    table 2 (23.06 and 23.01 million); with one label, embedded in 64 and 768 numbers, 23,107,168 and 23,599,392."""
    shape = Shape(256, 3, classes=1, latent_dim=64, width=96)
    with torch.device("meta"):
        generator, critic = Generator(shape, blocks=2), Critic(shape, blocks=2)
    assert sum(p.numel() for p in generator.parameters()) == 23_107_168
    own = sum(p.numel() for p in critic.head.score.parameters())  # theirs has no score without the label
    assert sum(p.numel() for p in critic.parameters()) - own == 23_599_392


def test_blocks_begin_as_the_identity_so_that_networks_begin_linear() -> None:
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(Block(16, 4)(x), x)
    critic, label = Critic(Shape(27, 1, 1, 4, 8)), torch.zeros(3, dtype=torch.int64)
    one, other = torch.randn(2, 3, 1, 27, 27)
    with torch.no_grad():
        none, first, second, both = (critic(x, label) for x in (0 * one, one, other, one + other))
    torch.testing.assert_close(first + second - none, both, rtol=1e-4, atol=1e-5)


def test_what_a_block_adds_has_the_scale_of_fixup() -> None:
    """With L blocks of m = 3 layers each weight has the scale of He's times L^(-1 / (2m - 2)); the last one is zero."""
    for depth in (1, 16):
        block = Block(64, depth)
        for layer in (block.expand, block.mix):
            fan_in = layer.weight[0].numel()
            assert layer.weight.std().item() == pytest.approx(GAIN * depth**-0.25 * fan_in**-0.5, rel=0.05)
        assert not block.shrink.weight.any()
        x = block.expand(torch.randn(16, 64, 8, 8))
        scale = torch.nn.functional.leaky_relu(x, 0.2).square().mean().item()  # of what the second layer takes
        assert scale == pytest.approx(depth**-0.5, rel=0.1)


def test_features_keep_their_scale_at_the_start() -> None:
    generator, critic = Generator(Shape(32, 1, 2, 16, 8)), Critic(Shape(32, 1, 2, 16, 8))
    x = generator.mix(generator.style(torch.randn(256, 16), torch.arange(256) % 2))[:, :, None, None] * generator.basis
    assert x.square().mean().item() == pytest.approx(1, rel=0.25)
    for layer in generator.stages:
        if isinstance(layer, Up):
            assert layer.change(x).square().mean().item() == pytest.approx(x.square().mean().item(), rel=0.3)
            x = layer(x)
    scores = critic(torch.nn.functional.interpolate(torch.randn(256, 1, 4, 4), scale_factor=8.0), torch.arange(256) % 2)
    assert 0.2 < scores.std().item() < 5


def test_groups_have_sixteen_channels() -> None:
    for width in (8, 32, 96):
        for block in (one for one in Critic(Shape(32, 1, 1, 4, width)).modules() if isinstance(one, Block)):
            assert block.mix.weight.shape[1] == 16 and groups(block.mix.out_channels) == block.mix.groups


@pytest.mark.parametrize("size", [8, 9])
def test_halving_is_a_convolution_with_1_3_3_1(size: int) -> None:
    x = torch.randn(1, 2, size, size)
    found = Down(2, 2)(x)[0, 1].numpy()
    image = x[0, 1].numpy()
    image = np.pad(np.pad(image, (0, size % 2), mode="edge"), 1)  # made even, then a border of zeros
    kernel = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    side = -(-size // 2)
    rows = [[(image[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] * kernel).sum() for j in range(side)] for i in range(side)]
    np.testing.assert_allclose(found, rows, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("penalty", ["two_sided", "r1_r2"])
def test_the_penalties_second_derivatives_are_right_in_float64(penalty: str) -> None:
    """The gradient towards the weights, along one direction, against a difference of the penalty itself."""
    critic = Critic(Shape(9, 1, 2, 4, 16)).double()  # 32 channels within a block: two groups and more
    for block in (one for one in critic.modules() if isinstance(one, Block)):
        torch.nn.init.normal_(block.shrink.weight, std=0.1)  # else nothing of a block is seen
    real, fake, labels = torch.randn(4, 1, 9, 9).double(), torch.randn(4, 1, 9, 9).double(), torch.arange(4) % 2
    taken = PENALTIES[penalty]
    assert taken is not None

    def value() -> Tensor:
        return taken(critic, real, fake, labels, torch.linspace(0, 1, 4).double())

    found, expected = slope(value, list(critic.parameters()))
    torch.testing.assert_close(expected, found, rtol=1e-4, atol=1e-6)


# The recipe ----------------------------------------------------------------------------------------------------------


def test_the_recipe_burns_in_along_half_a_cosine() -> None:
    """As the authors' code for ImageNet at 64x64: rates to a quarter, gamma to a tenth, beta2 from 0.9 to 0.99."""
    config = Config.of("r3", kimg=100, lr_decay=0.0, ema_kimg=2.0)
    assert config.family == "r3"
    done = 10**6  # so many iterations that the average's own ramp is over
    for share, left in ((0.0, 1.0), (config.burn_in / 4, (1 + math.sqrt(0.5)) / 2), (config.burn_in, 0.0), (1.0, 0.0)):
        rates = rates_at(config, done, share, 1.0)
        assert rates.critic / config.critic_lr == pytest.approx(0.25 + 0.75 * left)
        assert rates.generator / config.generator_lr == pytest.approx(0.25 + 0.75 * left)
        assert rates.penalty / config.penalty_weight == pytest.approx(0.1 + 0.9 * left)
        assert rates.beta2 == pytest.approx(0.9 + 0.09 * (1 - left), abs=0.09 / BETA2_STEPS)
        half_life = 2000 * (1 - left)
        assert rates.average == pytest.approx(1 - 0.5 ** (64 / half_life) if half_life else 1.0)


def test_without_a_burn_in_everything_is_as_the_fields_say() -> None:
    plain = RECIPES["r3"] | {"kimg": 100, "lr_decay": 0.0, "burn_in": 0.0}
    config = Config(**plain)
    for share in (0.0, 0.5, 1.0):
        rates = rates_at(config, 10**6, share, 1.0)
        assert rates[:2] == (config.critic_lr, config.generator_lr)
        assert (rates.penalty, rates.beta2) == (config.penalty_weight, config.beta2)
        assert rates.average == 1 - 0.5 ** (64 / 5000)


def test_rates_reach_the_step_and_augmentation_comes_in() -> None:
    config = Config.of("r3", kimg=0.16, batch_size=16, width=4, latent_dim=4, lr_decay=0.0)
    trainer = Trainer.on_images(config, bars(), 0, CPU)
    for share in (0.0, 0.25, 1.0):
        figures = dict(zip(FIGURES, trainer.iteration(share).tolist(), strict=True))
        rates = rates_at(config, 0, share, 1.0)
        assert trainer.critic_optimizer.betas == (config.beta1, rates.beta2)
        assert trainer.critic_optimizer.lr == rates.critic
        assert trainer.objective.penalty_weight == rates.penalty
        assert trainer.augmented == pytest.approx({0.0: 0.0, 0.25: 0.5, 1.0: 1.0}[share])
        assert math.isfinite(figures["critic_loss"])


def test_the_compiled_step_equals_the_eager_one_while_rates_change(monkeypatch: pytest.MonkeyPatch) -> None:
    compilations = []

    def counted(f: object, **options: object) -> object:
        def backend(graph: torch.fx.GraphModule, inputs: object) -> object:
            compilations.append(graph)
            return graph

        return compile_with(f, backend=backend, **options)

    compile_with = torch.compile
    monkeypatch.setattr("torch.compile", counted)
    choices = {"kimg": 0.16, "batch_size": 16, "width": 4, "latent_dim": 4}
    eager, compiled = (
        Trainer.on_images(Config.of("r3", compiled=choice, **choices), bars(), 0, CPU) for choice in (False, True)
    )
    for _ in range(3):
        torch.testing.assert_close(compiled.iteration(), eager.iteration(), rtol=1e-3, atol=1e-4)
    assert not compiled.notes
    assert len(compilations) == 1  # the penalty's weight is no constant of the graph


def test_the_critic_leaves_guessing() -> None:
    """Smooth images of 64x64 against a generator that hardly moves: log 2 is the loss of a critic that guesses."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (64, 1, 8, 8), dtype=np.uint8)
    data = Labelled(coarse.repeat(8, axis=2).repeat(8, axis=3), np.arange(64) % 2, 2)
    choices = {"batch_size": 8, "width": 4, "latent_dim": 8, "penalty_every": 4, "augment": (), "generator_lr": 1e-6}
    trainer = Trainer.on_images(Config.of("r3", kimg=100, **choices), data, 0, CPU)
    figures = torch.stack([trainer.iteration() for _ in range(16)])[8:].mean(dim=0)
    assert figures[FIGURES.index("critic_loss")] < 0.9 * math.log(2)
    assert figures[FIGURES.index("score_gap")] > 0.1


def test_it_learns_digits() -> None:
    before, after = kids(Config.of("r3", kimg=6, batch_size=32, width=8, latent_dim=16, ema_kimg=0.5))
    assert after < 0.5 * before
