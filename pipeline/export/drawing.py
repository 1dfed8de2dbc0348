"""Drawing until every class has its quota: blocks side by side in threads, kept in a fixed order.

Which proposals are kept depends on their order alone, so the number of threads moves nothing but the time.
"""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.export.filters import Judgement
from pipeline.export.ingredients import Ingredients
from pipeline.threads import in_order

JUDGED = 256  # proposals of a class, from which on the share that passes counts


@dataclass
class Tally:
    """What became of the proposals of a class, from its first one on.

    Attributes:
        drawn: proposals judged; also the index of the next one.
        accepted: proposals kept.
        rejected: proposals that each filter rejects; several may reject the same.
    """

    drawn: int = 0
    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, accepted: np.ndarray, judgement: Judgement, part: slice) -> None:
        """Counts some proposals of a block."""
        self.drawn += part.stop - part.start
        self.accepted += int(accepted[part].sum())
        for name, passed in judgement.passed.items():
            self.rejected[name] += int((~passed[part]).sum())

    def copy(self) -> "Tally":
        """The tally as it stands."""
        return Tally(self.drawn, self.accepted, Counter(self.rejected))


@dataclass(frozen=True, slots=True)
class Kept:
    """A proposal that every filter passes: uint8 (C, H, W), its class and index, and its scores by filter."""

    label: int
    index: int
    image: np.ndarray
    scores: dict[str, float]


class _Block(NamedTuple):
    label: int
    number: int
    images: np.ndarray
    judgement: Judgement
    drawing_seconds: float
    judging_seconds: float


class Drawing:
    """Iterates over the kept proposals, class by class and in the order of their indices.

    Args:
        source: what is drawn, how much of it, and the filters.
        pool: draws and judges, a block a job.
        ahead: blocks in work or waiting.
        tallies: by class, where an interrupted drawing goes on; changed in place, and right whenever one is yielded.

    Raises:
        UserError: the filters pass too little of a class.
    """

    def __init__(self, source: Ingredients, pool: ThreadPoolExecutor, ahead: int, tallies: list[Tally]) -> None:
        self.tallies = tallies
        self.drawing_seconds = self.judging_seconds = 0.0
        self._source, self._pool, self._ahead = source, pool, ahead
        self._size = source.sampler.block

    def __iter__(self) -> Iterator[Kept]:
        for block in in_order(self._pool, self._work, self._jobs(), self._ahead):
            yield from self._kept(block)

    def _jobs(self) -> Iterator[tuple[int, int]]:
        """Classes and blocks to draw; with filters on, a class goes on until it is seen to be full."""
        for label, wanted in enumerate(self._source.plan.wanted):
            block = self.tallies[label].drawn // self._size
            while self._missing(label) and (self._source.filters.on or block * self._size < wanted):
                yield label, block
                block += 1

    def _missing(self, label: int) -> int:
        return self._source.plan.wanted[label] - self.tallies[label].accepted

    def _work(self, job: tuple[int, int]) -> _Block:
        label, block = job
        began = time.perf_counter()
        images = self._source.sampler.draw(label, block * self._size, self._size).numpy()
        drawn = time.perf_counter()
        judgement = self._source.filters.judge(label, images)
        return _Block(label, block, images, judgement, drawn - began, time.perf_counter() - drawn)

    def _kept(self, block: _Block) -> Iterator[Kept]:
        self.drawing_seconds += block.drawing_seconds
        self.judging_seconds += block.judging_seconds
        tally, first = self.tallies[block.label], block.number * self._size
        accepted = np.logical_and.reduce([np.ones(self._size, dtype=bool), *block.judgement.passed.values()])
        start = tally.drawn - first
        for place in (np.flatnonzero(accepted[start:]) + start)[: self._missing(block.label)].tolist():
            tally.add(accepted, block.judgement, slice(start, place + 1))
            start = place + 1
            scores = {name: float(values[place]) for name, values in block.judgement.scores.items()}
            yield Kept(block.label, first + place, block.images[place], scores)
        if self._missing(block.label):
            tally.add(accepted, block.judgement, slice(start, self._size))
            self._check(block.label)

    def _check(self, label: int) -> None:
        tally, least = self.tallies[label], self._source.min_acceptance
        if tally.drawn < JUDGED or tally.accepted >= least * tally.drawn:
            return
        worst = max(tally.rejected, key=lambda name: tally.rejected[name])
        rates = ", ".join(f"{name} {count / tally.drawn:.0%}" for name, count in tally.rejected.items())
        raise UserError(
            f"class {self._source.plan.classes[label]}: the filters pass {tally.accepted:,} of {tally.drawn:,} "
            f"proposals ({tally.accepted / tally.drawn:.1%}), below export.min_acceptance ({least}). Rejected by "
            f"{rates}. Loosen export.filters.{worst}, train longer, or ask for fewer in export.classes"
        )
