"""What a family of networks is: everything that a new kind of GAN brings, in one object."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gan.networks.shape import Network, Shape

Critic = Callable[[Tensor, Tensor], Tensor]
"""Images (N, C, H, W) and labels (N,) to scores (N,)."""

CriticTerm = Callable[[Critic, Tensor, Tensor, Tensor], Tensor]
"""(critic, real, fake, labels) to a scalar; the images as the critic gets them, (N, C, H, W)."""

Schedule = Callable[[Network, float], None]
"""(network, share of the budget that is spent): sets what changes with time, such as a level that fades in.

A snapshot may ship long after it was taken, so what is set has to be a persistent buffer of the network.
"""


@dataclass(frozen=True)
class GeneratorStep:
    """What one step of the generator made.

    Attributes:
        latents: float32 (N, latent_dim).
        labels: int64 (N,).
        images: (N, C, H, W) as the generator gave them, before augmentation; gradients flow.
        iteration: its number, for terms that are not taken each time.
        rng: for random numbers of the family's own, on the CPU.
    """

    latents: Tensor
    labels: Tensor
    images: Tensor
    iteration: int
    rng: torch.Generator


GeneratorTerm = Callable[[Network, GeneratorStep], Tensor]
"""(generator, what its step made) to a scalar."""


@dataclass(frozen=True)
class Family:
    """A kind of generator and critic.

    Attributes:
        generator, critic: make the networks for a shape, with fresh weights; also on torch's ``meta`` device, where
            tensors have no values, as a saved network is compared with its card before anything is allocated.
        critic_terms: added to what the critic minimises, each with its own weight in it; see :data:`CriticTerm`.
        generator_terms: the same for the generator; see :data:`GeneratorTerm`.
        schedule: called for generator, critic and averaged generator before each iteration; see :data:`Schedule`.
        defaults: fields of :class:`gan.config.Config`; a recipe and the user's own choices go before them.
        course: of a network, what its schedule has decided that changes which operations an iteration is made of, such
            as the levels that are on; what else it sets lies in tensors that stay where they are. Iterations of one
            course can be replayed as one CUDA graph (``gan.graphs``); without it those of a schedule never are.
    """

    generator: Callable[[Shape], Network]
    critic: Callable[[Shape], Network]
    critic_terms: tuple[CriticTerm, ...] = ()
    generator_terms: tuple[GeneratorTerm, ...] = ()
    schedule: Schedule | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    course: Callable[[Network], Hashable] | None = None
