"""What a worker does of an export: draws blocks, judges and encodes them; encodes real images. It writes nothing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.export.filters import Judgement
from pipeline.export.ingredients import Ingredients
from pipeline.export.rows import mark
from pipeline.formats.encoding import encode
from pipeline.formats.manifest import About
from pipeline.runtime import one_thread
from pipeline.store import SplitName


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
    """Draws, judges and encodes.

    Attributes:
        about: what is true of the whole set.
        source: what the set is made from; goes to workers as it is, so that its filters are taught once.
    """

    about: About
    source: Ingredients

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
