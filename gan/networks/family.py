"""What a family of networks is: everything that a new kind of GAN brings, in one object."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gan.networks.shape import Network, Shape

Critic = Callable[[Tensor, Tensor], Tensor]
"""Images (N, C, H, W) and labels (N,) to scores (N,)."""

CriticTerm = Callable[[Critic, Tensor, Tensor, Tensor], Tensor]
"""(critic, real, fake, labels) to a scalar; the images as the critic gets them, (N, C, H, W)."""

GeneratorTerm = Callable[[Network, Tensor, Tensor, Tensor, int], Tensor]
"""(generator, latents, labels, fake, iteration) to a scalar; ``fake`` (N, C, H, W) is drawn from (N, L) and (N,)."""

Schedule = Callable[[Network, float], None]
"""(network, share of the budget that is spent): sets what changes with time, such as a level that fades in."""


@dataclass(frozen=True)
class Family:
    """A kind of generator and critic.

    Attributes:
        generator, critic: make the networks for a shape, with fresh weights.
        critic_terms: added to what the critic minimises, each with its own weight in it; see :data:`CriticTerm`.
        generator_terms: the same for the generator; see :data:`GeneratorTerm`.
        schedule: called for generator, critic and averaged generator before each iteration; see :data:`Schedule`.
        defaults: fields of :class:`gan.config.Config`; a recipe and the user's own choices go before them.
    """

    generator: Callable[[Shape], Network]
    critic: Callable[[Shape], Network]
    critic_terms: tuple[CriticTerm, ...] = ()
    generator_terms: tuple[GeneratorTerm, ...] = ()
    schedule: Schedule | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
