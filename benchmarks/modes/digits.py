"""Stacked digits: three of scikit-learn's embedded 8x8 digits as the three channels of an image, 1,000 modes."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from gan.config import Config
from gan.networks import Network, Shape
from gan.seeds import stream
from gan.trainer import Trainer, fresh_network

SAMPLES = 26_000  # as in VEEGAN (Srivastava et al. 2017) and PacGAN
CHUNK = 1000
SETTINGS = {"kimg": 200, "batch_size": 64, "width": 16, "latent_dim": 64, "augment": ()}


@dataclass(frozen=True)
class Coverage:
    """Of 1,000 modes those with at least one sample, and KL(generated || data) in nats."""

    modes: int
    reverse_kl: float


class Stacked:
    """A ``gan.trainer.ImageSource`` that stacks three digits drawn at random; all have the label 0."""

    def __init__(self) -> None:
        self.digits = torch.from_numpy(load_digits().images).float() / 8 - 1

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:  # noqa: ARG002
        """int64 (count,)."""
        return torch.zeros(count, dtype=torch.int64)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Which three digits: int64 (N, 3)."""
        return torch.randint(len(self.digits), (len(labels), 3), generator=rng)

    def images(self, drawn: Tensor) -> Tensor:
        """float32 (N, 3, 8, 8) in [-1, 1]."""
        return self.digits.to(drawn.device)[drawn]


def trainer(config: Config, seed: int) -> Trainer:
    """Fresh networks of the config's family on stacked digits."""
    shape = Shape(8, 3, classes=1, latent_dim=config.latent_dim, width=config.width)
    networks = [fresh_network(config, part, shape, seed) for part in ("generator", "critic")]
    return Trainer(config, *networks, Stacked(), seed)


@torch.no_grad()
def sample(network: Network, seed: int, count: int = SAMPLES) -> Tensor:
    """Images (count, 3, 8, 8) of a trained generator."""
    draws = stream(seed, "digits.latent")
    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    latents = (torch.randn(size, network.shape.latent_dim, generator=draws) for size in sizes)
    return torch.cat([network(z, torch.zeros(len(z), dtype=torch.int64)) for z in latents])


@cache
def classifier() -> tuple[KNeighborsClassifier, float]:
    """Three nearest neighbours among three quarters of the single digits; its accuracy on the others."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    train_images, test_images, train_labels, test_labels = parts
    model = KNeighborsClassifier(3, algorithm="brute").fit(train_images, train_labels)
    return model, float(model.score(test_images, test_labels))


def coverage(images: Tensor) -> Coverage:
    """Of images (N, 3, 8, 8) in [-1, 1], named by :func:`classifier`."""
    digits = (images.flatten(2).numpy() + 1) * 8
    named = classifier()[0].predict(digits.reshape(-1, 64)).reshape(-1, 3)
    found = np.bincount(named @ [100, 10, 1], minlength=1000) / len(named)
    return Coverage(int((found > 0).sum()), reverse_kl(found, _data_distribution()))


def reverse_kl(generated: np.ndarray, data: np.ndarray) -> float:
    """KL(generated || data) in nats, of two distributions over the same modes."""
    present = generated > 0
    return float((generated[present] * np.log(generated[present] / data[present])).sum())


def _data_distribution() -> np.ndarray:
    share = np.bincount(load_digits().target) / len(load_digits().target)
    return np.einsum("i,j,k->ijk", share, share, share).ravel()
