"""The training loop of the conditional GAN: one iteration at a time, counted in images.

All random numbers of iteration t come from streams named after t. So a state holds none of their sources, and a resumed
run goes on bit for bit.
"""

import copy
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gan.augment import Changes, adapted, augment, draw_changes
from gan.compiled import compiled_gradients
from gan.config import Config
from gan.draws import CriticDraws, GeneratorDraws, IterationDraws, brought
from gan.layout import channels_last, unsafe_channels_last
from gan.networks import Network, Shape, build
from gan.networks.conditioning import set_label_strength
from gan.networks.family import GeneratorStep
from gan.objective import Objective
from gan.real_images import RealImages
from gan.seeds import derive, stream

UNSAFE = (
    "a convolution of one pixel with a stride and fewer than 16 channels, with which oneDNN writes past its memory: "
    "leave out pixels first (x[:, :, ::2, ::2]), or take more channels"
)
FIGURES = ("critic_loss", "generator_loss", "score_gap", "penalty", "critic_gradient", "generator_gradient")


@dataclass(frozen=True)
class Labelled:
    """A set of real images: uint8 (N, C, H, W), int64 (N,), and how many classes there are."""

    images: np.ndarray
    labels: np.ndarray
    classes: int


class ImageSource(Protocol):
    """Where real images come from; ``gan.real_images.RealImages`` is the usual one."""

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:
        """Labels in the sampling proportions, int64 (count,), on the CPU."""
        ...

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Names a real image of each label, (N, ...) on the CPU."""
        ...

    def images(self, drawn: Tensor) -> Tensor:
        """What was drawn, by now on the device: float32 (N, C, H, W) in [-1, 1]."""
        ...


class Trainer:
    """Generator, critic, averaged generator and their optimisers; :meth:`iteration` moves them on.

    Args:
        config: the hyper-parameters.
        generator: (N, latent_dim), (N,) to images (N, C, H, W).
        critic: images and labels to scores (N,); with packing m, m images of a label stacked to (N, m C, H, W).
        source: of real images.
        seed: the project's seed.

    Raises:
        ValueError: a network that corrupts memory, see :func:`gan.layout.unsafe_channels_last`.
    """

    def __init__(self, config: Config, generator: Network, critic: Network, source: ImageSource, seed: int) -> None:
        self.config, self.source, self.seed = config, source, seed
        if unsafe_channels_last(generator) or unsafe_channels_last(critic):
            raise ValueError(UNSAFE)
        self.generator, self.critic = (n.to(memory_format=torch.channels_last) for n in (generator, critic))
        self.device = next(generator.parameters()).device
        self.ema = copy.deepcopy(generator).requires_grad_(False).eval()
        self.generator_optimizer = _adam(generator, config.generator_lr, config)
        self.critic_optimizer = _adam(critic, config.critic_lr, config)
        self.objective = Objective(config)
        self._gradients = compiled_gradients(self.objective, critic) if config.compiled else self._eager_gradients
        self.done = 0  # iterations
        self.strength = 0.0 if config.adaptive else 1.0  # of the augmentation, see ``gan.augment``
        self.label_strength = 1.0  # as of the last iteration
        self.lr_scale = 1.0  # on both learning rates, lowered after a divergence

    @classmethod
    def on_images(cls, config: Config, data: Labelled, seed: int, device: torch.device) -> "Trainer":
        """A trainer with fresh networks of ``config.family`` on a set of images, every class of which must occur.

        >>> data = Labelled(np.zeros((8, 1, 8, 8), np.uint8), np.arange(8) % 2, classes=2)
        >>> trainer = Trainer.on_images(Config(kimg=1, batch_size=4, width=4), data, 0, torch.device("cpu"))
        >>> dict(zip(FIGURES, trainer.iteration().tolist())).keys() == set(FIGURES)
        True
        """
        _, channels, size, _ = data.images.shape
        shape = Shape(size, channels, data.classes, config.latent_dim, config.width)
        batches = RealImages(data.images, data.labels, data.classes, config.balance, device, config.mirror)
        generator, critic = (fresh_network(config, part, shape, seed).to(device) for part in ("generator", "critic"))
        return cls(config, generator, critic, batches, seed)

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
        self._set_learning_rates(share)
        self._set_label_strength(share)
        self._keep_to_schedule(share)
        given = brought(self._draw(), self.device)
        critic_figures = [self._critic_step(one) for one in given.critic]
        critic_loss, gap, penalty, critic_gradient = torch.stack(critic_figures).mean(dim=0)
        generator_loss, generator_gradient = self._generator_step(given.generator)
        self._average()
        self.done += 1
        return torch.stack([critic_loss, generator_loss, gap, penalty, critic_gradient, generator_gradient])

    def _critic_step(self, given: CriticDraws) -> Tensor:
        config = self.config
        with torch.no_grad(), self.objective.autocast(given.latents):
            fake = self.generator(given.latents, given.labels)
        real = self.seen(self.source.images(given.real), given.of_real)
        fake = self.seen(fake, given.of_fake)
        self.critic_optimizer.zero_grad(set_to_none=True)
        figures = self._gradients(real, fake, given.labels[:: config.packing], given.alpha)
        self.critic_optimizer.step()
        if config.weight_clip:
            _clip(self.critic, config.weight_clip)
        return torch.cat([figures, _gradient_norm(self.critic)])

    def _eager_gradients(self, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor | None) -> Tensor:
        total, figures = self.objective.critic(self.critic, real, fake, labels, alpha)
        total.backward()
        return figures

    def _generator_step(self, given: GeneratorDraws) -> Tensor:
        config, labels = self.config, given.labels
        self.critic.requires_grad_(False)
        with self.objective.autocast(given.latents):
            images = self.generator(given.latents, labels)
        fake, real = self.seen(images, given.of_fake), None
        if given.real is not None and given.of_real is not None:
            real = self.seen(self.source.images(given.real), given.of_real)
        loss = self.objective.generator(self.critic, fake, real, labels[:: config.packing])
        if terms := self.objective.family.generator_terms:
            made = GeneratorStep(given.latents, labels, images, self.done, stream(self.seed, "train.family", self.done))
            for term in terms:
                loss = loss + term(self.generator, made)
        self.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.generator_optimizer.step()
        self.critic.requires_grad_(True)
        return torch.cat([loss.detach().view(1), _gradient_norm(self.generator)])

    @torch.no_grad()
    def _average(self) -> None:
        """The average a ← d a + (1 - d) w of the generator's weights w, with d = 2^(-n / h).

        n are the images of an iteration, h the half-life; it is shorter at the start, to forget the first weights
        (Karras et al. 2022). Buffers of floats are averaged likewise; others, such as counts, are copied.
        """
        config = self.config
        if config.ema_kimg == 0:
            decay = 0.0
        else:
            seen = (self.done + 1) * config.images_per_iteration
            half_life = min(config.ema_kimg * 1000, 0.1 * seen)
            decay = 0.5 ** (config.images_per_iteration / half_life)
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.generator.parameters()), 1 - decay)
        for average, latest in zip(self.ema.buffers(), self.generator.buffers(), strict=True):
            if average.is_floating_point():
                average.lerp_(latest, 1 - decay)
            else:
                average.copy_(latest)

    def adapt(self, overfitting: float | None, images: int) -> None:
        """Moves an adaptive augmentation by how far the critic overfits, if that is known.

        Args:
            overfitting: see ``gan.probe``.
            images: real images since it was moved last.
        """
        if self.config.adaptive and overfitting is not None:
            self.strength = adapted(self.strength, overfitting, images)

    @torch.no_grad()
    def fakes(self, latents: Tensor, labels: Tensor) -> Tensor:
        """What the generator, not its average, draws by now; leaves its state alone. (N, C, H, W) in [-1, 1]."""
        self.generator.eval()
        with self.objective.autocast(latents):
            images = self.generator(latents, labels)
        self.generator.train()
        return images.float()

    # What is drawn -------------------------------------------------------------------------------------------------

    def _draw(self) -> IterationDraws:
        return IterationDraws(tuple(map(self._draw_critic, range(self.config.n_critic))), self._draw_generator())

    def _draw_critic(self, step: int) -> CriticDraws:
        rng = stream(self.seed, "train.critic", self.done, step)
        labels = self._labels(rng)
        real, latents = self.source.draw(labels, rng), self.latents(rng)
        of_real, of_fake = self.changes(rng), self.changes(rng)
        alpha = None
        if self.objective.penalised(self.done * self.config.n_critic + step):
            alpha = torch.rand(self._penalised_part(len(labels) // self.config.packing), generator=rng)
        return CriticDraws(labels, real, latents, of_real, of_fake, alpha)

    def _draw_generator(self) -> GeneratorDraws:
        rng = stream(self.seed, "train.generator", self.done)
        labels = self._labels(rng)
        latents, of_fake = self.latents(rng), self.changes(rng)
        if not self.objective.loss.paired:
            return GeneratorDraws(labels, latents, of_fake, None, None)
        return GeneratorDraws(labels, latents, of_fake, self.source.draw(labels, rng), self.changes(rng))

    def _labels(self, rng: torch.Generator) -> Tensor:
        """Labels of a batch, (batch_size,); each ``packing`` in a row are the same."""
        config = self.config
        return self.source.sample_labels(config.batch_size // config.packing, rng).repeat_interleave(config.packing)

    def latents(self, rng: torch.Generator) -> Tensor:
        """Random vectors for a batch, float32 (batch_size, latent_dim), on the CPU."""
        return torch.randn(self.config.batch_size, self.config.latent_dim, generator=rng)

    def changes(self, rng: torch.Generator) -> Changes:
        """How a batch is augmented by now."""
        return draw_changes(self.config.batch_size, self.config.augment, rng, self.strength)

    # Parts ---------------------------------------------------------------------------------------------------------

    def seen(self, images: Tensor, changes: Changes) -> Tensor:
        """Images as the critic gets them: augmented, and ``packing`` of them stacked along the channels."""
        images = augment(images.float(), changes)
        packed = images.reshape(-1, images.shape[1] * self.config.packing, *images.shape[2:])
        return packed.contiguous(memory_format=torch.channels_last)

    def _penalised_part(self, judged: int) -> int:
        """How many of what the critic judges take the penalty: the share asked for, in whole groups."""
        group = max(1, self.config.minibatch_std)
        return max(1, round(self.config.penalty_fraction * judged / group)) * group

    def _set_learning_rates(self, share: float) -> None:
        config = self.config
        factor = self.lr_scale
        if config.lr_decay:
            factor *= min(1.0, (1 - share) / config.lr_decay)
        if config.lr_warmup:
            factor *= min(1.0, (self.done + 1) * config.images_per_iteration / (1000 * config.lr_warmup))
        self.critic_optimizer.param_groups[0]["lr"] = config.critic_lr * factor
        self.generator_optimizer.param_groups[0]["lr"] = config.generator_lr * factor

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
                schedule(network, share)

    # State ---------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as named tensors."""
        tensors = {"done": torch.tensor(self.done)}
        tensors |= {name: torch.tensor(getattr(self, name), dtype=torch.float64) for name in ("strength", "lr_scale")}
        for name in ("generator", "critic", "ema"):
            tensors |= {f"{name}/{key}": value for key, value in getattr(self, name).state_dict().items()}
        for name in ("generator_optimizer", "critic_optimizer"):
            for index, slots in getattr(self, name).state_dict()["state"].items():
                tensors |= {f"{name}/{index}/{slot}": value for slot, value in slots.items()}
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Takes up what :meth:`state` gave.

        Raises:
            RuntimeError: the tensors belong to other networks.
        """
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            group, _, name = key.partition("/")
            groups.setdefault(group, {})[name] = value
        for name in ("generator", "critic", "ema"):
            getattr(self, name).load_state_dict(groups[name])
        for name in ("generator_optimizer", "critic_optimizer"):
            optimizer = getattr(self, name)
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in groups.get(name, {}).items():
                index, _, slot = key.partition("/")
                slots.setdefault(int(index), {})[slot] = channels_last(value)
            optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
        self.done = int(tensors["done"])
        self.strength, self.lr_scale = float(tensors["strength"]), float(tensors["lr_scale"])


def fresh_network(config: Config, part: str, shape: Shape, seed: int) -> Network:
    """The generator or critic that ``config`` asks for, with weights drawn from a stream of its own."""
    if part == "critic":
        shape = replace(shape, channels=shape.channels * config.packing, minibatch_std=config.minibatch_std)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "train.init", part))
        return build(config.family, part, shape)


def _adam(network: nn.Module, lr: float, config: Config) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=lr, betas=(config.beta1, config.beta2), fused=True)


def _clip(network: nn.Module, bound: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.clamp_(-bound, bound)


def _gradient_norm(network: nn.Module) -> Tensor:
    norms = torch._foreach_norm([p.grad for p in network.parameters() if p.grad is not None])
    return torch.stack(norms).norm().float().view(1)
