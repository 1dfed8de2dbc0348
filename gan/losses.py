"""Adversarial losses, by name: scores in, scalars out. Each composes with any penalty of ``gan.penalties``.

Scores are (N,) for real images and for fake ones, of any scale; the critic minimises the first function of a pair, the
generator the second, which sees the real scores only where the loss compares the two.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class Loss(NamedTuple):
    """What critic and generator minimise.

    >>> import torch
    >>> LOSSES["wasserstein"].critic(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 1.0])).item()
    -2.0

    Attributes:
        critic: real and fake scores (N,), (N,) to a scalar.
        generator: fake and real scores to a scalar.
        paired: whether the generator's part looks at the real scores.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    paired: bool = False


LOSSES = {
    # Arjovsky et al. 2017, eq. 3
    "wasserstein": Loss(
        critic=lambda real, fake: fake.mean() - real.mean(),
        generator=lambda fake, _: -fake.mean(),
    ),
    # Goodfellow et al. 2014, non-saturating: binary cross-entropy on scores as logits
    "logistic": Loss(
        critic=lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        generator=lambda fake, _: F.softplus(-fake).mean(),
    ),
    # Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17
    "hinge": Loss(
        critic=lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        generator=lambda fake, _: -fake.mean(),
    ),
    # Mao et al. 2017, eq. 9 with a = 0, b = c = 1
    "least_squares": Loss(
        critic=lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
        generator=lambda fake, _: (fake - 1).square().mean() / 2,
    ),
    # Jolicoeur-Martineau 2018, eq. 4 with the logistic function; as in R3GAN (Huang et al. 2024)
    "relativistic": Loss(
        critic=lambda real, fake: F.softplus(fake - real).mean(),
        generator=lambda fake, real: F.softplus(real - fake).mean(),
        paired=True,
    ),
}
