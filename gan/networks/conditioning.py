"""How the label enters a network: a style that modulates the generator, a projection in the critic's score."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LabelEmbedding(nn.Embedding):
    """A vector for each label, times ``strength``: 1, or less while a training leaves the labels out."""

    strength: Tensor

    def __init__(self, classes: int, features: int) -> None:
        super().__init__(classes, features)
        self.register_buffer("strength", torch.ones(()), persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        """labels int64 (N,) to (N, features)."""
        return self.strength * super().forward(labels)


def set_label_strength(network: nn.Module, strength: float) -> None:
    """How much the label counts in all of a network: 0 not at all, 1 fully, as in every network that is loaded."""
    for module in network.modules():
        if isinstance(module, LabelEmbedding):
            module.strength.fill_(strength)


class Modulation(nn.Module):
    """Normalises each image over channels and space, then scales and shifts its channels by the style."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style_dim, 2 * channels)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x (N, C, H, W), style (N, S) to (N, C, H, W)."""
        scale, shift = self.affine(style)[:, :, None, None].chunk(2, dim=1)
        return F.group_norm(x, 1) * (1 + scale) + shift


class Style(nn.Module):
    """The latent vector and an embedding of the label, side by side."""

    def __init__(self, classes: int, latent_dim: int) -> None:
        super().__init__()
        self.embed = LabelEmbedding(classes, latent_dim)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """z (N, latent_dim), labels int64 (N,) to (N, 2 latent_dim)."""
        return torch.cat([z, self.embed(labels)], dim=1)

    def unlabelled(self, z: Tensor) -> Tensor:
        """The same for no class."""
        return F.pad(z, (0, self.embed.embedding_dim))


class Projection(nn.Module):
    """The score of Miyato & Koyama 2018: a linear function of the features, plus their product with the label's own."""

    def __init__(self, classes: int, features: int) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)
        self.embed = LabelEmbedding(classes, features)
        nn.init.normal_(self.embed.weight, std=features**-0.5)

    def forward(self, h: Tensor, labels: Tensor) -> Tensor:
        """h (N, features), labels int64 (N,) to scores (N,)."""
        return self.score(h).squeeze(1) + (self.embed(labels) * h).sum(dim=1)
