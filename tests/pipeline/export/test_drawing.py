"""Drawing goes on where it was interrupted, in the middle of a block too: nothing twice, nothing left out."""

from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.export.blocks import Blocks, Drawn
from pipeline.export.drawing import Drawing, Kept
from pipeline.export.filters import Judgement
from pipeline.export.tally import Tally
from pipeline.workers import Crew, Local

BLOCK = 8
WANTED = (9, 0, 5)


class Thirds:
    """Passes every image whose index is a multiple of three."""

    on = True

    def judge(self, label: int, images: np.ndarray) -> Judgement:
        indices = images[:, 0, 0, 0].astype(float)
        return Judgement(scores={"thirds": indices}, passed={"thirds": indices % 3 == 0})


def drawn(blocks: Blocks) -> Drawn:
    indices = np.arange(blocks.first * BLOCK, (blocks.first + blocks.length) * BLOCK, dtype=np.uint8)
    images = indices[:, None, None, None]
    contents = [bytes([index]) for index in indices.tolist()]
    return Drawn(blocks, Thirds().judge(blocks.label, images), contents, 0, 0, 0)


def drawing(tallies: list[Tally], crew: Crew) -> Drawing:
    source: Any = SimpleNamespace(
        plan=SimpleNamespace(wanted=WANTED, classes="abc"),
        sampler=SimpleNamespace(block=BLOCK),
        filters=Thirds(),
        min_acceptance=0.1,
    )
    return Drawing(source, crew, tallies)


def facts(kept: Kept) -> tuple[int, int, int]:
    return kept.label, kept.index, kept.content[0]


@pytest.mark.parametrize("stop", [1, 3, 4, 9, 13])
def test_interrupted_anywhere_it_goes_on_as_if_it_had_not_been(stop: int) -> None:
    expected = [(label, 3 * i, 3 * i) for label, count in enumerate(WANTED) for i in range(count)]
    with Local(2).crew(drawn, forked=True) as crew:
        whole = [Tally() for _ in WANTED]
        assert [facts(kept) for kept in drawing(whole, crew)] == expected
        tallies = [Tally() for _ in WANTED]
        before = [facts(kept) for kept in islice(drawing(tallies, crew), stop)]
        after = [facts(kept) for kept in drawing([tally.copy() for tally in tallies], crew)]
        assert before + after == expected
    assert [(tally.drawn, tally.accepted) for tally in whole] == [(25, 9), (0, 0), (13, 5)]
    assert [tally.rejected["thirds"] for tally in whole] == [16, 0, 8]
