"""Several processes that train one GAN: each takes its part of every batch, and their gradients are added up.

The processes are those of ``torchrun``, one a GPU or some of the cores, on one machine or on many. All of them draw the
same random numbers, and each takes every W-th group of what was drawn, so that W processes see just what one sees.
Torch's own wrapper is not used: it hooks into one backward pass, where a gradient penalty takes two.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")

PATIENCE = timedelta(hours=6)  # while one judges and writes, the others wait for it


class Ranks:
    """The processes of a run as one of them sees it; without further ones all that it adds up is its own.

    Attributes:
        rank: its number; number 0 decides, writes and says.
        count: how many there are.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count
        # decisions go by the processors even where gradients go from GPU to GPU: nothing waits for a device
        spoken = dist.new_group(backend="gloo", timeout=PATIENCE) if count > 1 else None
        self._spoken = cast("dist.ProcessGroup | None", spoken)

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.count == 1

    @torch.no_grad()
    def add(self, tensors: list[Tensor]) -> None:
        """Puts in the place of each tensor the sum of those of all processes, by one flat all-reduce.

        Args:
            tensors: of one device, of the same shapes everywhere.
        """
        if self.alone or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        pieces = flat.split([tensor.numel() for tensor in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view(tensor.shape))

    @torch.no_grad()
    def average(self, tensors: list[Tensor]) -> None:
        """The same for the mean, of floats; what is the same everywhere stays so to the bit."""
        if self.alone or not tensors:
            return
        exact = [
            tensor.double() for tensor in tensors
        ]  # twice the digits hold the sum of equal floats without rounding
        self.add(exact)
        for tensor, total in zip(tensors, exact, strict=True):
            tensor.copy_(total / self.count)

    def any(self, happened: bool) -> bool:
        """Whether something happened to one process at least."""
        if self.alone:
            return happened
        seen = torch.tensor(int(happened))
        dist.all_reduce(seen, op=dist.ReduceOp.MAX, group=self._spoken)
        return bool(seen)

    def tell(self, numbers: Tensor) -> Tensor:
        """Numbers of process 0, on the CPU, to all: in place, and returned. The others bring tensors of that shape."""
        if not self.alone:
            dist.broadcast(numbers, 0, group=self._spoken)
        return numbers

    def gather(self, value: Value) -> list[Value]:
        """What each process brings, in their order; it can be pickled."""
        if self.alone:
            return [value]
        everyone: list[Any] = [None] * self.count
        dist.all_gather_object(everyone, value, group=self._spoken)
        return everyone


def launched() -> bool:
    """Whether ``torchrun`` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Within, this process is one of those that ``torchrun`` started.

    Args:
        device: ``cuda`` or ``cpu``. Of several GPUs this process takes the one of its own number on its machine.
    """
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    # torchrun keeps one store for all of a group's starts, in which addresses of dead processes would be found
    store, rank, count = next(dist.rendezvous("env://", timeout=PATIENCE))
    store = dist.PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
