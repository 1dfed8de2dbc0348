"""Adversarial losses: scores in, scalars out."""

from torch import Tensor


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(fake)] - E[D(real)], what the critic minimises (Arjovsky et al. 2017, eq. 3). Scores (N,), (M,)."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-E[D(fake)], what the generator minimises. Scores (N,)."""
    return -fake.mean()
