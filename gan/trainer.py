"""The training loop of the conditional GAN: one iteration at a time, counted in images.

All random numbers of iteration t come from streams named after t. So a state holds none of their sources, and a resumed
run goes on bit for bit.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from gan.ahead import Ahead
from gan.augment import Changes, adapted, draw_changes
from gan.config import Config
from gan.draws import CriticDraws, GeneratorDraws, IterationDraws
from gan.graphs import Inputs
from gan.networks import Network, Shape, build
from gan.networks.conditioning import set_label_strength
from gan.networks.shape import levels_without_label
from gan.parts import own
from gan.ranks import Ranks
from gan.rates import rates_at
from gan.real_images import RealImages, fetching
from gan.seeds import derive, stream
from gan.shown import ImageSource
from gan.steps import Steps
from gan.transfer import Start

FIGURES = ("critic_loss", "generator_loss", "score_gap", "penalty", "critic_gradient", "generator_gradient")


@dataclass(frozen=True)
class Labelled:
    """A set of real images: uint8 (N, C, H, W), int64 (N,), and how many classes there are."""

    images: np.ndarray
    labels: np.ndarray
    classes: int


class Trainer(Steps):
    """Generator, critic, averaged generator and their optimisers; :meth:`iteration` moves them on.

    Args:
        seed: the project's seed; for the others see :class:`gan.steps.Steps`.

    Attributes:
        grown: whether the networks are at the end of their family's schedule from the first iteration on.

    Raises:
        ValueError: a network that corrupts memory, see :func:`gan.layout.unsafe_channels_last`.
    """

    def __init__(
        self,
        config: Config,
        generator: Network,
        critic: Network,
        source: ImageSource,
        seed: int,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__(config, generator, critic, source, seed, ranks)
        self.grown = False
        self.strength = 0.0 if config.adaptive else 1.0  # of the augmentation, see ``gan.augment``
        self.augmented = 1.0  # a factor on it, as of the last iteration
        self.label_strength = 1.0  # the same
        self.lr_scale = 1.0  # on both learning rates, lowered after a divergence
        fetch = fetching(source)
        self._ahead = None if fetch is None else Ahead(self._foretold, fetch)

    @classmethod
    def on_images(
        cls,
        config: Config,
        data: Labelled,
        seed: int,
        device: torch.device,
        ranks: Ranks | None = None,
        start: Start | None = None,
    ) -> Self:
        """A trainer with fresh networks of ``config.family`` on a set of images, every class of which must occur.

        With ``start`` they are not fresh, but have the weights of networks that were trained before, with all levels.

        >>> data = Labelled(np.zeros((8, 1, 8, 8), np.uint8), np.arange(8) % 2, classes=2)
        >>> trainer = Trainer.on_images(Config(kimg=1, batch_size=4, width=4), data, 0, torch.device("cpu"))
        >>> dict(zip(FIGURES, trainer.iteration().tolist())).keys() == set(FIGURES)
        True
        """
        _, channels, size, _ = data.images.shape
        shape = Shape(size, channels, data.classes, config.latent_dim, config.width)
        batches = RealImages(data.images, data.labels, data.classes, config.balance, device, config.mirror)
        networks = {part: fresh_network(config, part, shape, seed) for part in ("generator", "critic")}
        if start is not None:
            for part, network in networks.items():
                start.take_up(config, part, network)
        generator, critic = (networks[part].to(device) for part in ("generator", "critic"))
        trainer = cls(config, generator, critic, batches, seed, ranks)
        trainer.grown = start is not None
        return trainer

    # One iteration -----------------------------------------------------------------------------------------------

    def iteration(self, share: float | None = None) -> Tensor:
        """``n_critic`` critic steps and a generator step.

        Args:
            share: of the budget that is spent, in [0, 1], for a budget that is not counted in images.

        Returns:
            float32, the figures of :data:`FIGURES`, the critic's averaged over its steps; on the device, so that
            reading them is what waits for it. The gradients are the norms over all parameters.
        """
        share = self.done / self.config.iterations if share is None else share
        self._set_label_strength(share)
        self._keep_to_schedule(share)
        self.augmented = self.config.annealed(share, self.config.augment_start, 1.0)
        rates = rates_at(self.config, self.done, share, self.lr_scale)
        figures = self._run(Inputs(self._draw(), rates, self._course()))
        self.done += 1
        return figures

    def adapt(self, overfitting: float | None, images: int) -> None:
        """Moves an adaptive augmentation by how far the critic overfits, if that is known.

        Args:
            overfitting: see ``gan.probe``.
            images: real images since it was moved last.
        """
        if self.config.adaptive and overfitting is not None:
            self.strength = adapted(self.strength, overfitting, images)

    # What is drawn -------------------------------------------------------------------------------------------------

    def _draw(self) -> IterationDraws:
        return IterationDraws(tuple(map(self._draw_critic, range(self.config.n_critic))), self._draw_generator())

    def _draw_critic(self, step: int) -> CriticDraws:
        rng, labels, real = self._named_for_critic(self.done, step)
        real, latents = self._fetched(step, real), self.latents(rng)
        of_real, of_fake = self.changes(rng), self.changes(rng)
        alpha = None
        if self.objective.penalised(self.done * self.config.n_critic + step):
            alpha = torch.rand(self._penalised_part(len(labels) // self.config.packing), generator=rng)
        return CriticDraws(labels, real, latents, of_real, of_fake, alpha)

    def _draw_generator(self) -> GeneratorDraws:
        rng, labels, latents, of_fake = self._start_of_generator(self.done)
        terms = self.objective.family.terms_at(self.done)
        if not self.objective.sees_real:
            return GeneratorDraws(labels, latents, of_fake, None, None, terms)
        real = self._fetched(self.config.n_critic, self._own(self.source.draw(labels, rng)))
        return GeneratorDraws(labels, latents, of_fake, real, self.changes(rng), terms)

    def _named_for_critic(self, iteration: int, step: int) -> tuple[torch.Generator, Tensor, Tensor]:
        """The stream of a critic step, after labels and names of this process's real images were drawn from it."""
        rng = stream(self.seed, "train.critic", iteration, step)
        labels = self._labels(rng)
        return rng, labels, self._own(self.source.draw(labels, rng))

    def _start_of_generator(self, iteration: int) -> tuple[torch.Generator, Tensor, Tensor, Changes]:
        rng = stream(self.seed, "train.generator", iteration)
        labels = self._labels(rng)
        return rng, labels, self.latents(rng), self.changes(rng)

    def _foretold(self, iteration: int) -> list[Tensor]:
        """The names of the real images that an iteration will ask for, as far as can be told."""
        names = [self._named_for_critic(iteration, step)[2] for step in range(self.config.n_critic)]
        if self.objective.sees_real:  # augmentation that comes or goes until then moves the stream
            rng, labels, *_ = self._start_of_generator(iteration)
            names.append(self._own(self.source.draw(labels, rng)))
        return names

    def _own(self, drawn: Tensor) -> Tensor:
        return own(drawn, self.config, self.ranks.rank, self.ranks.count)

    def _fetched(self, place: int, names: Tensor) -> Tensor:
        """What goes to the device of real images: their names, or their pixels; ``place`` is that in the iteration."""
        return names if self._ahead is None else self._ahead.take(self.done, place, names)

    def _labels(self, rng: torch.Generator) -> Tensor:
        """Labels of a batch, (batch_size,); each ``packing`` in a row are the same."""
        config = self.config
        return self.source.sample_labels(config.batch_size // config.packing, rng).repeat_interleave(config.packing)

    def latents(self, rng: torch.Generator) -> Tensor:
        """Random vectors for a batch, float32 (batch_size, latent_dim), on the CPU."""
        return torch.randn(self.config.batch_size, self.config.latent_dim, generator=rng)

    def changes(self, rng: torch.Generator) -> Changes:
        """How a batch is augmented by now."""
        return draw_changes(self.config.batch_size, self.config.augment, rng, self.strength * self.augmented)

    # Parts ---------------------------------------------------------------------------------------------------------

    def _penalised_part(self, judged: int) -> int:
        """How many of what the critic judges take the penalty: the share asked for, in whole groups."""
        group = self.config.group
        return max(1, round(self.config.penalty_fraction * judged / group)) * group

    def _set_label_strength(self, share: float) -> None:
        strength = self.config.label_strength(share)
        if strength != self.label_strength:
            self.label_strength = strength
            for network in (self.generator, self.critic, self.ema):
                set_label_strength(network, strength)

    def _keep_to_schedule(self, share: float) -> None:
        schedule = self.objective.family.schedule
        if schedule is not None:
            for network in (self.generator, self.critic, self.ema):
                schedule(network, 1.0 if self.grown else share)

    def _course(self) -> Hashable:
        course = self.objective.family.course
        return None if course is None else (course(self.generator), course(self.critic))

    # State ---------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as named tensors."""
        tensors = {"done": torch.tensor(self.done)}
        tensors |= {name: torch.tensor(getattr(self, name), dtype=torch.float64) for name in ("strength", "lr_scale")}
        for name in ("generator", "critic", "ema"):
            tensors |= {f"{name}/{key}": value for key, value in getattr(self, name).state_dict().items()}
        for name in ("generator_optimizer", "critic_optimizer"):
            tensors |= {f"{name}/{key}": value for key, value in getattr(self, name).moments().items()}
        tensors |= {f"memory/{key}": value for key, value in self.memory()}
        return tensors | ({"parts": torch.tensor(self.parts)} if self.parts > 1 else {})

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Takes up what :meth:`state` gave, in place. A device that had no room for a whole batch is spared it.

        Raises:
            KeyError, RuntimeError: the tensors belong to other networks.
        """
        found: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            group, _, name = key.partition("/")
            found.setdefault(group, {})[name] = value
        for name in ("generator", "critic", "ema"):
            getattr(self, name).load_state_dict(found[name])
        for name in ("generator_optimizer", "critic_optimizer"):
            getattr(self, name).load_moments(found.get(name, {}))
        for key, held in self.memory():
            held.copy_(found["memory"][key])
        self.done = int(tensors["done"])
        self.strength, self.lr_scale = float(tensors["strength"]), float(tensors["lr_scale"])
        parts = int(tensors.get("parts", 1))
        if parts > self.parts:
            self.parts = parts
            self.notes.append(f"the device had no room for a whole batch: it is taken in {parts} parts, as before")


def fresh_network(config: Config, part: str, shape: Shape, seed: int) -> Network:
    """The generator or critic that ``config`` asks for, with weights drawn from a stream of its own."""
    if config.unlabelled_below:
        levels_without_label(shape.image_size, config.unlabelled_below)
    if config.unlabelled_weight:
        shape = replace(shape, unlabelled=config.unlabelled_below, low_images=1)
    if part == "critic":
        groups = {"minibatch_std": config.minibatch_std, "minibatch_discrimination": config.minibatch_discrimination}
        shape = replace(shape, channels=shape.channels * config.packing, **groups)
    else:
        prior = int(config.latent_prior == "class")
        adain = int(config.style == "adain")
        shape = replace(shape, unlabelled=config.unlabelled_below, class_prior=prior, adain=adain)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "train.init", part))
        return build(config.family, part, shape)
