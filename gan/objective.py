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


Pair = tuple[Tensor, Tensor]
"""Real and fake images, (N, C, H, W) each."""


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
        low: Pair | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The critic's loss L(r, f) + λ k P + ε E[r²] + μ R + T, where r and f are the scores of real and fake images.

        L is the loss, P the penalty and λ its weight, k ``penalty_every``, ε ``drift_weight``, μ R what ``lecam`` adds,
        and T what the terms of the family add. With w, the ``unlabelled_weight``, that is O in (O + w U) / (1 + w), and
        U is L + λ k P + ε E[r²] of smaller images, whose scores have no label (Khorram et al. 2024, in whose code U is
        L alone and P is not divided; Wasserstein's loss has no bound without a penalty).

        Args:
            critic: (N, C, H, W), (N,) to scores (N,).
            real, fake: images (N, C, H, W) of the same labels (N,).
            alpha: (n,) in [0, 1], places between the first pairs, where the penalty is taken; None for no penalty.
            penalised: a factor on P, for a part of a batch, see ``gan.parts``.
            low: such smaller images, real and fake ones, as many as of the others.

        Returns:
            The sum, a scalar with a gradient; and without one (5,): the sum, the gap E[r] - E[f], P, E[r] and E[f].
        """
        total, real_scores, fake_scores = self._told_apart(critic, real, fake, labels)
        if self.averages is not None:
            total = total + self.config.lecam * self.averages.lecam(real_scores, fake_scores)
        penalty = torch.zeros_like(total)
        if alpha is not None:
            penalty = self._penalty(critic, real, fake, labels, alpha, penalised)
            total = total + self.penalty_weight * penalty
        for term in self.family.critic_terms:
            total = total + term(critic, real, fake, labels)
        if low is not None:
            total = self._with_low(total, self._of_low(critic, low, labels, alpha, penalised))
        means = real_scores.mean(), fake_scores.mean()
        return total, torch.stack([total, means[0] - means[1], penalty, *means]).detach()

    def _told_apart(self, critic: Critic, real: Tensor, fake: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """L + ε E[r²], r and f."""
        with self.autocast(real):
            # one pass for both: half the launches, and no layer looks from one half into the other
            scores = critic(torch.cat([real, fake]), torch.cat([labels, labels])).float()
        real_scores, fake_scores = scores.chunk(2)
        total = self._loss(real_scores, fake_scores)
        if self.config.drift_weight:
            total = total + self.config.drift_weight * real_scores.square().mean()
        return total, real_scores, fake_scores

    def _penalty(
        self, critic: Critic, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor, penalised: float
    ) -> Tensor:
        if self.penalty is None:
            return torch.zeros((), device=real.device)
        part = slice(len(alpha))
        penalty = self.penalty(critic, real[part], fake[part], labels[part], alpha)
        return penalty if penalised == 1 else penalised * penalty

    def _of_low(self, critic: Critic, low: Pair, labels: Tensor, alpha: Tensor | None, penalised: float) -> Tensor:
        """U: places between the images are those of the whole ones."""
        unlabelled = _without_labels(critic)
        total = self._told_apart(unlabelled, *low, labels)[0]
        if alpha is not None:
            total = total + self.penalty_weight * self._penalty(unlabelled, *low, labels, alpha, penalised)
        return total

    def _with_low(self, total: Tensor, of_low: Tensor) -> Tensor:
        weight = self.config.unlabelled_weight
        return (total + weight * of_low) / (1 + weight)

    def _loss(self, real: Tensor, fake: Tensor) -> Tensor:
        by = self.config.label_smoothing
        return self.loss.smoothed(real, fake, by) if by and self.loss.smoothed else self.loss.critic(real, fake)

    def generator(
        self,
        critic: nn.Module,
        fake: Tensor,
        real: Tensor | None,
        labels: Tensor,
        whole: Tensor | None = None,
        low: tuple[Tensor | None, Tensor] | None = None,
    ) -> Tensor:
        """What the generator minimises by its images, a scalar; smaller ones count as in the critic's loss.

        Args:
            critic: see :meth:`critic`.
            fake: images (N, C, H, W), with a gradient.
            real: the same where :attr:`sees_real`, else None.
            labels: of both, (N,).
            whole: of a part of a batch, see :func:`gan.regularisers.feature_matching`.
            low: smaller real images, if those are asked for, and fake ones.
        """
        total = self._of_generated(critic, fake, real, labels, whole)
        if low is None:
            return total
        return self._with_low(total, self._judged_alone(_without_labels(critic), low[1], low[0], labels))

    def _of_generated(
        self, critic: nn.Module, fake: Tensor, real: Tensor | None, labels: Tensor, whole: Tensor | None
    ) -> Tensor:
        if real is not None and self.config.feature_matching:
            scores, features, real_scores, real_features = self._judged(critic, fake, real, labels)
            matching = feature_matching(features, real_features, whole)
            return self.loss.generator(scores, real_scores) + self.config.feature_matching * matching
        return self._judged_alone(critic, fake, real, labels)

    def _judged_alone(self, critic: Critic, fake: Tensor, real: Tensor | None, labels: Tensor) -> Tensor:
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


def _without_labels(critic: Critic) -> Critic:
    """The critic of the smaller images: its labels count for nothing."""
    return lambda images, _: critic(images, None)  # type: ignore[arg-type]
