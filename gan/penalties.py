"""Gradient penalties on a critic, by name. Each composes with any loss of ``gan.losses``.

All of them stay in float32 under autocast: squaring and differentiating once more leaves too little of bfloat16's
8 bits.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor, Tensor], Tensor]
Penalty = Callable[[Critic, Tensor, Tensor, Tensor, Tensor], Tensor]
ROOT_EPSILON = 1e-12


def two_sided(critic: Critic, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
    """WGAN-GP's E[(‖∇ₓ D(x, y)‖₂ - 1)²], x between a real and a fake image (Gulrajani et al. 2017, eq. 3).

    >>> images, labels = torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)
    >>> steep = lambda x, y: 3 * x.sum(dim=(1, 2, 3))  # the gradient's length is 3 * 4^½ = 6
    >>> round(two_sided(steep, images, images + 1, labels, torch.rand(4)).item(), 3)
    25.0

    Args:
        critic: (N, C, H, W), (N,) to scores (N,).
        real, fake: images (N, C, H, W); neither receives a gradient.
        labels: int64 (N,), the same for real, fake and what lies between.
        alpha: (N,) in [0, 1], one an image: 0 is the real image, 1 the fake one.

    Returns:
        A scalar whose gradient reaches the critic's parameters.
    """
    return (_norm(_between(critic, real, fake, labels, alpha)) - 1).square().mean()


def one_sided(critic: Critic, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
    """WGAN-LP's E[max(0, ‖∇ₓ D(x, y)‖₂ - 1)²] (Petzka et al. 2018, eq. 8); see :func:`two_sided`."""
    return (_norm(_between(critic, real, fake, labels, alpha)) - 1).relu().square().mean()


def r1(critic: Critic, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:  # noqa: ARG001
    """E[‖∇ₓ D(x, y)‖²] / 2 over real images x (Mescheder et al. 2018, eq. 9); see :func:`two_sided`."""
    return _squared(image_gradient(critic, real, labels)).mean() / 2


def r2(critic: Critic, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:  # noqa: ARG001
    """E[‖∇ₓ D(x, y)‖²] / 2 over fake images x (Mescheder et al. 2018, eq. 10); see :func:`two_sided`."""
    return _squared(image_gradient(critic, fake, labels)).mean() / 2


def r1_r2(critic: Critic, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:  # noqa: ARG001
    """The sum of :func:`r1` and :func:`r2`, as R3GAN takes it (Huang et al. 2024); see :func:`two_sided`."""
    both = image_gradient(critic, torch.cat([real, fake]), torch.cat([labels, labels]))
    return _squared(both).mean()


PENALTIES: dict[str, Penalty | None] = {
    "two_sided": two_sided,
    "one_sided": one_sided,
    "r1": r1,
    "r2": r2,
    "r1_r2": r1_r2,
    "none": None,
}


def image_gradient(critic: Critic, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of each image's score towards the image, float32 (N, C, H, W), differentiable once more."""
    with torch.autocast(images.device.type, enabled=False):
        images = images.detach().to(torch.promote_types(images.dtype, torch.float32))
        if torch.compiler.is_compiling():  # autograd.grad breaks the graph; eager it is the faster of the two
            return torch.func.grad(lambda x: critic(x, labels).sum())(images)
        images.requires_grad_()
        (gradient,) = torch.autograd.grad(critic(images, labels).sum(), images, create_graph=True)
        return gradient


def _between(critic: Critic, real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
    real, fake = (images.to(torch.promote_types(images.dtype, torch.float32)) for images in (real, fake))
    return image_gradient(critic, torch.lerp(real, fake, alpha.view(-1, 1, 1, 1)), labels)


def _squared(gradient: Tensor) -> Tensor:
    return gradient.flatten(1).square().sum(dim=1)


def _norm(gradient: Tensor) -> Tensor:
    # the epsilon keeps the derivative of the root finite where the gradient vanishes
    return (_squared(gradient) + ROOT_EPSILON).sqrt()
