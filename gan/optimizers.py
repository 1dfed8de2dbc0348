"""Adam whose moments stay where they are, so that what was recorded of an iteration stays true."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """The fused one, with all of its state in place from the beginning; else its first step would make it."""
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=betas, fused=True)
    for parameter in optimizer.param_groups[0]["params"]:
        optimizer.state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format).detach(),
            "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format).detach(),
        }
    return optimizer


def moments(optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    """Its state by name, ``<parameter's number>/<slot>``."""
    parameters = optimizer.param_groups[0]["params"]
    return {
        f"{index}/{slot}": value
        for index, parameter in enumerate(parameters)
        for slot, value in optimizer.state[parameter].items()
    }


@torch.no_grad()
def load_moments(optimizer: torch.optim.Adam, given: Mapping[str, Tensor]) -> None:
    """Takes up what :func:`moments` gave, in place; nothing stands for a beginning.

    Raises:
        KeyError: a part is missing.
        RuntimeError: a part has another shape.
    """
    for name, held in moments(optimizer).items():
        if not given:
            held.zero_()
        elif given[name].shape != held.shape:
            raise RuntimeError(f"{name}: {tuple(given[name].shape)} in the place of {tuple(held.shape)}")
        else:
            held.copy_(given[name])
