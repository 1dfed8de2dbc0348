"""Images read by the workers of a cluster: each opens the source itself, and answers with pixels and what is known.

A shard is so many images one after another, in the order in which the source gives them. Workers write nothing: this
process puts pixels and records in their places.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.ingest.decode import Target
from pipeline.ingest.memory import FILES
from pipeline.ingest.opening import quiet
from pipeline.ingest.reading import Chunks, ImageReader, read_here
from pipeline.ingest.records import Part, Records
from pipeline.ingest.team import Chunk, Task
from pipeline.params import DataParams
from pipeline.sources import Listing, Source, open_source
from pipeline.workers import Workers

SHARD_BYTES = 2 << 20
LEAST, MOST = 16, 1024
"""Images a shard, whose pixels take about :data:`SHARD_BYTES`: what waits to be put in its place has to be little."""


class Answer(NamedTuple):
    """What a worker found.

    Attributes:
        indices: int64 (n,), of the images in the listing.
        passed: as in :class:`pipeline.ingest.team.Chunk`.
        part: of the records; its reasons are by place in ``indices``.
        pixels: where the source could be decoded: place in ``indices``, and uint8 (C, H, W).
        deep: likewise of deep grey images: float32 (1, H, W).
    """

    indices: np.ndarray
    passed: Counter[str]
    part: Part
    pixels: list[tuple[int, np.ndarray]]
    deep: list[tuple[int, np.ndarray]]


class _Gathered:
    """Pixels that go to another process."""

    def __init__(self) -> None:
        self.pixels: list[tuple[int, np.ndarray]] = []
        self.deep: list[tuple[int, np.ndarray]] = []

    def write_many(self, rows: list[int], images: list[np.ndarray]) -> None:
        self.pixels += zip(rows, images, strict=True)

    def write_deep(self, row: int, values: np.ndarray) -> None:
        self.deep.append((row, values))


@dataclass(frozen=True)
class ReadShard:
    """Reads one shard of a source.

    Args:
        data: the source; its path is absolute.
        target: what images become.
        size: images a shard.
        digest: of the listing that is expected.
    """

    data: DataParams
    target: Target
    size: int
    digest: str

    def __call__(self, number: int) -> Answer:
        """Reads shard ``number``.

        Raises:
            UserError: the source holds other images than it did for who asks.
        """
        tasks = self._opened.shard(number)
        gathered, records = _Gathered(), Records(len(tasks))
        reader = ImageReader(self.target, gathered, records)
        with quiet():
            chunk = reader.read([(place, read) for place, (_, read) in enumerate(tasks)], FILES)
        indices = np.array([index for index, _ in tasks], np.int64)
        return Answer(indices, chunk.passed, records.part(range(len(tasks))), gathered.pixels, gathered.deep)

    @cached_property
    def _opened(self) -> "_Opened":
        source = open_source(self.data, Path())
        if digest(source.listing) != self.digest:
            raise UserError(
                f"data.path: {self.data.path}: a worker finds other images there; let every worker see the same files, "
                "and leave them alone meanwhile, or set workers.engine: local"
            )
        return _Opened(source, self.size)


class _Opened:
    """A source on a worker, which goes through it as its shards come, and begins anew for an earlier one."""

    def __init__(self, source: Source, size: int) -> None:
        self._source, self._size = source, size
        self._tasks, self._next, self._lock = iter(source.images()), 0, threading.Lock()

    def shard(self, number: int) -> list[Task]:
        with self._lock:
            if number < self._next:
                self._tasks, self._next = iter(self._source.images()), 0
            skipped = (number - self._next) * self._size
            self._next = number + 1
            return list(islice(self._tasks, skipped, skipped + self._size))


def read_by(workers: Workers, data: DataParams, root: Path, target: Target) -> Chunks:
    """How the images of ``data`` are read by ``workers``; ``data.path`` is a place, not an address."""
    if not workers.elsewhere:
        return lambda reader, source: read_here(reader, source, workers.count)
    told = data.model_copy(update={"path": str((root / data.path).absolute()), "download": False})
    return lambda reader, source: _read(workers, told, target, reader, source.listing)


def _read(
    workers: Workers, data: DataParams, target: Target, reader: ImageReader, listing: Listing
) -> Generator[Chunk, None, None]:
    size = shard_size(target)
    work = ReadShard(data, target, size, digest(listing))
    with workers.crew(work) as crew:
        answers: Iterator[Answer] = crew.in_order(range(-(-len(listing) // size)))
        for answer in answers:
            yield _put(reader, answer)


def _put(reader: ImageReader, answer: Answer) -> Chunk:
    """Puts in its place what a worker found."""
    rows = answer.indices.tolist()
    reasons = {rows[place]: reason for place, reason in answer.part.reasons.items()}
    reader.records.put(rows, Part(answer.part.columns, reasons))
    reader.pixels.write_many([rows[place] for place, _ in answer.pixels], [image for _, image in answer.pixels])
    for place, values in answer.deep:
        reader.pixels.write_deep(rows[place], values)
    return Chunk(len(rows), answer.passed)


def shard_size(target: Target) -> int:
    """Images a shard.

    >>> shard_size(Target(32, "auto", "crop", "auto")), shard_size(Target(512, "auto", "crop", "auto"))
    (682, 16)
    """
    return max(LEAST, min(MOST, SHARD_BYTES // (3 * target.size**2)))


def digest(listing: Listing) -> str:
    """Names the images of a source, by their places in it."""
    found = hashlib.sha256("\0".join(listing.paths).encode())
    found.update(listing.labels.astype("<i8").tobytes())
    return found.hexdigest()
