"""The numbers that an iteration goes by, which change as the budget is spent."""

from typing import NamedTuple

import torch
from torch import Tensor

from gan.config import Config


class Rates(NamedTuple):
    """Plain numbers; or tensors (), for an iteration that must find them at fixed addresses.

    Attributes:
        critic, generator: learning rates.
        average: how far the averaged generator goes towards the latest one, in [0, 1].
    """

    critic: float | Tensor
    generator: float | Tensor
    average: float | Tensor

    def tensors(self, device: torch.device) -> "Rates":
        """The same as tensors on the CPU, of the types that go with networks on ``device``.

        The fused optimiser reads a learning rate as a double on a processor, and as a float elsewhere.
        """
        kind = torch.float64 if device.type == "cpu" else torch.float32
        critic, generator = (torch.as_tensor(rate, dtype=kind) for rate in (self.critic, self.generator))
        return Rates(critic, generator, torch.as_tensor(self.average, dtype=torch.float32))


def rates_at(config: Config, done: int, share: float, scale: float) -> Rates:
    """Those of the iteration after ``done`` others.

    Args:
        share: of the budget that is spent, in [0, 1].
        scale: on both learning rates.
    """
    factor = scale
    if config.lr_decay:
        factor *= min(1.0, (1 - share) / config.lr_decay)
    if config.lr_warmup:
        factor *= min(1.0, (done + 1) * config.images_per_iteration / (1000 * config.lr_warmup))
    return Rates(config.critic_lr * factor, config.generator_lr * factor, 1 - _decay(config, done))


def _decay(config: Config, done: int) -> float:
    """The d of the average a ← d a + (1 - d) w of the generator's weights w, with d = 2^(-n / h).

    n are the images of an iteration, h the half-life; it is shorter at the start, to forget the first weights (Karras
    et al. 2022).
    """
    if config.ema_kimg == 0:
        return 0.0
    half_life = min(config.ema_kimg * 1000, 0.1 * (done + 1) * config.images_per_iteration)
    return 0.5 ** (config.images_per_iteration / half_life)
