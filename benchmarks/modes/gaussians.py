"""25 Gaussians on a grid in the plane, as images (N, 2, 1, 1), and plain networks for them."""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan.config import Config
from gan.networks import Network, Shape
from gan.networks.minibatch import MinibatchStd
from gan.seeds import derive, stream
from gan.trainer import Trainer

DEVIATION = 0.05
SAMPLES = 2500  # grid, deviation and number of samples as in PacGAN (Lin et al. 2018)
# perceptrons of this size bear, and need, higher rates than the convolutions that the recipes are set for
SETTINGS = {
    "kimg": 768,
    "batch_size": 128,
    "width": 128,
    "latent_dim": 2,
    "ema_kimg": 10,
    "critic_lr": 4e-3,
    "generator_lr": 2e-3,
    "augment": (),
}
# What there is to win here is a distance between points of some 0.1, and the slope has to turn round within each mode.
# A weight of 5, set by images, punishes such a turn by more than it wins. Gulrajani et al. 2017 too take 0.1 for points
# (their gan_toy.py), and docs/benchmarks.md has what else was tried.
FOR_RECIPE = {recipe: {"penalty_weight": 0.1} for recipe in ("wgan-gp", "wgan-lp")}
# The burn-in of `r3` is meant for budgets of millions of images: within a third of this one it leaves 31 good samples
# of 100 in the place of 61.
FOR_RECIPE["r3"] = {"burn_in": 0.0}
# The networks are those below, which have no path lengths: a family without terms stands in for the recipe's own.
FOR_RECIPE["stylegan2"] = {"family": "resnet"}


@dataclass(frozen=True)
class Coverage:
    """Modes with at least one sample within three standard deviations, and the share of samples that lie so."""

    modes: int
    good: float


def centres() -> Tensor:
    """float32 (25, 2)."""
    line = torch.arange(-4.0, 5.0, 2.0)
    return torch.cartesian_prod(line, line)


def coverage(points: Tensor) -> Coverage:
    """Of points (N, 2)."""
    distance, nearest = torch.cdist(points, centres()).min(dim=1)
    good = distance <= 3 * DEVIATION
    return Coverage(len(nearest[good].unique()), good.float().mean().item())


class Points:
    """A ``gan.trainer.ImageSource`` of fresh points; all have the label 0."""

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:  # noqa: ARG002
        """int64 (count,)."""
        return torch.zeros(count, dtype=torch.int64)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """float32 (N, 2, 1, 1): the points themselves."""
        which = torch.randint(25, labels.shape, generator=rng)
        noise = torch.randn(len(labels), 2, generator=rng)
        return (centres()[which] + DEVIATION * noise)[:, :, None, None]

    def images(self, drawn: Tensor) -> Tensor:
        """The points."""
        return drawn


class Generator(Network):
    """z (N, latent_dim) to points (N, 2, 1, 1)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.layers = _perceptron(shape.latent_dim, shape.channels, shape.width)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002
        """There is one label only."""
        return self.layers(z)[:, :, None, None]


class Critic(Network):
    """Points (N, 2 packing, 1, 1) to scores (N,)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.statistics = MinibatchStd(shape.minibatch_std) if shape.minibatch_std else nn.Identity()
        self.layers = _perceptron(shape.channels + bool(shape.minibatch_std), 1, shape.width)

    def forward(self, points: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002
        """There is one label only."""
        return self.layers(self.statistics(points).flatten(1)).squeeze(1)


def trainer(config: Config, seed: int) -> Trainer:
    """Fresh networks of ``config.width`` units a layer on fresh points."""
    shape = Shape(1, 2, classes=1, latent_dim=config.latent_dim, width=config.width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "gaussians.init"))
        generator = Generator(shape)
        critic = Critic(replace(shape, channels=2 * config.packing, minibatch_std=config.minibatch_std))
    return Trainer(config, generator, critic, Points(), seed)


@torch.no_grad()
def sample(network: Network, seed: int, count: int = SAMPLES) -> Tensor:
    """Points (count, 2) of a trained generator."""
    z = torch.randn(count, network.shape.latent_dim, generator=stream(seed, "gaussians.latent"))
    return network(z, torch.zeros(count, dtype=torch.int64)).flatten(1)


def _perceptron(inputs: int, outputs: int, hidden: int) -> nn.Sequential:
    widths = [inputs, hidden, hidden, hidden]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs))
