"""The numbers that an iteration goes by, which change as the budget is spent."""

from typing import NamedTuple

import torch
from torch import Tensor

from gan.config import Config

BETA2_STEPS = 8  # from its start to its end


class Rates(NamedTuple):
    """Plain numbers; or tensors (), for an iteration that must find them at fixed addresses.

    Attributes:
        critic, generator: learning rates.
        average: how far the averaged generator goes towards the latest one, in [0, 1].
        penalty: what the penalty is multiplied by: its weight, as often as it is not taken.
        beta2: of Adam, a plain number always, as torch's kernel takes no tensor: each is a layout of its own.
    """

    critic: float | Tensor
    generator: float | Tensor
    average: float | Tensor
    penalty: float | Tensor
    beta2: float

    def tensors(self, device: torch.device) -> "Rates":
        """The same as tensors on the CPU, of the types that go with networks on ``device``.

        The fused optimiser reads a learning rate as a double on a processor, and as a float elsewhere.
        """
        kind = torch.float64 if device.type == "cpu" else torch.float32
        critic, generator = (torch.as_tensor(rate, dtype=kind) for rate in (self.critic, self.generator))
        average, penalty = (torch.as_tensor(rate, dtype=torch.float32) for rate in (self.average, self.penalty))
        return Rates(critic, generator, average, penalty, self.beta2)


def rates_at(config: Config, done: int, share: float, scale: float) -> Rates:
    """Those of the iteration after ``done`` others.

    Args:
        share: of the budget that is spent, in [0, 1].
        scale: on both learning rates.
    """
    factor = scale * config.annealed(share, 1.0, config.lr_end)
    if config.lr_decay:
        factor *= min(1.0, (1 - share) / config.lr_decay)
    if config.lr_warmup:
        factor *= min(1.0, (done + 1) * config.images_per_iteration / (1000 * config.lr_warmup))
    return Rates(
        critic=config.critic_lr * factor,
        generator=config.generator_lr * factor,
        average=1 - _decay(config, done, share),
        penalty=config.penalty_weight * config.penalty_every * config.annealed(share, 1.0, config.penalty_end),
        beta2=_beta2(config, share),
    )


def _beta2(config: Config, share: float) -> float:
    """In a few steps, as an iteration that is recorded holds one value."""
    if config.beta2_end is None or not config.burn_in:
        return config.beta2
    done = round(BETA2_STEPS * config.annealed(share, 0.0, 1.0)) / BETA2_STEPS
    return config.beta2 + (config.beta2_end - config.beta2) * done


def _decay(config: Config, done: int, share: float) -> float:
    """The d of the average a ← d a + (1 - d) w of the generator's weights w, with d = 2^(-n / h).

    n are the images of an iteration, h the half-life; it is shorter at the start, to forget the first weights (Karras
    et al. 2022).
    """
    longest = config.ema_kimg * 1000 * config.annealed(share, config.ema_start, 1.0)
    half_life = min(longest, 0.1 * (done + 1) * config.images_per_iteration)
    if half_life == 0:
        return 0.0
    return 0.5 ** (config.images_per_iteration / half_life)
