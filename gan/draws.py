"""What an iteration is given by chance: drawn on the CPU, the same for every device, and brought there in one copy.

On a device each copy of its own, however small, would cost some ten microseconds and hold the launches up.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from gan.augment import Changes

ALIGNED = 64  # bytes: where a tensor may begin whatever its type, as torch's own do on a processor
Draws = TypeVar("Draws", bound=tuple)


class CriticDraws(NamedTuple):
    """For a critic step.

    Attributes:
        labels: int64 (N,), of real and fake images.
        real: names the real images, see :meth:`gan.shown.ImageSource.draw`, or their pixels where these are not on the
            device; (N,), or this process's part of them where several share a batch.
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
    """For a generator step; see :class:`CriticDraws`. Losses that are not paired look at no real images.

    Attributes:
        terms: numbers of the family's terms that the step takes.
    """

    labels: Tensor
    latents: Tensor
    of_fake: Changes
    real: Tensor | None
    of_real: Changes | None
    terms: tuple[int, ...] = ()


class IterationDraws(NamedTuple):
    """For ``n_critic`` critic steps and a generator step."""

    critic: tuple[CriticDraws, ...]
    generator: GeneratorDraws


def brought(draws: Draws, device: torch.device) -> Draws:
    """The same tuple of tensors, tuples and None, its tensors on ``device``, all in one copy but for pinned ones.

    >>> brought((torch.arange(3), None, (torch.ones(2),)), torch.device("meta"))[2][0].shape
    torch.Size([2])
    """
    if device.type == "cpu":
        return draws
    direct = device.type == "cuda"
    pieces = _packed(draws, device).to(device, non_blocking=direct).split(_sizes(draws))
    return cast(Draws, _put(draws, iter(pieces), lambda pinned: pinned.to(device, non_blocking=direct)))


class Place(Generic[Draws]):
    """Memory on a device for draws of one layout.

    Args:
        like: such draws.

    Attributes:
        content: what it was filled with last, always at the same addresses.
    """

    def __init__(self, like: Draws, device: torch.device) -> None:
        self._device, sizes = device, _sizes(like)
        self._bytes = torch.zeros(sum(sizes), dtype=torch.uint8, device=device)
        self._alone = [torch.zeros_like(tensor, device=device) for tensor in _tensors(like, alone=True)]
        alone = iter(self._alone)
        self.content = cast(Draws, _put(like, iter(self._bytes.split(sizes)), lambda _: next(alone)))

    def fill(self, draws: Draws) -> None:
        """Puts draws of the same layout there, in one copy but for what is large and pinned."""
        direct = self._device.type == "cuda"
        self._bytes.copy_(_packed(draws, self._device), non_blocking=direct)
        for place, tensor in zip(self._alone, _tensors(draws, alone=True), strict=True):
            place.copy_(tensor, non_blocking=direct)


def layout(draws: object) -> Hashable:
    """What is equal for draws that a :class:`Place` can take in turn: shapes and types."""
    if isinstance(draws, Tensor):
        return draws.shape, draws.dtype
    return tuple(map(layout, draws)) if isinstance(draws, tuple) else draws


def mapped(draws: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same tuple of tensors, tuples and None, each tensor changed."""
    if isinstance(draws, Tensor):
        return change(draws)
    if isinstance(draws, tuple):
        made = [mapped(one, change) for one in draws]
        return type(draws)(*made) if hasattr(draws, "_fields") else tuple(made)
    return draws


def _packed(draws: object, device: torch.device) -> Tensor:
    # pinned memory is kept for later iterations by torch itself, and none is used again before its copy has ended
    total, pinned = sum(_sizes(draws)), device.type == "cuda"
    return torch.cat(list(map(_bytes, _tensors(draws))), out=torch.empty(total, dtype=torch.uint8, pin_memory=pinned))


def _sizes(draws: object) -> list[int]:
    return [tensor.nbytes + -tensor.nbytes % ALIGNED for tensor in _tensors(draws)]


def _goes_alone(tensor: Tensor) -> bool:
    """Pixels that are in pinned memory already go from there: to pack them too would copy them once more."""
    return tensor.is_pinned()


def _tensors(draws: object, alone: bool = False) -> Iterator[Tensor]:
    """Those that are packed, or those that go ``alone``."""
    if isinstance(draws, Tensor):
        if _goes_alone(draws) == alone:
            yield draws
    elif isinstance(draws, tuple):
        for one in draws:
            yield from _tensors(one, alone)


def _bytes(tensor: Tensor) -> Tensor:
    content = tensor.contiguous().view(-1).view(torch.uint8)
    return torch.nn.functional.pad(content, (0, -len(content) % ALIGNED))


def _put(draws: object, pieces: Iterator[Tensor], alone: Callable[[Tensor], Tensor]) -> Any:
    def placed(tensor: Tensor) -> Tensor:
        if _goes_alone(tensor):
            return alone(tensor)
        return next(pieces)[: tensor.nbytes].view(tensor.dtype).view(tensor.shape)

    return mapped(draws, placed)
