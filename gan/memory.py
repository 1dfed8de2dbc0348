"""How much memory an iteration takes: counted on small batches, told for the real one."""

import weakref
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan.config import Config
from gan.networks import Shape
from gan.parts import at_once
from gan.trainer import Trainer, fresh_network


def peak_bytes(config: Config, shape: Shape, device: torch.device) -> int:
    """The most bytes of tensors alive at once: weights, optimisers' state, gradients and activations.

    It is counted in iterations on a quarter and on half of the batch, of large images on fewer, and told from there
    by a straight line: what a batch adds is in proportion to its size. Working memory within an operation, and what the
    allocator keeps, come on top.

    Args:
        config: the hyper-parameters; compilation is left out, which can only save.
        shape: the networks' sizes, for unpacked images.
        device: where to run.
    """
    group = config.packing * config.group
    groups = config.batch_size // group
    if groups < 4:
        return _counted(config, shape, device)
    few = at_once(groups // 4, shape.image_size)
    small, large = few * group, (groups // 2 if few == groups // 4 else 2 * few) * group
    low, high = (_counted(replace(config, batch_size=size), shape, device) for size in (small, large))
    return low + (high - low) * (config.batch_size - small) // (large - small)


def _counted(config: Config, shape: Shape, device: torch.device) -> int:
    with _Living() as living:
        generator, critic = (fresh_network(config, part, shape, 0).to(device) for part in ("generator", "critic"))
        trainer = Trainer(replace(config, compiled=False), generator, critic, _Blank(shape), 0)
        for _ in range(2):  # the second finds the optimisers' state in place
            trainer.done = 0  # when lazy penalties and terms are taken
            trainer.iteration(1.0)  # the end of the budget, when a growing network has its full size
    return living.peak


class _Blank:
    """A source of grey images of class 0."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:  # noqa: ARG002
        return torch.zeros(count, dtype=torch.int64)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:  # noqa: ARG002
        return labels

    def images(self, drawn: Tensor) -> Tensor:
        side = self.shape.image_size
        return torch.zeros(len(drawn), self.shape.channels, side, side, device=drawn.device)


class _Living(TorchDispatchMode):
    """Counts the bytes of every storage made while it is active, until it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """To leave torch's compiler alone, torch would load it, which takes some seconds; nothing is compiled here."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size
