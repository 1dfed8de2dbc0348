"""Gradient penalties on a critic."""

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor, Tensor], Tensor]
ROOT_EPSILON = 1e-12


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
    """The two-sided penalty of WGAN-GP, E[(||grad D(x, y)||_2 - 1)^2] (Gulrajani et al. 2017, eq. 3).

    It stays in float32 under autocast: squaring and differentiating once more leaves too little of bfloat16's 8 bits.

    Args:
        critic: (N, C, H, W), (N,) to scores (N,).
        real, fake: images (N, C, H, W); neither receives a gradient.
        labels: int64 (N,), the same for real, fake and what lies between.
        alpha: (N,) in [0, 1], one an image: 0 is the real image, 1 the fake one.

    Returns:
        A scalar whose gradient reaches the critic's parameters.
    """
    with torch.autocast(real.device.type, enabled=False):
        real, fake = (images.to(torch.promote_types(images.dtype, torch.float32)) for images in (real, fake))
        mixed = torch.lerp(real, fake, alpha.view(-1, 1, 1, 1)).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(mixed, labels).sum(), mixed, create_graph=True)
        # the epsilon keeps the derivative of the root finite where the gradient vanishes
        norm = (gradient.flatten(1).square().sum(dim=1) + ROOT_EPSILON).sqrt()
        return (norm - 1).square().mean()
