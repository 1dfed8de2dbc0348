"""Differentiable augmentation: what it leaves alone, that gradients pass, and when it grows stronger."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from gan.augment import (
    ADAPTIVE_BELOW,
    GEOMETRIC,
    OPERATIONS,
    OVERFITTING_TARGET,
    RAMP_KIMG,
    adapted,
    augment,
    choose,
    draw_changes,
)
from gan.config import Config
from gan.networks import Network, Shape
from gan.probe import EVERY, Probe
from gan.real_images import RealImages
from gan.trainer import Labelled, Trainer, fresh_network


def fresh_rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmented(
    images: torch.Tensor, operations: Sequence[str], rng: torch.Generator, strength: float = 1.0
) -> torch.Tensor:
    return augment(images, draw_changes(len(images), operations, rng, strength))


def test_no_operation_is_the_identity() -> None:
    images = torch.randn(3, 1, 8, 8)
    assert augmented(images, (), fresh_rng()) is images


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_changes_images_differentiably_and_repeatably(operation: str) -> None:
    images = torch.rand(16, 3, 12, 12, generator=fresh_rng(1)).requires_grad_()
    once, again = augmented(images, (operation,), fresh_rng()), augmented(images, (operation,), fresh_rng())
    assert torch.equal(once, again)
    assert once.shape == images.shape
    assert not torch.allclose(once, images)
    (gradient,) = torch.autograd.grad(once.sum(), images)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("operation", ["translate", "scale", "rotate", "shear"])
def test_geometry_keeps_a_flat_image_flat(operation: str) -> None:
    flat = torch.full((8, 1, 16, 16), 0.3)
    torch.testing.assert_close(augmented(flat, (operation,), fresh_rng()), flat)


def test_every_image_gets_amounts_of_its_own() -> None:
    image = torch.randn(1, 1, 16, 16, generator=fresh_rng(2)).expand(8, -1, -1, -1)
    warped = augmented(image, ("translate", "rotate"), fresh_rng())
    assert len({tuple(one.flatten().tolist()) for one in warped}) == 8


def test_a_shift_moves_by_at_most_an_eighth_of_the_side() -> None:
    dot = torch.zeros(64, 1, 32, 32)
    dot[:, :, 16, 16] = 1
    moved = augmented(dot, ("translate",), fresh_rng())
    centre = torch.arange(32.0)
    rows = (moved.sum(3) * centre).sum(2) / moved.sum((2, 3))
    off = (rows - 16).abs()
    assert off.max() <= 32 / 8 + 1e-3
    assert off.max() > 2  # and does use that room


def test_cutout_blanks_about_its_share() -> None:
    holes = (augmented(torch.ones(256, 1, 20, 20), ("cutout",), fresh_rng()) == 0).float().mean()
    # a square of 0.4 x 0.4 whose centre may lie at the border: 0.16 at most, a part of it outside
    assert 0.08 < holes < 0.16


def test_strength_is_the_chance_that_an_operation_touches_an_image() -> None:
    images = torch.rand(2000, 1, 8, 8, generator=fresh_rng(3))
    untouched = (augmented(images, ("brightness",), fresh_rng(), 0.3) == images).flatten(1).all(1).float().mean()
    assert untouched == pytest.approx(0.7, abs=0.05)
    assert augmented(images, OPERATIONS, fresh_rng(), 0.0) is images


def test_operations_touch_independently_of_each_other() -> None:
    flat = torch.full((4000, 1, 8, 8), 0.5)
    seen = augmented(flat, ("brightness", "cutout"), fresh_rng(), 0.5).flatten(1)
    brightened, cut = seen.max(1).values != 0.5, seen.min(1).values == 0
    assert (brightened & cut).float().mean() == pytest.approx(0.25, abs=0.04)


def test_strength_rises_with_overfitting_and_stays_in_its_bounds() -> None:
    images = round(1000 * RAMP_KIMG / 4)
    assert adapted(0.5, OVERFITTING_TARGET + 0.1, images) == pytest.approx(0.75)
    assert adapted(0.5, OVERFITTING_TARGET - 0.1, images) == pytest.approx(0.25)
    assert adapted(0.9, 1.0, images) == 1.0
    assert adapted(0.1, 0.0, images) == 0.0


def test_auto_augments_small_sets_by_their_median_class() -> None:
    assert choose([10, 100_000, 20]) == GEOMETRIC
    assert choose([ADAPTIVE_BELOW] * 3) == ()


class ByHeart(Network):
    """A critic that gives 1 to the images it was shown, as they are, and -1 to all others."""

    def __init__(self, shape: Shape, images: torch.Tensor) -> None:
        super().__init__(shape)
        self.known, self.bias = images.flatten(1), torch.nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        nearest = torch.cdist(images.flatten(1), self.known).min(dim=1).values
        return torch.where(nearest < 1e-3, 1.0, -1.0) + self.bias


def test_an_adaptive_run_augments_as_long_as_its_critic_knows_the_images_by_heart() -> None:
    rng = np.random.default_rng(0)
    few, unseen = (Labelled(rng.integers(0, 255, (n, 1, 8, 8), dtype=np.uint8), np.arange(n) % 2, 2) for n in (8, 64))
    config = Config(kimg=6, batch_size=64, width=4, latent_dim=4, adaptive=True)
    shape, cpu = Shape(8, 1, 2, latent_dim=4, width=4), torch.device("cpu")
    critic = ByHeart(shape, torch.from_numpy(few.images) / 127.5 - 1)
    source = RealImages(few.images, few.labels, 2, 0.0, cpu)
    trainer = Trainer(config, fresh_network(config, "generator", shape, 0), critic, source, 0)
    probe, strengths = Probe(trainer, few, unseen), []
    for look in range(10):
        trainer.done = look * EVERY
        assert probe.look()
        trainer.adapt(probe.overfitting, EVERY * config.images_per_iteration)
        strengths.append(trainer.strength)
    step = EVERY * config.images_per_iteration / (1000 * RAMP_KIMG)
    assert strengths == pytest.approx([step * (look + 1) for look in range(10)])
    assert trainer.state()["strength"] == trainer.strength
