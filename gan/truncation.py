"""Truncation: images drawn nearer to the middle of their class, surer and less varied (Karras et al. 2019, B)."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gan.ensemble import Ensemble
from gan.networks import Network
from gan.networks.additions import latents_of
from gan.seeds import stream

CENTRE = 1024  # latent vectors whose styles the middle of a class is the mean of


@runtime_checkable
class Styled(Protocol):
    """A generator that draws from styles, which it makes of the latent vector and the label."""

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        """z (N, latent_dim), labels (N,) to (N, ...)."""
        ...

    def drawn(self, styles: Tensor, z: Tensor) -> Tensor:
        """Styles (N, ...), with what else z decides, such as noise, to images (N, C, H, W)."""
        ...


class Truncated(Network):
    """A generator in eval mode whose styles s become m + ψ (s - m), m their mean over the latents of the class.

    The mean is that of :data:`CENTRE` fixed latents, made by the network itself when a class is first asked for: so it
    fits the averaged weights, and classes that were seldom drawn in training. A generator without styles gets ψ z in
    the place of z, whose mean is 0.

    Args:
        generator: (z, labels) to images.
        psi: ψ in [0, 1]; 0 draws one image a class, but for noise.
    """

    def __init__(self, generator: Network, psi: float) -> None:
        super().__init__(generator.shape)
        self.generator, self.psi = generator, psi
        self._centres: dict[int, Tensor] = {}

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """z float (N, latent_dim), labels int64 (N,); returns (N, C, H, W) in [-1, 1]."""
        if not isinstance(self.generator, Styled):
            return self.generator(self.psi * z, labels)
        z = latents_of(self.generator, z, labels)
        styles = self.generator.styles(z, labels)
        centres = torch.stack([self._centre(self.generator, label) for label in labels.tolist()])
        return self.generator.drawn(torch.lerp(centres.to(styles), styles, self.psi), z)

    def _centre(self, generator: Styled, label: int) -> Tensor:
        if label not in self._centres:
            like = next(self.generator.parameters())
            z = torch.randn(CENTRE, self.shape.latent_dim, generator=stream(0, "truncation.centre", label))
            labels = torch.full((CENTRE,), label, device=like.device)
            styles = generator.styles(latents_of(self.generator, z.to(like), labels), labels)
            self._centres[label] = styles.mean(dim=0)  # two threads at once would both find the same
        return self._centres[label]


def truncated(generator: Network, psi: float) -> Network:
    """``generator`` itself for a ψ of 1, else :class:`Truncated`; of an ensemble each member.

    Raises:
        ValueError: ψ is not in (0, 1].
    """
    if not 0 < psi <= 1:
        raise ValueError(f"truncation ({psi}) must be above 0, up to 1")
    if psi == 1:
        return generator
    if isinstance(generator, Ensemble):
        return Ensemble([truncated(member, psi) for member in generator.members])  # type: ignore[arg-type]
    return Truncated(generator, psi)
