"""The loop: the same bytes twice, and exact resume. What it learns is in ``test_recipes.py``."""

import numpy as np
import pytest
import torch

from gan.config import Config
from gan.networks import Shape, build
from gan.real_images import RealImages
from gan.trainer import FIGURES, Labelled, Trainer

CPU = torch.device("cpu")
SMALL = Config(kimg=1, batch_size=16, width=8, latent_dim=8)


def bars() -> Labelled:
    """Class 0: a bright left half; class 1: a bright right half; with a little noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = rng.integers(0, 40, (64, 1, 8, 8), dtype=np.uint8)
    images[labels == 0, :, :, :4] += 200
    images[labels == 1, :, :, 4:] += 200
    return Labelled(images, labels, 2)


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([value.flatten() for key, value in sorted(trainer.state().items()) if value.is_floating_point()])


def run(trainer: Trainer, iterations: int) -> Trainer:
    for _ in range(iterations):
        trainer.iteration()
    return trainer


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(precision: str) -> None:
    config = Config(kimg=1, batch_size=16, width=8, latent_dim=8, precision=precision)
    first, second = (run(Trainer.on_images(config, bars(), 0, CPU), 4) for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(run(Trainer.on_images(config, bars(), 1, CPU), 4)))


def test_a_network_that_corrupts_memory_is_refused() -> None:
    shape, data = Shape(8, 1, classes=2, latent_dim=8, width=8), bars()
    generator, critic = (build("dcgan", part, shape) for part in ("generator", "critic"))
    critic.shortcut = torch.nn.Conv2d(1, 8, 1, stride=2)
    with pytest.raises(ValueError, match="oneDNN writes past its memory"):
        Trainer(SMALL, generator, critic, RealImages(data.images, data.labels, 2, 1.0, CPU), 0)


def test_global_random_state_is_neither_used_nor_touched() -> None:
    torch.manual_seed(1)
    first = run(Trainer.on_images(SMALL, bars(), 0, CPU), 2)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))
    torch.manual_seed(2)
    assert torch.equal(weights(first), weights(run(Trainer.on_images(SMALL, bars(), 0, CPU), 2)))


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(stop: int) -> None:
    whole = run(Trainer.on_images(SMALL, bars(), 0, CPU), 6)
    begun = run(Trainer.on_images(SMALL, bars(), 0, CPU), stop)
    state = {key: value.clone() for key, value in begun.state().items()}
    resumed = Trainer.on_images(SMALL, bars(), 0, CPU)
    resumed.load_state(state)
    run(resumed, 6 - stop)
    assert resumed.done == 6
    assert torch.equal(weights(whole), weights(resumed))


def test_learning_rates_fall_over_the_last_part_of_the_budget() -> None:
    trainer = Trainer.on_images(Config(kimg=0.32, batch_size=16, n_critic=1, lr_decay=0.5, width=4), bars(), 0, CPU)
    rates = []
    for _ in range(trainer.config.iterations):
        trainer.iteration()
        rates.append(trainer.critic_optimizer.lr / trainer.config.critic_lr)
    assert len(rates) == 20
    assert rates[:11] == [1.0] * 11
    assert rates[11:] == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_only_the_steps_of_the_critic_move_the_critic() -> None:
    trainer = Trainer.on_images(SMALL, bars(), 0, CPU)
    before = [p.clone() for p in trainer.critic.parameters()]
    trainer._generator_step(trainer._draw_generator())
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.critic.parameters(), strict=True))
    assert all(p.requires_grad for p in trainer.critic.parameters())


def test_the_averaged_generator_is_the_stated_average() -> None:
    trainer = Trainer.on_images(Config(kimg=1, batch_size=16, width=4, latent_dim=4, ema_kimg=0.01), bars(), 0, CPU)
    old = [p.clone() for p in trainer.ema.parameters()]
    trainer.iteration()
    half_life = min(10, 0.1 * 32)  # images; the ramp at the start wins
    decay = 0.5 ** (32 / half_life)
    for before, averaged, current in zip(old, trainer.ema.parameters(), trainer.generator.parameters(), strict=True):
        torch.testing.assert_close(averaged, decay * before + (1 - decay) * current, rtol=1e-5, atol=1e-6)


def test_figures_add_up() -> None:
    trainer = Trainer.on_images(SMALL, bars(), 0, CPU)
    figures = dict(zip(FIGURES, trainer.iteration().tolist(), strict=True))
    expected = -figures["score_gap"] + SMALL.penalty_weight * figures["penalty"]
    assert figures["critic_loss"] == pytest.approx(expected, rel=1e-4)


def test_autocast_stays_close_to_float32() -> None:
    """bfloat16 keeps 8 bits: one iteration's figures within 3 % of their size in float32."""
    plain, cast = (
        Trainer.on_images(Config(kimg=1, batch_size=64, width=16, precision=p), bars(), 0, CPU).iteration()
        for p in ("float32", "bfloat16")
    )
    torch.testing.assert_close(cast, plain, rtol=0.03, atol=0.03)
