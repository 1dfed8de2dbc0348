"""One process leads a training, and the others do the same steps: what it decides, they are told.

Whether to go on, to go back or to stop, how strong the augmentation is, how much of a budget of time is spent: each is
decided once, by the leader, and goes with its next order. So nothing hangs on clocks or signals that differ.
"""

from collections.abc import Callable
from enum import IntEnum

import torch
from torch import Tensor

from gan.ranks import Ranks
from gan.trainer import Trainer


class Order(IntEnum):
    """What the others do next."""

    BEGIN = 0  # a run, by its number
    STEP = 1
    TAKE_UP = 2  # a state, which follows
    END = 3  # of the run
    LEAVE = 4


class Leader(Trainer):
    """A trainer whose every step the other processes do too; without others a trainer like any."""

    def iteration(self, share: float | None = None) -> Tensor:
        """See :meth:`gan.trainer.Trainer.iteration`."""
        share = self.done / self.config.iterations if share is None else share
        _give(self.ranks, Order.STEP, share, self.strength, self.lr_scale)
        return super().iteration(share)

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """See :meth:`gan.trainer.Trainer.load_state`."""
        super().load_state(tensors)
        _give(self.ranks, Order.TAKE_UP)
        _share_state(self)

    def dismiss(self) -> None:
        """Tells the others that the run is over."""
        _give(self.ranks, Order.END)


def begin(ranks: Ranks, run: int) -> None:
    """Has the others make their trainers of a run, by its number; they do what its :class:`Leader` orders."""
    _give(ranks, Order.BEGIN, run)


def release(ranks: Ranks) -> None:
    """Has the others leave, whatever they do."""
    _give(ranks, Order.LEAVE)


def follow(ranks: Ranks, make: Callable[[int], Trainer]) -> None:
    """Does what the leader orders, until it says to leave.

    Args:
        ranks: the processes.
        make: a trainer of the run of this number, equal to the leader's.
    """
    while True:
        order, run, *_ = _hear(ranks)
        if order != Order.BEGIN or not _through(make(int(run))):
            return


def _through(trainer: Trainer) -> bool:
    """Follows one run to its end; False if all are to leave."""
    while True:
        order, share, strength, lr_scale = _hear(trainer.ranks)
        if order == Order.STEP:
            trainer.strength, trainer.lr_scale = strength, lr_scale
            Trainer.iteration(trainer, share)  # of a leader too, who would order it again
        elif order == Order.TAKE_UP:
            _share_state(trainer)
        else:
            return order == Order.END


def _give(ranks: Ranks, order: Order, *numbers: float) -> None:
    ranks.tell(torch.tensor([order, *numbers, *[0.0] * (3 - len(numbers))], dtype=torch.float64))


def _hear(ranks: Ranks) -> list[float]:
    return ranks.tell(torch.zeros(4, dtype=torch.float64)).tolist()


def _share_state(trainer: Trainer) -> None:
    """Gives all the leader's state, and in how many parts it takes a batch."""
    if trainer.ranks.alone:
        return
    trainer.parts = int(trainer.ranks.tell(torch.tensor(trainer.parts)))
    state = {name: tensor.detach().cpu().clone() for name, tensor in trainer.state().items()}
    for tensor in state.values():
        trainer.ranks.tell(tensor)
    Trainer.load_state(trainer, state)
