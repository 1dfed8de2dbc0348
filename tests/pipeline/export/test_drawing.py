"""Drawing goes on where it was interrupted, in the middle of a block too: nothing twice, nothing left out."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.export.drawing import Drawing, Kept, Tally
from pipeline.export.filters import Judgement

BLOCK = 8
WANTED = (9, 0, 5)


class Thirds:
    """Passes every image whose index is a multiple of three."""

    on = True

    def judge(self, label: int, images: np.ndarray) -> Judgement:
        indices = images[:, 0, 0, 0].astype(float)
        return Judgement(scores={"thirds": indices}, passed={"thirds": indices % 3 == 0})


def drawing(tallies: list[Tally], pool: ThreadPoolExecutor) -> Drawing:
    def draw(label: int, start: int, count: int) -> torch.Tensor:
        return torch.arange(start, start + count, dtype=torch.uint8)[:, None, None, None]

    source: Any = SimpleNamespace(
        plan=SimpleNamespace(wanted=WANTED, classes="abc"),
        sampler=SimpleNamespace(block=BLOCK, draw=draw),
        filters=Thirds(),
        min_acceptance=0.1,
    )
    return Drawing(source, pool, 4, tallies)


def facts(kept: Kept) -> tuple[int, int, int]:
    return kept.label, kept.index, int(kept.image.ravel()[0])


@pytest.mark.parametrize("stop", [1, 3, 4, 9, 13])
def test_interrupted_anywhere_it_goes_on_as_if_it_had_not_been(stop: int) -> None:
    expected = [(label, 3 * i, 3 * i) for label, count in enumerate(WANTED) for i in range(count)]
    with ThreadPoolExecutor(2) as pool:
        whole = [Tally() for _ in WANTED]
        assert [facts(kept) for kept in drawing(whole, pool)] == expected
        tallies = [Tally() for _ in WANTED]
        before = [facts(kept) for kept in islice(drawing(tallies, pool), stop)]
        after = [facts(kept) for kept in drawing([tally.copy() for tally in tallies], pool)]
        assert before + after == expected
    assert [(tally.drawn, tally.accepted) for tally in whole] == [(25, 9), (0, 0), (13, 5)]
    assert [tally.rejected["thirds"] for tally in whole] == [16, 0, 8]
