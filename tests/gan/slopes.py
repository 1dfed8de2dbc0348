"""Derivatives of what is differentiated twice, against differences of its values."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def slope(value: Callable[[], Tensor], parameters: Sequence[Tensor]) -> tuple[float, float]:
    """The derivative along a random direction of the parameters: by autograd, and by a central difference."""
    directions = [torch.randn_like(one) for one in parameters]
    gradients = torch.autograd.grad(value(), parameters, allow_unused=True)  # a last bias has none
    found = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None)
    ends = []
    for step in (1e-6, -2e-6, 1e-6):
        ends.append(value().detach())
        with torch.no_grad():
            for one, direction in zip(parameters, directions, strict=True):
                one += step * direction
    return float(found), float((ends[1] - ends[2]) / 2e-6)
