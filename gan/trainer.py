"""The training loop of the conditional WGAN-GP: one iteration at a time, counted in images.

Every random draw of iteration t comes from streams named after t, so a state holds no random
generator and a resumed run goes on bit for bit.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan import losses
from gan.augment import augment
from gan.batches import Batches
from gan.config import Config
from gan.networks import Network, Shape, build
from gan.penalties import gradient_penalty
from gan.seeds import derive, stream

FIGURES = ("critic_loss", "generator_loss", "wasserstein", "penalty")


class DivergedError(Exception):
    """A loss is not finite any more."""


@dataclass(frozen=True)
class Labelled:
    """A set of real images: uint8 (N, C, H, W), int64 (N,), and how many classes there are."""

    images: np.ndarray
    labels: np.ndarray
    classes: int


class Trainer:
    """Generator, critic, averaged generator and their optimisers; :meth:`iteration` moves them on.

    Args:
        config: the hyper-parameters.
        data: the real train split; every class must occur.
        seed: the project's seed.
        device: where to train.
    """

    def __init__(self, config: Config, data: Labelled, seed: int, device: torch.device) -> None:
        self.config, self.seed, self.device = config, seed, device
        _, channels, size, _ = data.images.shape
        self.shape = Shape(size, channels, data.classes, config.latent_dim, config.width)
        self.generator = self._fresh("generator")
        self.critic = self._fresh("critic")
        self.ema = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.generator_optimizer = _adam(self.generator, config.generator_lr)
        self.critic_optimizer = _adam(self.critic, config.critic_lr)
        self.batches = Batches(data.images, data.labels, data.classes, config.balance, device)
        self.done = 0  # iterations

    # One iteration -----------------------------------------------------------------------------------------------

    def iteration(self) -> Tensor:
        """``n_critic`` critic steps and a generator step.

        Returns:
            float32 (4,), the figures of :data:`FIGURES`, the critic's averaged over its steps; on the device, so that
            reading them is what waits for it.
        """
        self._set_learning_rates()
        critic_figures = [self._critic_step(step) for step in range(self.config.n_critic)]
        critic_loss, wasserstein, penalty = torch.stack(critic_figures).mean(dim=0)
        generator_loss = self._generator_step()
        self._average()
        self.done += 1
        return torch.stack([critic_loss, generator_loss, wasserstein, penalty])

    def _critic_step(self, step: int) -> Tensor:
        config = self.config
        draws = stream(self.seed, "train.critic", self.done, step)
        real, labels = self.batches.draw(config.batch_size, draws)
        with torch.no_grad(), self._autocast():
            fake = self.generator(self._latents(len(real), draws), labels)
        real = augment(real, config.augment, draws)
        fake = augment(fake.float(), config.augment, draws)
        with self._autocast():
            # one pass for both: no layer of the critic looks across the batch
            scores = self.critic(torch.cat([real, fake]), torch.cat([labels, labels])).float()
        loss = losses.wasserstein_critic(*scores.chunk(2))
        part = max(1, round(config.penalty_fraction * len(real)))
        alpha = torch.rand(part, generator=draws).to(self.device)
        penalty = gradient_penalty(self.critic, real[:part], fake[:part], labels[:part], alpha)
        self.critic_optimizer.zero_grad(set_to_none=True)
        (loss + config.penalty_weight * penalty).backward()
        self.critic_optimizer.step()
        return torch.stack([loss + config.penalty_weight * penalty, -loss, penalty]).detach()

    def _generator_step(self) -> Tensor:
        config = self.config
        draws = stream(self.seed, "train.generator", self.done)
        labels = self.batches.draw_labels(config.batch_size, draws).to(self.device)
        self.critic.requires_grad_(False)
        with self._autocast():
            fake = self.generator(self._latents(len(labels), draws), labels)
            scores = self.critic(augment(fake.float(), config.augment, draws), labels).float()
        loss = losses.wasserstein_generator(scores)
        self.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.generator_optimizer.step()
        self.critic.requires_grad_(True)
        return loss.detach()

    @torch.no_grad()
    def _average(self) -> None:
        """EMA with a half-life in images, shorter at the start to forget the first weights (Karras et al. 2022)."""
        config = self.config
        if config.ema_kimg == 0:
            decay = 0.0
        else:
            seen = (self.done + 1) * config.images_per_iteration
            half_life = min(config.ema_kimg * 1000, 0.1 * seen)
            decay = 0.5 ** (config.images_per_iteration / half_life)
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.generator.parameters()), 1 - decay)

    # Parts ---------------------------------------------------------------------------------------------------------

    def _fresh(self, part: str) -> Network:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.seed, "train.init", part))
            network = build(self.config.family, part, self.shape)
        return network.to(self.device)

    def _latents(self, count: int, draws: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.latent_dim, generator=draws).to(self.device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _set_learning_rates(self) -> None:
        config = self.config
        left = 1 - self.done / config.iterations
        factor = min(1.0, left / config.lr_decay) if config.lr_decay else 1.0
        self.critic_optimizer.param_groups[0]["lr"] = config.critic_lr * factor
        self.generator_optimizer.param_groups[0]["lr"] = config.generator_lr * factor

    # State ---------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as named tensors."""
        tensors = {"done": torch.tensor(self.done)}
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
                slots.setdefault(int(index), {})[slot] = value
            optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
        self.done = int(tensors["done"])


def _adam(network: Network, lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=lr, betas=(0.0, 0.9), fused=True)
