"""What may be added to a loss and its penalty, each with a weight of its own and off by default.

Each composes with any loss of ``gan.losses`` and any penalty of ``gan.penalties``. Two of them remember: what they
remember is state of a run, and stays at its address once it was made.
"""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

DECAY = 0.99  # of the averages of scores, a critic step (Tseng et al. 2021)
EFFECTIVE = 0.99  # β of a class's effective number of images (Cui et al. 2019), as Rangwani et al. 2022 set it
SQUARINGS = 6  # 2^6 steps of the power method
TINY = torch.finfo(torch.float32).tiny


class ScoreAverages:
    """Exponential moving averages of the critic's mean scores of real and of fake images.

    Attributes:
        sums: float32 (3,): both averages as they grow from zero, and the weight that they have by now.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.sums = torch.zeros(3, device=device)

    def update(self, real: Tensor, fake: Tensor) -> None:
        """Takes in a step's mean scores, both ()."""
        self.sums.lerp_(torch.stack([real, fake, torch.ones_like(real)]), 1 - DECAY)

    def lecam(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[max(0, r - F)²] + E[max(0, R - f)²] of scores r and f, (N,) each, and their averages R and F.

        After Tseng et al. 2021 (LeCam). Their equation has no maximum, their published code does: where scores lie the
        wrong way round there is nothing to hold back. The first step has no averages yet, and is left alone.
        """
        weight = self.sums[2]
        of_real, of_fake = (self.sums[:2] / weight.clamp_min(TINY)).unbind()
        known = (weight > 0).to(real.dtype)
        return known * (F.relu(real - of_fake).square().mean() + F.relu(of_real - fake).square().mean())


class History:
    """Historical averaging: ‖θ - (1/t) Σ θ_i‖², θ_i a network's weights after step i (Salimans et al. 2016, sec. 3.3).

    Args:
        parameters: θ; the first of the past values is what they are now.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.means = [one.detach().clone(memory_format=torch.preserve_format) for one in parameters]
        self.count = torch.ones((), device=parameters[0].device)

    @torch.no_grad()
    def pull(self, weight: float) -> Tensor:
        """Adds ``weight`` times the gradient to the gradients that are there; returns ``weight`` times the value."""
        rows = zip(self.parameters, self.means, strict=True)
        moved = [(one, one.grad, mean) for one, mean in rows if one.grad is not None]
        parameters, gradients, means = (list(column) for column in zip(*moved, strict=True))
        away = torch._foreach_sub(parameters, means)
        torch._foreach_add_(gradients, away, alpha=2 * weight)
        return weight * torch.stack(torch._foreach_norm(away)).square().sum()

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights as they are after a step."""
        self.count += 1
        for mean, parameter in zip(self.means, self.parameters, strict=True):
            mean.lerp_(parameter, 1 / self.count)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """What it remembers, by name."""
        yield "count", self.count
        yield from ((str(index), mean) for index, mean in enumerate(self.means))


def feature_matching(fake: Tensor, real: Tensor, whole: Tensor | None = None) -> Tensor:
    """‖E f(x) - E f(G(z))‖² of the critic's features (N, F) (Salimans et al. 2016, sec. 3.1), a scalar.

    Args:
        fake, real: features of one batch, or of a part of it.
        whole: of a part: the difference of means (F,) over all of the batch. What the parts give, each times its share
            of the batch, then adds up to the batch's value, and so do the gradients.
    """
    difference = mean_difference(fake, real)
    if whole is None:
        return difference.square().sum()
    return 2 * (whole * difference).sum() - whole.square().sum()


def mean_difference(fake: Tensor, real: Tensor) -> Tensor:
    """E f(G(z)) - E f(x) of features (N, F) each, float32 (F,)."""
    return fake.float().mean(dim=0) - real.float().mean(dim=0)


def class_weights(counts: Tensor) -> Tensor:
    """λ ∝ (1 - β) / (1 - β^n) for classes of n images, int64 (C,): the rarer, the more; their mean is 1."""
    inverse = (1 - EFFECTIVE) / (1 - EFFECTIVE ** counts.double())
    return (inverse / inverse.mean()).float()


def group_spectral(layers: Sequence[tuple[Tensor, ...]], weights: Tensor) -> Tensor:
    """The mean over layers and classes of λ (‖G‖² + ‖B‖²), spectral norms (Rangwani et al. 2022, gSR), a scalar.

    G and B are the gains and biases that a class has in a layer, in rows of one group each, see :func:`groups_of`.

    Args:
        layers: of each layer the vectors that a class has there, float (C, channels) each.
        weights: λ, (C,), see :func:`class_weights`.
    """
    with torch.autocast(weights.device.type, enabled=False):
        found = [(weights * squared_norm(grouped(vectors.float()))).mean() for layer in layers for vectors in layer]
        return torch.stack(found).sum() / len(layers)


def grouped(vectors: Tensor) -> Tensor:
    """(C, channels) to (C, groups, channels / groups)."""
    return vectors.unflatten(1, (groups_of(vectors.shape[1]), -1))


def groups_of(channels: int) -> int:
    """The divisor of ``channels`` that makes groups and channels a group most alike, the smaller of the two.

    >>> [groups_of(channels) for channels in (64, 128, 7)]
    [8, 8, 1]
    """
    return max(rows for rows in range(1, math.isqrt(channels) + 1) if channels % rows == 0)


def squared_norm(matrices: Tensor) -> Tensor:
    """The largest singular values' squares of matrices (C, R, K), (C,), by the power method.

    AAᵀ is squared again and again, from no start that could be wrong, and no state. The value is off by less than what
    two singular values differ by, where they are that near.
    """
    with torch.no_grad():
        power = _scaled(matrices @ matrices.mT)
        for _ in range(SQUARINGS):
            power = _scaled(power @ power)
        best = power.diagonal(dim1=1, dim2=2).argmax(dim=1)
        vector = F.normalize(power.take_along_dim(best[:, None, None], dim=1), dim=2, eps=TINY)  # (C, 1, R)
    return (vector @ matrices).square().sum(dim=(1, 2))


def _scaled(matrices: Tensor) -> Tensor:
    return matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(TINY)
