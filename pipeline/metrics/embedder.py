"""What turns images into the features that they are compared by. A figure is worth what its embedder is: name it."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import Recipe, features, fit
from pipeline.store import Split


@dataclass(frozen=True)
class DomainEmbedder:
    """A classifier trained on the real train split alone, which knows no held-out and no synthetic image.

    Attributes:
        name: ``domain:`` and 12 hex digits of the SHA-256 of its weights.
    """

    name: str
    network: SmallResNet

    def embed(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features, float32 (N, 128), of uint8 images (N, C, H, W), and the class that each looks like, int64 (N,)."""
        embedded = features(self.network, images)
        with torch.inference_mode():
            predicted = self.network.head(torch.from_numpy(embedded)).argmax(1).numpy()
        return embedded, predicted


def train_domain_embedder(train: Split, classes: int, *, steps: int, seed: int) -> DomainEmbedder:
    """Trains on all classes equally often, with small affine changes, so that a long tail is embedded as well.

    Args:
        train: the real train split.
        classes: how many there are.
        steps: optimizer steps of 64 images.
        seed: of the initial weights, the batches and the changes.
    """
    channels, size = train.images.shape[1:3]
    network = SmallResNet(classes, channels, size, seed=seed)
    recipe = Recipe(balance="oversampling", augment="affine")
    fit(network, train.images, train.labels, seed=seed, steps=steps, recipe=recipe)
    return DomainEmbedder(f"domain:{_digest(network)[:12]}", network.eval())


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
