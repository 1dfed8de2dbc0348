"""Every recipe trains with its own defaults, and so does every pair of loss and penalty."""

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.modes import gaussians
from gan.config import Config
from gan.losses import LOSSES
from gan.networks import Shape
from gan.penalties import PENALTIES
from gan.recipes import RECIPES
from gan.sampler import Sampler
from gan.trainer import Trainer
from tests.gan.test_trainer import CPU, bars

CENTRE = torch.tensor([0.6, -0.6])
POINTS: dict[str, Any] = {
    "kimg": 3.2,
    "batch_size": 32,
    "n_critic": 1,
    "penalty_weight": 0.5,
    "critic_lr": 6e-3,
    "generator_lr": 3e-3,
    "width": 16,
    "latent_dim": 2,
    "ema_kimg": 0.3,
    "augment": (),
}
# thousands of images: the zero-centred penalties need the fewest, the recipes without a penalty the most
KIMG = {"wgan-gp": 12, "wgan-lp": 12, "wgan": 36, "gan": 6, "dcgan": 24, "r3": 6, "stylegan2": 6}


class Cloud:
    """A source of points about one centre."""

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.zeros(count, dtype=torch.int64)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        return (CENTRE + 0.1 * torch.randn(len(labels), 2, generator=rng))[:, :, None, None]

    def images(self, drawn: Tensor) -> Tensor:
        return drawn


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("penalty", sorted(PENALTIES))
def test_every_loss_with_every_penalty_draws_points_nearer_to_the_real_ones(loss: str, penalty: str) -> None:
    shape = Shape(1, 2, classes=1, latent_dim=2, width=16)
    config = Config(loss=loss, penalty=penalty, **POINTS)
    torch.manual_seed(0)
    trainer = Trainer(config, gaussians.Generator(shape), gaussians.Critic(shape), Cloud(), 0)
    before = (gaussians.sample(trainer.ema, 0, 256) - CENTRE).norm(dim=1).mean()
    for _ in range(config.iterations):
        figures = trainer.iteration()
        assert figures.isfinite().all()
    after = (gaussians.sample(trainer.ema, 0, 256) - CENTRE).norm(dim=1).mean()
    assert after < 0.5 * before


@pytest.fixture(scope="module", params=sorted(RECIPES))
def trained(request: pytest.FixtureRequest) -> Trainer:
    config = Config.of(request.param, kimg=KIMG[request.param], batch_size=32, width=8, latent_dim=8, ema_kimg=1)
    trainer = Trainer.on_images(config, bars(), 0, CPU)
    for _ in range(config.iterations):
        trainer.iteration()
    return trainer


def test_every_recipe_learns_the_classes(trained: Trainer) -> None:
    """Nine images in ten have the bright half of their class, by half of the real contrast or more."""
    for label, bright, other in ((0, slice(0, 4), slice(4, 8)), (1, slice(4, 8), slice(0, 4))):
        images = Sampler(trained.ema, 0).draw(label, 0, 64).float()
        contrast = images[..., bright].mean(dim=(1, 2, 3)) - images[..., other].mean(dim=(1, 2, 3))
        assert (contrast > 100).float().mean() > 0.9


def test_real_images_under_shuffled_labels_raise_the_loss_of_every_critic(trained: Trainer) -> None:
    data = bars()
    real, labels = torch.from_numpy(data.images).float() / 127.5 - 1, torch.from_numpy(data.labels)
    with torch.no_grad():
        fake = trained.ema(torch.randn(len(real), 8, generator=torch.Generator().manual_seed(0)), labels)
        shuffled = real[torch.randperm(len(real), generator=torch.Generator().manual_seed(1))]
        right, wrong = (trained.objective.critic(trained.critic, x, fake, labels, None)[0] for x in (real, shuffled))
    assert wrong > right
