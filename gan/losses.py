"""Adversarial losses, by name: scores in, scalars out. Each composes with any penalty of ``gan.penalties``.

Below, r stands for the critic's scores of real images and f for those of fake ones, both (N,) and of any scale, and s
for the function s(t) = log(1 + exp(t)). The critic minimises the first part of a loss and the generator the second,
which sees r only where the loss compares the two.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
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
        smoothed: the critic's part where real images are real to 1 - s alone (one-sided label smoothing, Salimans et
            al. 2016, sec. 3.4): real and fake scores, s in [0, 1) to a scalar; None where nothing has a target.
        paired: whether the generator's part looks at the real scores.
        centred: whether the critic learns positive scores for real images and negative ones for fakes.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]
    smoothed: Callable[[Tensor, Tensor, float], Tensor] | None = None
    paired: bool = False
    centred: bool = False


LOSSES = {
    # Arjovsky et al. 2017, eq. 3: E[f] - E[r]; -E[f]
    "wasserstein": Loss(
        critic=lambda real, fake: fake.mean() - real.mean(),
        generator=lambda fake, _: -fake.mean(),
    ),
    # Goodfellow et al. 2014, non-saturating: E[s(-r)] + E[s(f)]; E[s(-f)]
    "logistic": Loss(
        critic=lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        generator=lambda fake, _: F.softplus(-fake).mean(),
        smoothed=lambda real, fake, by: (
            torch.lerp(F.softplus(-real), F.softplus(real), by).mean() + F.softplus(fake).mean()
        ),
        centred=True,
    ),
    # Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17: E[max(0, 1 - r)] + E[max(0, 1 + f)]; -E[f]
    "hinge": Loss(
        critic=lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        generator=lambda fake, _: -fake.mean(),
        centred=True,
    ),
    # Mao et al. 2017, eq. 9 with a = 0, b = c = 1: (E[(r - 1)²] + E[f²]) / 2; E[(f - 1)²] / 2
    "least_squares": Loss(
        critic=lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
        generator=lambda fake, _: (fake - 1).square().mean() / 2,
        smoothed=lambda real, fake, by: ((real - 1 + by).square().mean() + fake.square().mean()) / 2,
    ),
    # Jolicoeur-Martineau 2018, eq. 4, as in R3GAN (Huang et al. 2024): E[s(f - r)]; E[s(r - f)]
    "relativistic": Loss(
        critic=lambda real, fake: F.softplus(fake - real).mean(),
        generator=lambda fake, real: F.softplus(real - fake).mean(),
        paired=True,
    ),
}
