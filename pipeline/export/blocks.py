"""What a worker does of an export: draws blocks, judges and encodes them; encodes real images. It writes nothing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from pipeline.export.filters import Judgement
from pipeline.export.ingredients import Ingredients, open_ingredients
from pipeline.export.plan import Plan
from pipeline.export.rows import mark
from pipeline.formats.encoding import encode
from pipeline.formats.manifest import About
from pipeline.params import Params
from pipeline.runtime import one_thread
from pipeline.store import SplitName, Store
from pipeline.workspace import Workspace


class Blocks(NamedTuple):
    """Some of a class's proposals: ``length`` whole blocks of the sampler's, from block ``first`` on."""

    label: int
    first: int
    length: int


class Rows(NamedTuple):
    """Some real images: rows of a split, int64 (n,)."""

    split: SplitName
    rows: np.ndarray


class Drawn(NamedTuple):
    """What came of blocks: what the filters say, and the file of each image that all pass, empty for the others."""

    blocks: Blocks
    judgement: Judgement
    contents: Sequence[bytes]
    drawing_seconds: float
    judging_seconds: float
    encoding_seconds: float


@dataclass(frozen=True)
class Drawer:
    """Draws, judges and encodes; what it needs for that a worker elsewhere opens for itself.

    Args:
        params, workspace, plan: as :func:`pipeline.export.ingredients.open_ingredients` takes them.
        about: what is true of the whole set.
    """

    params: Params
    workspace: Workspace
    plan: Plan
    about: About

    @classmethod
    def of(cls, params: Params, workspace: Workspace, plan: Plan, about: About, source: Ingredients) -> Self:
        """One that has opened ``source`` already, as processes that are forked from this one then have."""
        drawer = cls(params, Workspace(workspace.root.absolute()), plan, about)
        drawer.__dict__["source"] = source
        return drawer

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "source"}

    @cached_property
    def source(self) -> Ingredients:
        """What the set is made from."""
        return open_ingredients(self.params, self.workspace, Store.open(self.workspace.store), self.plan)

    def __call__(self, shard: Blocks | Rows) -> Drawn | list[bytes]:
        """The blocks asked for, or the files of the rows asked for; computed with one thread."""
        with one_thread():
            return self._drawn(shard) if isinstance(shard, Blocks) else self._encoded(shard)

    def _drawn(self, blocks: Blocks) -> Drawn:
        block, source = self.source.sampler.block, self.source
        label, first = blocks.label, blocks.first * block
        began = time.perf_counter()
        images = source.sampler.draw(label, first, blocks.length * block).numpy()
        drawn = time.perf_counter()
        judgement = source.filters.judge(label, images)
        judged = time.perf_counter()
        contents = [
            encode(image, self.about.encoding, mark(self.about, label, first + place)) if accepted else b""
            for place, (image, accepted) in enumerate(zip(images, judgement.accepted(len(images)), strict=True))
        ]
        spent = (drawn - began, judged - drawn, time.perf_counter() - judged)
        return Drawn(blocks, judgement, contents, *spent)

    def _encoded(self, real: Rows) -> list[bytes]:
        return [encode(image, self.about.encoding) for image in self.source.real[real.split].images[real.rows]]
