"""Drawing until every class has its quota: blocks side by side by workers, kept in a fixed order.

Which proposals are kept depends on their order alone, so the number of workers moves nothing but the time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.export.blocks import Blocks, Drawn
from pipeline.export.ingredients import Ingredients
from pipeline.export.tally import Tally
from pipeline.workers import Crew

JUDGED = 256  # proposals of a class, from which on the share that passes counts
AT_ONCE = 128  # proposals that a worker draws at a time, where none is judged and all are needed


@dataclass(frozen=True, slots=True)
class Kept:
    """A proposal that every filter passes: its class and index, its scores by filter, and its file."""

    label: int
    index: int
    scores: dict[str, float]
    content: bytes


class Drawing:
    """Iterates over the kept proposals, class by class and in the order of their indices.

    Args:
        source: what is drawn, how much of it, and the filters.
        crew: does :class:`pipeline.export.blocks.Drawer`.
        tallies: by class, where an interrupted drawing goes on; changed in place, and right whenever one is yielded.

    Raises:
        UserError: the filters pass too little of a class.
    """

    def __init__(self, source: Ingredients, crew: Crew, tallies: list[Tally]) -> None:
        self.tallies = tallies
        self.drawing_seconds = self.judging_seconds = self.encoding_seconds = 0.0
        self._source, self._crew = source, crew
        self._size = source.sampler.block

    def __iter__(self) -> Iterator[Kept]:
        for drawn in self._crew.in_order(self._jobs()):
            yield from self._kept(drawn)

    def _jobs(self) -> Iterator[Blocks]:
        """Classes and blocks to draw; with filters on, a class goes on until it is seen to be full."""
        judged = bool(self._source.filters.on)
        at_once = 1 if judged else max(1, AT_ONCE // self._size)
        for label, wanted in enumerate(self._source.plan.wanted):
            block = self.tallies[label].drawn // self._size
            while self._missing(label) and (judged or block * self._size < wanted):
                after = (block // at_once + 1) * at_once
                count = (after if judged else min(after, -(-wanted // self._size))) - block
                yield Blocks(label, block, count)
                block += count

    def _missing(self, label: int) -> int:
        return self._source.plan.wanted[label] - self.tallies[label].accepted

    def _kept(self, drawn: Drawn) -> Iterator[Kept]:
        self.drawing_seconds += drawn.drawing_seconds
        self.judging_seconds += drawn.judging_seconds
        self.encoding_seconds += drawn.encoding_seconds
        label, judgement = drawn.blocks.label, drawn.judgement
        tally, first = self.tallies[label], drawn.blocks.first * self._size
        accepted = judgement.accepted(len(drawn.contents))
        start = tally.drawn - first
        for place in (np.flatnonzero(accepted[start:]) + start)[: self._missing(label)].tolist():
            tally.add(accepted, judgement, slice(start, place + 1))
            start = place + 1
            scores = {name: float(values[place]) for name, values in judgement.scores.items()}
            yield Kept(label, first + place, scores, drawn.contents[place])
        if self._missing(label):
            tally.add(accepted, judgement, slice(start, len(drawn.contents)))
            self._check(label)

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
