"""What critic and generator minimise: loss, penalty and drift put together, pure in the networks' parameters."""

import torch
from torch import Tensor, nn

from gan.config import Config
from gan.losses import LOSSES
from gan.networks import FAMILIES, Network
from gan.networks.additions import scores_and_features
from gan.penalties import PENALTIES, Critic
from gan.regularisers import ScoreAverages, class_weights, feature_matching, group_spectral, mean_difference

PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}
"""What scores and images are computed in, by name; None is the networks' own float32."""


class Objective:
    """What ``config`` says that critic and generator minimise; it has no optimiser and uses no random numbers.

    Args:
        config: the hyper-parameters.
        counts: images a class, for ``spectral_weight``; None where all have as many.
        device: of what it remembers.

    Attributes:
        averages: of the critic's scores, with ``lecam``; moved by whoever makes a step.
        class_weights: of ``spectral_weight``, float32 (classes,) or (1,).
        penalty_weight: what the penalty is multiplied by, λ k; a number or a tensor (), as it may change with time.
    """

    def __init__(self, config: Config, counts: Tensor | None = None, device: torch.device | str = "cpu") -> None:
        self.config = config
        self.loss = LOSSES[config.loss]
        self.penalty = PENALTIES[config.penalty]
        self.family = FAMILIES[config.family]
        self.averages = ScoreAverages(device) if config.lecam else None
        self.class_weights = class_weights(torch.ones(1) if counts is None else counts).to(device)
        self.penalty_weight: float | Tensor = config.penalty_weight * config.penalty_every

    @property
    def sees_real(self) -> bool:
        """Whether a step of the generator looks at real images."""
        return self.loss.paired or self.config.feature_matching > 0

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
        """The critic's loss L(r, f) + λ k P + ε E[r²] + μ R + T, where r and f are the scores of real and fake images.

        L is the loss, P the penalty and λ its weight, k ``penalty_every``, ε ``drift_weight``, μ R what ``lecam`` adds,
        and T what the terms of the family add.

        Args:
            critic: (N, C, H, W), (N,) to scores (N,).
            real, fake: images (N, C, H, W) of the same labels (N,).
            alpha: (n,) in [0, 1], places between the first pairs, where the penalty is taken; None for no penalty.
            penalised: a factor on P, for a part of a batch, see ``gan.parts``.

        Returns:
            The sum, a scalar with a gradient; and without one (5,): the sum, the gap E[r] - E[f], P, E[r] and E[f].
        """
        config = self.config
        with self.autocast(real):
            # one pass for both: half the launches, and no layer looks from one half into the other
            scores = critic(torch.cat([real, fake]), torch.cat([labels, labels])).float()
        real_scores, fake_scores = scores.chunk(2)
        total = self._loss(real_scores, fake_scores)
        if config.drift_weight:
            total = total + config.drift_weight * real_scores.square().mean()
        if self.averages is not None:
            total = total + config.lecam * self.averages.lecam(real_scores, fake_scores)
        penalty = torch.zeros_like(total)
        if alpha is not None and self.penalty is not None:
            part = slice(len(alpha))
            penalty = self.penalty(critic, real[part], fake[part], labels[part], alpha)
            penalty = penalty if penalised == 1 else penalised * penalty
            total = total + self.penalty_weight * penalty
        for term in self.family.critic_terms:
            total = total + term(critic, real, fake, labels)
        means = real_scores.mean(), fake_scores.mean()
        return total, torch.stack([total, means[0] - means[1], penalty, *means]).detach()

    def _loss(self, real: Tensor, fake: Tensor) -> Tensor:
        by = self.config.label_smoothing
        return self.loss.smoothed(real, fake, by) if by and self.loss.smoothed else self.loss.critic(real, fake)

    def generator(
        self, critic: nn.Module, fake: Tensor, real: Tensor | None, labels: Tensor, whole: Tensor | None = None
    ) -> Tensor:
        """What the generator minimises by its images, a scalar.

        Args:
            critic: see :meth:`critic`.
            fake: images (N, C, H, W), with a gradient.
            real: the same where :attr:`sees_real`, else None.
            labels: of both, (N,).
            whole: of a part of a batch, see :func:`gan.regularisers.feature_matching`.
        """
        if real is not None and self.config.feature_matching:
            scores, features, real_scores, real_features = self._judged(critic, fake, real, labels)
            matching = feature_matching(features, real_features, whole)
            return self.loss.generator(scores, real_scores) + self.config.feature_matching * matching
        with self.autocast(fake):
            scores = critic(fake, labels).float()
            if real is None:
                return self.loss.generator(scores, scores)
            with torch.no_grad():
                real_scores = critic(real, labels).float()
        return self.loss.generator(scores, real_scores)

    def features_apart(self, critic: nn.Module, fake: Tensor, real: Tensor, labels: Tensor) -> Tensor:
        """How far the critic's mean features of fake images are from those of real ones, (F,)."""
        _, features, _, real_features = self._judged(critic, fake, real, labels)
        return mean_difference(features, real_features)

    def _judged(
        self, critic: nn.Module, fake: Tensor, real: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        with self.autocast(fake):
            scores, features = scores_and_features(critic, fake, labels)
            with torch.no_grad():
                real_scores, real_features = scores_and_features(critic, real, labels)
        return scores.float(), features, real_scores.float(), real_features

    def generator_weights(self, generator: Network) -> Tensor | None:
        """What the generator minimises by its weights alone, a scalar; None for nothing."""
        if not self.config.spectral_weight or self.family.modulations is None:
            return None
        return self.config.spectral_weight * group_spectral(self.family.modulations(generator), self.class_weights)

    def autocast(self, images: Tensor) -> torch.autocast:
        """The precision of everything but penalties."""
        dtype = PRECISIONS[self.config.precision]
        return torch.autocast(images.device.type, dtype, enabled=dtype is not None)
