"""The embedder that needs nothing from outside: a classifier of the user's own classes."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import Recipe, features, fit

LR, WEIGHT_DECAY = 2e-2, 5e-2  # as strong as `classify` has them: a few hundred steps must do


@dataclass(frozen=True)
class DomainEmbedder:
    """A classifier trained on the real train split alone, which knows no held-out and no synthetic image.

    Attributes:
        name: ``domain:`` and 12 hex digits of the SHA-256 of its weights.
    """

    name: str
    network: SmallResNet

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Features, float32 (N, 128), of uint8 images (N, C, H, W)."""
        return features(self.network, images)

    def classify(self, embedded: np.ndarray) -> np.ndarray:
        """The class that each image looks like, int64 (N,), from its features (N, 128)."""
        with torch.inference_mode():
            return self.network.head(torch.from_numpy(embedded)).argmax(1).numpy()


def train_domain_embedder(
    images: np.ndarray, labels: np.ndarray, classes: int, *, steps: int, seed: int
) -> DomainEmbedder:
    """Trains on all classes equally often, with TrivialAugment, so that a long tail is embedded as well.

    Args:
        images: the real train split, uint8 (N, C, H, W).
        labels: int64 (N,).
        classes: how many there are.
        steps: optimizer steps of 64 images.
        seed: of the initial weights, the batches and the changes.
    """
    channels, size = images.shape[1:3]
    network = SmallResNet(classes, channels, size, seed=seed)
    recipe = Recipe(balance="oversampling", augment="trivial")
    fit(network, images, labels, seed=seed, steps=steps, lr=LR, weight_decay=WEIGHT_DECAY, recipe=recipe)
    return DomainEmbedder(f"domain:{_digest(network)[:12]}", network.eval())


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
