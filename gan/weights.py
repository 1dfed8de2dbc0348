"""What is done with all weights of a network at once."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gan.networks import Network


@torch.no_grad()
def move_average(ema: Network, generator: Network, weight: float | Tensor) -> None:
    """Moves the averaged generator by ``weight`` towards the latest one, see :class:`gan.rates.Rates`.

    Buffers of floats are averaged likewise; others, such as counts, are copied.
    """
    averages: list[Tensor] = list(ema.parameters())
    latest: list[Tensor] = list(generator.parameters())
    if isinstance(weight, Tensor):
        for one, other in zip(averages, latest, strict=True):
            one.lerp_(other, weight.to(one.dtype))
    else:
        torch._foreach_lerp_(averages, latest, weight)
    for average, other in zip(ema.buffers(), generator.buffers(), strict=True):
        if average.is_floating_point():
            average.lerp_(other, weight.to(average.dtype) if isinstance(weight, Tensor) else weight)
        else:
            average.copy_(other)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Within, no gradients are left at the network's parameters."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def clip(network: nn.Module, bound: float) -> None:
    """Holds every weight within ``bound`` of zero."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.clamp_(-bound, bound)


def gradient_norm(network: nn.Module) -> Tensor:
    """The norm over all gradients that there are, float32 (1,)."""
    norms = torch._foreach_norm([p.grad for p in network.parameters() if p.grad is not None])
    return torch.stack(norms).norm().float().view(1)
