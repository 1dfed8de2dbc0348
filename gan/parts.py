"""A batch in parts, for a device that has no room for it at once: the gradients are those of the whole."""

from collections.abc import Callable, Mapping, Sequence, Sized
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from gan.config import Config
from gan.draws import CriticDraws, GeneratorDraws, mapped

LARGE = 256  # pixels a side; fewer images than usual of larger ones are drawn or looked at together
Made = TypeVar("Made")
Step = CriticDraws | GeneratorDraws


class Part(NamedTuple):
    """Some of a batch's draws.

    Attributes:
        draws: of the part.
        weight: its share of the batch's images.
        penalised: by how much the penalty's mean over the part counts more or less than the part does.
        number, of: it is that of so many, counted from 0.
        unit: images that stay together; see :func:`parted`.
        difference: of the mean features over the whole batch, for ``gan.regularisers.feature_matching``.
        means: over the whole batch of what lazy terms measure, by their number; see ``gan.lazy``.
    """

    draws: Any
    weight: float = 1.0
    penalised: float = 1.0
    number: int = 0
    of: int = 1
    unit: int = 1
    difference: Tensor | None = None
    means: Mapping[int, Tensor] = MappingProxyType({})

    @property
    def joint(self) -> list[Tensor]:
        """What is of the whole batch."""
        return [*self.means.values(), *([] if self.difference is None else [self.difference])]

    def among_first(self, some: int, batch: int) -> int:
        """How many of the part's images, its first ones, are among the ``some`` first ones of the batch."""
        starts = range(self.number * self.unit, batch, self.of * self.unit)
        return sum(min(self.unit, max(0, some - start)) for start in starts)


def groups(config: Config) -> int:
    """How many parts a batch can have: what is judged together stays together."""
    return config.batch_size // (config.packing * config.group)


def parted(draws: Step, config: Config, count: int) -> list[Part]:
    """A step's draws in ``count`` parts, equal where the groups of the batch divide by it.

    Each takes every ``count``-th group, so that the penalised ones, which are the first, are spread over all parts. A
    loss is a mean over the batch: the sum of the parts' losses, each times its weight, is the whole one.
    """
    if count == 1:
        return [Part(draws, unit=config.batch_size)]
    found, images = [], config.batch_size // groups(config)
    alpha = draws.alpha if isinstance(draws, CriticDraws) else None
    rest = draws._replace(alpha=None) if isinstance(draws, CriticDraws) else draws
    for first in range(count):
        one = mapped(rest, lambda tensor: _every(tensor, images, first, count))  # noqa: B023
        weight, penalised = len(one.labels) / config.batch_size, 1.0
        if alpha is not None and len(some := _every(alpha, images // config.packing, first, count)):
            one, penalised = one._replace(alpha=some), len(some) / len(alpha) / weight
        found.append(Part(one, weight, penalised, first, count, images))
    return found


def own(tensor: Tensor, config: Config, rank: int, count: int) -> Tensor:
    """The rows of a batch that are one process's of ``count``: every ``count``-th group's, from ``rank``'s on."""
    return tensor if count == 1 else _every(tensor, config.batch_size // groups(config), rank, count)


def own_parts(draws: Step, config: Config, count: int, rank: int, ranks: int) -> list[Part]:
    """One process's share of a step's draws, in ``count`` parts; those of all ``ranks`` together are the whole.

    The real images among the draws are the process's :func:`own` already; all else is the batch's.
    """
    if count * ranks == 1 or draws.real is None:
        return parted(draws, config, count * ranks)[rank::ranks]
    pieces = [own(draws.real, config, number, count) for number in range(count)]
    rest: Step = draws._replace(real=None)  # type: ignore[arg-type]  # until its pieces are put there
    parts = parted(rest, config, count * ranks)[rank::ranks]
    return [part._replace(draws=part.draws._replace(real=real)) for part, real in zip(parts, pieces, strict=True)]


def at_once(count: int, side: int) -> int:
    """``count`` images, or fewer where they are larger than 256x256: as many as have that many pixels.

    >>> at_once(32, 256), at_once(32, 512)
    (32, 8)
    """
    return count if side <= LARGE else max(1, count * LARGE**2 // side**2)


def in_chunks(work: Callable[..., Made], *inputs: Any, at_once: int, unit: int = 1) -> list[Made]:
    """``work`` on one slice of the inputs after another; where the device has no room, on halves of such slices.

    Args:
        inputs: of one length, tensors or arrays.
        at_once: their rows a slice.
        unit: rows that must stay together.

    Raises:
        torch.OutOfMemoryError: there is no room for one unit.
    """
    made: list[Made] = []
    start, count = 0, _length(inputs)
    while start < count:
        try:
            made.append(work(*(one[start : start + at_once] for one in inputs)))
        except torch.OutOfMemoryError:
            if at_once <= unit:
                raise
        else:
            start += at_once
            continue
        at_once = max(1, at_once // 2 // unit) * unit  # here, as the error holds what filled the memory
    return made


def _length(inputs: Sequence[Sized]) -> int:
    return len(inputs[0])


def _every(tensor: Tensor, group: int, first: int, step: int) -> Tensor:
    return tensor.unflatten(0, (-1, group))[first::step].flatten(0, 1)
