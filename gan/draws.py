"""What an iteration is given by chance: drawn on the CPU, the same for every device, and brought there in one copy.

On a device each copy of its own, however small, would cost some ten microseconds and hold the launches up.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from gan.augment import Changes

ALIGNED = 16  # bytes: where a tensor may begin whatever its type
Draws = TypeVar("Draws", bound=tuple)


class CriticDraws(NamedTuple):
    """For a critic step.

    Attributes:
        labels: int64 (N,), of real and fake images.
        real: names the real images, see :meth:`gan.trainer.ImageSource.draw`.
        latents: float32 (N, latent_dim).
        of_real, of_fake: how images are augmented.
        alpha: (n,) in [0, 1], places between real and fake where the penalty is taken; None for no penalty.
    """

    labels: Tensor
    real: Tensor
    latents: Tensor
    of_real: Changes
    of_fake: Changes
    alpha: Tensor | None


class GeneratorDraws(NamedTuple):
    """For a generator step; see :class:`CriticDraws`. Losses that are not paired look at no real images."""

    labels: Tensor
    latents: Tensor
    of_fake: Changes
    real: Tensor | None
    of_real: Changes | None


class IterationDraws(NamedTuple):
    """For ``n_critic`` critic steps and a generator step."""

    critic: tuple[CriticDraws, ...]
    generator: GeneratorDraws


def brought(draws: Draws, device: torch.device) -> Draws:
    """The same tuple of tensors, tuples and None, its tensors on ``device``.

    >>> brought((torch.arange(3), None, (torch.ones(2),)), torch.device("meta"))[2][0].shape
    torch.Size([2])
    """
    if device.type == "cpu":
        return draws
    parts = [_bytes(tensor) for tensor in _tensors(draws)]
    total = sum(map(len, parts))
    # pinned memory is kept for later iterations by torch itself, and none is used again before its copy has ended
    buffer = torch.cat(parts, out=torch.empty(total, dtype=torch.uint8, pin_memory=device.type == "cuda"))
    pieces = iter(buffer.to(device, non_blocking=True).split([len(part) for part in parts]))
    return cast(Draws, _put(draws, pieces))


def _tensors(draws: object) -> Iterator[Tensor]:
    if isinstance(draws, Tensor):
        yield draws
    elif isinstance(draws, tuple):
        for one in draws:
            yield from _tensors(one)


def _bytes(tensor: Tensor) -> Tensor:
    content = tensor.contiguous().view(-1).view(torch.uint8)
    return torch.nn.functional.pad(content, (0, -len(content) % ALIGNED))


def _put(draws: Any, pieces: Iterator[Tensor]) -> Any:
    if isinstance(draws, Tensor):
        return next(pieces)[: draws.nbytes].view(draws.dtype).view(draws.shape)
    if isinstance(draws, tuple):
        put = [_put(one, pieces) for one in draws]
        return type(draws)(*put) if hasattr(draws, "_fields") else tuple(put)
    return draws
