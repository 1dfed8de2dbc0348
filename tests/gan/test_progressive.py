"""Growth: what is on when, that it is cheap and seamless, and that it survives a resume and a snapshot bit for bit."""

import copy
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gan.cards import without_storage
from gan.checkpoint import WeightsError, load_generator, save_network
from gan.config import Config
from gan.networks import Shape, build
from gan.networks.growing import UNIT, grow
from gan.networks.progressive import Critic, Generator
from gan.penalties import PENALTIES
from gan.sampler import Sampler
from gan.trainer import Trainer
from gan.transfer import Start
from tests.gan.digits import kids
from tests.gan.slopes import slope
from tests.gan.test_trainer import CPU, bars, weights

SHAPE = Shape(32, 1, classes=2, latent_dim=8, width=4)
TINY = {"family": "progressive", "kimg": 0.64, "batch_size": 16, "width": 4, "latent_dim": 4}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def pair(levels: float, shape: Shape = SHAPE) -> tuple[Generator, Critic]:
    torch.manual_seed(0)
    generator, critic = Generator(shape), Critic(shape)
    for network in (generator, critic):
        network.grow(levels)
    return generator, critic


def made(**choices: object) -> Trainer:
    return Trainer.on_images(Config.of("wgan-gp", **(TINY | choices)), bars(), 0, CPU)


def run(trainer: Trainer, iterations: int) -> Trainer:
    for _ in range(iterations):
        trainer.iteration()
    return trainer


# The networks of the paper -------------------------------------------------------------------------------------------


def test_the_layers_have_the_parameters_of_table_2_of_the_paper() -> None:
    """Its rows up to 256x256 (it goes on to 1024x1024), rounded as there; its latents of 512 are z and label here."""
    shape = Shape(256, 3, classes=1, latent_dim=256, width=64)
    generator, critic = (without_storage("progressive", part, shape) for part in ("generator", "critic"))
    k, m = 1_000, 1_000_000
    rising = [4.2 * m, *[2.4 * m] * 7, 1.2 * m, 590 * k, 295 * k, 148 * k, 74 * k, 37 * k]
    falling = [37 * k, 74 * k, 148 * k, 295 * k, 590 * k, 1.2 * m, *[2.4 * m] * 7, 4.2 * m]

    def counted(blocks: list[torch.nn.Module]) -> list[int]:
        layers: list[int] = []
        for block in blocks:
            own = sum(p.numel() for p in block.parameters(recurse=False))
            children = [n for child in block.children() if (n := sum(p.numel() for p in child.parameters()))]
            layers += [children[0] + own, *children[1:]]
        return layers

    assert counted(list(generator.blocks)) == pytest.approx(rising, rel=0.03)
    assert counted(list(critic.blocks)[::-1]) == pytest.approx(falling, rel=0.03)


def test_features_keep_their_scale_at_the_start() -> None:
    """Pixel norm keeps the generator's mean square at 1; in the critic it is He's gain that has to hold it."""
    generator, critic = pair(3)
    seen: list[Tensor] = []
    for network in (generator, critic):
        for block in network.blocks:
            block.register_forward_hook(lambda *made: seen.append(made[2].detach()))
    generator(torch.randn(64, 8), torch.arange(64) % 2)
    torch.testing.assert_close([x.square().mean(dim=1).mean() for x in seen], [torch.ones(())] * 4, atol=0.02, rtol=0)
    seen.clear()
    smooth = torch.nn.functional.interpolate(torch.randn(64, 1, 4, 4), scale_factor=8.0)  # halving leaves it as it is
    critic(smooth, torch.arange(64) % 2)
    assert [len(x) for x in seen] == [64] * 4
    assert all(0.2 < float(x.square().mean()) < 5 for x in seen)


@pytest.mark.parametrize("penalty", ["two_sided", "r1_r2"])
@pytest.mark.parametrize("levels", [0.5, 1.0])
def test_the_penalties_second_derivatives_are_right_in_float64(penalty: str, levels: float) -> None:
    """The gradient towards the weights, along one direction, against a difference of the penalty itself."""
    critic = pair(levels, Shape(9, 1, 2, 4, 4))[1].double()
    real, fake, labels = torch.randn(4, 1, 9, 9).double(), torch.randn(4, 1, 9, 9).double(), torch.arange(4) % 2
    taken = PENALTIES[penalty]
    assert taken is not None

    def value() -> Tensor:
        return taken(critic, real, fake, labels, torch.linspace(0, 1, 4).double())

    found, expected = slope(value, [p for _, p in critic.in_use()])
    torch.testing.assert_close(expected, found, rtol=1e-5, atol=1e-6)


# Growth --------------------------------------------------------------------------------------------------------------


def test_the_schedule_in_kimg() -> None:
    """Of a budget of 100 kimg at 32 pixels: 5 kimg a phase, and full size from the 30th on."""
    network = pair(0)[0]
    for kimg, levels in {
        0: 0,
        4.9: 0,
        6: 0.2,
        9: 0.8,
        10: 1,
        14: 1,
        17.5: 1.5,
        22: 2,
        27.5: 2.5,
        30: 3,
        100: 3,
    }.items():
        grow(network, kimg / 100)
        assert int(network.growth) / UNIT == pytest.approx(levels, abs=1e-4), kimg


@pytest.mark.parametrize(("levels", "block"), [(0, 8), (0.5, 4), (1, 4), (1.75, 2), (2, 2)])
def test_images_are_made_and_judged_at_the_level_that_is_on(levels: float, block: int) -> None:
    generator, critic = pair(levels)
    labels = torch.arange(4) % 2
    images = generator(torch.randn(4, 8), labels).detach()
    coarse = images[..., ::block, ::block]
    assert torch.equal(images, coarse.repeat_interleave(block, 2).repeat_interleave(block, 3))
    assert not torch.equal(coarse[..., ::2, ::2], coarse[..., 1::2, 1::2])
    # what averages out within a pixel of the level is not seen, what does not is
    pairs = torch.zeros(32, 32)
    pairs[::2], pairs[1::2] = 0.5, -0.5
    with torch.no_grad():
        same, other = critic(images + pairs, labels), critic(images + 0.5, labels)
        before = critic(images, labels)
    torch.testing.assert_close(same, before, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(other, before, atol=1e-3)


def test_a_level_fades_in_seamlessly() -> None:
    """From a hair before and after a level begins and ends to fade, images and scores are the same but for a hair."""
    z, labels, real = torch.randn(4, 8), torch.arange(4) % 2, torch.randn(4, 1, 32, 32)
    for level in (1, 2):
        results = []
        for levels in (level - 1 / UNIT, level, level + 1 / UNIT):
            generator, critic = pair(levels)
            with torch.no_grad():
                results.append((generator(z, labels), critic(real, labels)))
        for one, other in pairwise(results):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    middle = pair(1.5)[0](z, labels)
    assert not torch.allclose(middle, results[0][0], atol=0.01)


def test_early_levels_cost_a_fraction() -> None:
    costs = []
    for levels in (0.0, 1.0, 2.0, 3.0):
        generator, critic = pair(levels)
        with FlopCounterMode(display=False) as counted:
            critic(generator(torch.randn(2, 8), torch.zeros(2).long()), torch.zeros(2).long())
        costs.append(counted.get_total_flops())
    assert costs == sorted(costs) and costs[0] < costs[3] / 5 and costs[2] < 0.75 * costs[3]


def test_levels_that_are_off_are_neither_moved_nor_remembered() -> None:
    trainer = made()
    before = copy.deepcopy(trainer.critic.state_dict())
    run(trainer, 1)  # at 4x4
    off = {name for name, _ in trainer.critic.named_parameters()} - {name for name, _ in trainer.critic.in_use()}
    assert {"blocks.1.first.stored_weight", "from_image.1.stored_weight"} <= off
    assert all(torch.equal(before[name], value) == (name in off) for name, value in trainer.critic.named_parameters())
    steps = trainer.critic_optimizer.moments()
    for index, (name, _) in enumerate(trainer.critic.named_parameters()):
        assert (float(steps[f"{index}/step"]) == 0) == (name in off), name


def test_the_compiled_step_equals_the_eager_one_while_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_with = torch.compile
    monkeypatch.setattr("torch.compile", lambda f, **options: compile_with(f, backend="eager", **options))
    monkeypatch.setattr("gan.networks.progressive.convolve", lambda conv, x: conv(x))  # see test_trainer_options
    eager, compiled = (made(compiled=choice, n_critic=1, penalty_every=1) for choice in (False, True))
    for share in (0.0, 0.075):  # one level; the next one fading
        torch.testing.assert_close(compiled.iteration(share), eager.iteration(share), rtol=1e-3, atol=1e-4)
    assert not compiled.notes
    for one, other in zip(compiled.critic.parameters(), eager.critic.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_networks_that_were_trained_before_have_all_their_levels_from_the_first_step_on(fading: Trainer) -> None:
    """A source in mid-fade too, and after a resume."""
    start = Start({"generator": fading.ema, "critic": fading.critic}, ("a", "b"), ("a", "b"))

    def fine_tuned() -> Trainer:
        return Trainer.on_images(Config.of("wgan-gp", **TINY), bars(), 0, CPU, start=start)

    def levels(trainer: Trainer) -> set[tuple[int, bool]]:
        return {(one.top, one.fading) for one in (trainer.generator, trainer.critic, trainer.ema)}

    trainer = run(fine_tuned(), 1)
    assert levels(trainer) == {(1, False)}
    resumed = fine_tuned()
    resumed.load_state({name: tensor.clone() for name, tensor in trainer.state().items()})
    assert levels(run(resumed, 1)) == {(1, False)}
    assert torch.equal(weights(resumed), weights(run(trainer, 1)))


# Resume and snapshots ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fading() -> Trainer:
    """A trainer that stopped when 8x8 had faded in by half, in the fourth of 40 iterations."""
    return run(made(kimg=1.28), 4)


def test_a_run_resumed_in_mid_fade_ends_in_the_same_bits(fading: Trainer) -> None:
    assert fading.generator.fading and 0 < int(fading.generator.growth) < UNIT
    resumed = made(kimg=1.28)
    resumed.load_state({name: tensor.clone() for name, tensor in fading.state().items()})
    assert resumed.critic.fading and resumed.ema.top == 1
    whole = run(made(kimg=1.28), 4)
    assert torch.equal(weights(run(resumed, 3)), weights(run(whole, 3)))


def test_a_snapshot_in_mid_fade_draws_the_same_images(fading: Trainer, tmp_path: Path) -> None:
    assert torch.equal(fading.ema.growth, fading.generator.growth)
    save_network(tmp_path, "generator", fading.ema, {"family": "progressive"})
    shipped, _ = load_generator(tmp_path)
    assert shipped.fading
    images = Sampler(shipped, 0).draw(1, 0, 8)
    assert torch.equal(images, Sampler(fading.ema, 0).draw(1, 0, 8))
    grown = copy.deepcopy(shipped)
    grown.grow(1)
    assert not torch.equal(images, Sampler(grown, 0).draw(1, 0, 8))


@pytest.mark.parametrize("growth", [-1, UNIT + 1])
def test_a_growth_that_no_network_has_is_refused(growth: int, tmp_path: Path) -> None:
    network = build("progressive", "generator", Shape(8, 1, 2, 4, 4))
    network.growth.fill_(growth)
    save_network(tmp_path, "generator", network, {"family": "progressive"})
    with pytest.raises(WeightsError, match="growth"):
        load_generator(tmp_path)


# Training ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "packing", "group"), [(64, 1, 4), (30, 1, 2), (27, 1, 0), (12, 6, 2)])
def test_batch_statistics_are_of_four_images_where_the_batch_divides(batch: int, packing: int, group: int) -> None:
    config = Config.of("wgan-gp", family="progressive", kimg=1, batch_size=batch, packing=packing)
    assert config.minibatch_std == group
    assert config.drift_weight == 1e-3 and config.beta2 == 0.99
    assert Config.of("wgan-gp", family="progressive", kimg=1, batch_size=batch, minibatch_std=0).minibatch_std == 0


def test_it_learns_digits() -> None:
    before, after = kids(Config.of("wgan-gp", family="progressive", kimg=6, batch_size=32, width=16, latent_dim=32))
    assert after < 0.5 * before
