"""What a family of networks is: everything that a new kind of GAN brings, in one object."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gan.networks.shape import Network, Shape

LARGE = 64
"""Pixels from which on a family's ``large`` counts."""

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


Modulations = Callable[[Network], list[tuple[Tensor, ...]]]
"""A generator's layers that the label modulates; of each what the label alone adds, by kind: gains, biases.

Each (classes, channels). Grouped spectral regularisation holds them small.
"""


@dataclass(frozen=True)
class LazyTerm:
    """A term of the generator that is taken every so many iterations, and so many times (Karras et al. 2020, B).

    It hangs on no iteration and no random number, so an iteration can be recorded with it; see ``gan.graphs``. It may
    look at each image alone and at the mean over all, so that it is the same for a batch in parts; and it may remember
    such means, which it is told once a step, when the step's gradients are there.

    Attributes:
        measure: (generator, latents (n, latent_dim), labels (n,)) to a number for each image, (n,), with a gradient.
        value: (generator, such numbers (n,), their mean over all images ()) to a mean over the n images, a scalar with
            its weight in it.
        update: (generator, that mean): takes it in.
        every: iterations from one to the next.
        share: of the batch that it is taken on, the first images.
    """

    measure: Callable[[Network, Tensor, Tensor], Tensor]
    value: Callable[[Network, Tensor, Tensor], Tensor]
    update: Callable[[Network, Tensor], None]
    every: int
    share: float = 1.0

    def count(self, batch: int) -> int:
        """Of how many images of a batch it is taken."""
        return max(1, int(self.share * batch))


@dataclass(frozen=True)
class Family:
    """A kind of generator and critic.

    Attributes:
        generator, critic: make the networks for a shape, with fresh weights; also on torch's ``meta`` device, where
            tensors have no values, as a saved network is compared with its card before anything is allocated.
        critic_terms: added to what the critic minimises, each with its own weight in it; see :data:`CriticTerm`.
        generator_terms: the same for the generator; see :data:`GeneratorTerm` and :class:`LazyTerm`.
        schedule: called for generator, critic and averaged generator before each iteration; see :data:`Schedule`.
        defaults: fields of :class:`gan.config.Config`; a recipe and the user's own choices go before them.
        large: the same for images of :data:`LARGE` pixels and more, before ``defaults``.
        modulations: for ``spectral_weight``; None where there is nothing of the kind.
        leaves_labels_out: whether the generator heeds ``gan.networks.Shape.unlabelled``.
        styled: whether it heeds ``gan.networks.Shape.adain``.
        former: names of tensors that earlier versions of augmint had in it and that are no more, each with what the
            networks did then, so that their weights are refused with the reason.
        course: of a network, what its schedule has decided that changes which operations an iteration is made of, such
            as the levels that are on; what else it sets lies in tensors that stay where they are. Iterations of one
            course can be replayed as one CUDA graph (``gan.graphs``); without it those of a schedule never are.
    """

    generator: Callable[[Shape], Network]
    critic: Callable[[Shape], Network]
    critic_terms: tuple[CriticTerm, ...] = ()
    generator_terms: tuple[GeneratorTerm | LazyTerm, ...] = ()
    schedule: Schedule | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    large: Mapping[str, Any] = field(default_factory=dict)
    modulations: Modulations | None = None
    leaves_labels_out: bool = False
    styled: bool = False
    former: Mapping[str, str] = field(default_factory=dict)
    course: Callable[[Network], Hashable] | None = None

    def terms_at(self, iteration: int) -> tuple[int, ...]:
        """Numbers of the ``generator_terms`` that an iteration takes."""
        every = [term.every if isinstance(term, LazyTerm) else 1 for term in self.generator_terms]
        return tuple(number for number, step in enumerate(every) if iteration % step == 0)
