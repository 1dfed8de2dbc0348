"""What critic and generator minimise: loss, penalty and drift put together, pure in the networks' parameters."""

import torch
from torch import Tensor

from gan.config import Config
from gan.losses import LOSSES
from gan.networks import FAMILIES
from gan.penalties import PENALTIES, Critic

PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}
"""What scores and images are computed in, by name; None is the networks' own float32."""


class Objective:
    """What ``config`` says that critic and generator minimise; it has no optimiser and uses no random numbers.

    Attributes:
        penalty_weight: what the penalty is multiplied by, λ k; a number or a tensor (), as it may change with time.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.loss = LOSSES[config.loss]
        self.penalty = PENALTIES[config.penalty]
        self.family = FAMILIES[config.family]
        self.penalty_weight: float | Tensor = config.penalty_weight * config.penalty_every

    def penalised(self, step: int) -> bool:
        """Whether the critic step of this number takes the penalty."""
        return self.penalty is not None and self.config.penalty_weight > 0 and step % self.config.penalty_every == 0

    def critic(
        self,
        critic: Critic,
        real: Tensor,
        fake: Tensor,
        labels: Tensor,
        alpha: Tensor | None,
        penalised: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """The critic's loss L(r, f) + λ k P + ε E[r²] + T, where r and f are the scores of real and fake images.

        L is the loss, P the penalty and λ its weight, k ``penalty_every``, ε ``drift_weight``, and T what the terms of
        the family add.

        Args:
            critic: (N, C, H, W), (N,) to scores (N,).
            real, fake: images (N, C, H, W) of the same labels (N,).
            alpha: (n,) in [0, 1], places between the first pairs, where the penalty is taken; None for no penalty.
            penalised: a factor on P, for a part of a batch, see ``gan.parts``.

        Returns:
            The sum, a scalar with a gradient; and without one (3,): the sum, the gap E[r] - E[f], and P.
        """
        config = self.config
        with self.autocast(real):
            # one pass for both: half the launches, and no layer looks from one half into the other
            scores = critic(torch.cat([real, fake]), torch.cat([labels, labels])).float()
        real_scores, fake_scores = scores.chunk(2)
        total = self.loss.critic(real_scores, fake_scores)
        if config.drift_weight:
            total = total + config.drift_weight * real_scores.square().mean()
        penalty = torch.zeros_like(total)
        if alpha is not None and self.penalty is not None:
            part = slice(len(alpha))
            penalty = self.penalty(critic, real[part], fake[part], labels[part], alpha)
            penalty = penalty if penalised == 1 else penalised * penalty
            total = total + self.penalty_weight * penalty
        for term in self.family.critic_terms:
            total = total + term(critic, real, fake, labels)
        gap = real_scores.mean() - fake_scores.mean()
        return total, torch.stack([total, gap, penalty]).detach()

    def generator(self, critic: Critic, fake: Tensor, real: Tensor | None, labels: Tensor) -> Tensor:
        """What the generator minimises, a scalar; ``real`` is looked at by paired losses alone."""
        with self.autocast(fake):
            scores = critic(fake, labels).float()
            if real is None:
                return self.loss.generator(scores, scores)
            with torch.no_grad():
                real_scores = critic(real, labels).float()
        return self.loss.generator(scores, real_scores)

    def autocast(self, images: Tensor) -> torch.autocast:
        """The precision of everything but penalties."""
        dtype = PRECISIONS[self.config.precision]
        return torch.autocast(images.device.type, dtype, enabled=dtype is not None)
