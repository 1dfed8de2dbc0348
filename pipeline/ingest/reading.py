"""Reads every image of a source into a scratch file, a few at a time, on all cores.

What is in memory meanwhile does not grow with the number of images, good or bad, or with what a file claims to be: see
:mod:`pipeline.ingest.memory`.
"""

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Protocol

import numpy as np
from PIL import Image

from pipeline.errors import UserError
from pipeline.ingest.decode import Decoded, Target, decode
from pipeline.ingest.memory import FILES, READING, Budget, Held, file_bytes
from pipeline.ingest.opening import open_image, quiet
from pipeline.ingest.pixels import Pixels
from pipeline.ingest.plain import decode_plain
from pipeline.ingest.records import Reason, Records
from pipeline.ingest.team import Chunk, Task, Team, forks
from pipeline.progress import track
from pipeline.runtime import usable_cores
from pipeline.sources import BadImageError, Payload, Source
from pipeline.threads import in_order
from pipeline.wording import NAMED

AT_ONCE = 16
THREADS_PAY_ABOVE = 150e-6
"""Seconds of CPU an image. Pillow lets other threads run while it decodes, but the rest holds Python's lock: on small
images threads would only wait for one another."""

PROCESSES_PAY_ABOVE = 0.15
"""Seconds of CPU that each has to do."""

SECONDS_AT_ONCE = 0.01
MOST_AT_ONCE = 256
"""What a process is given at a time: images for this long, but no more than so many."""


class Sink(Protocol):
    """Where pixels go: :class:`pipeline.ingest.pixels.Pixels`, or what brings them there."""

    def write_many(self, rows: list[int], images: list[np.ndarray]) -> None:
        """Takes some images, uint8 (C, H, W)."""
        ...

    def write_deep(self, row: int, values: np.ndarray) -> None:
        """Takes a deep grey image, float32 (1, H, W)."""
        ...


def read_all(
    source: Source,
    pixels: Pixels,
    target: Target,
    max_bad_fraction: float,
    what: str = "ingest",
    chunks: "Chunks | None" = None,
) -> Records:
    """Decodes every image of ``source`` into ``pixels``; ``what`` names the work where its progress is shown.

    ``chunks`` reads a source, see :func:`pipeline.ingest.sharded.read_by`; left out, this machine does, on all cores.

    Deep grey images have no pixels before :func:`pipeline.ingest.settling.settle` has found the range of the set.

    Raises:
        UserError: more than ``max_bad_fraction`` of the images cannot be used; the first few are named.
    """
    records = Records(len(source.listing))
    allowed = math.floor(max_bad_fraction * len(source.listing))
    with track(len(source.listing), what, "images") as progress, quiet():
        reader = ImageReader(target, pixels, records)
        with closing((chunks or read_here)(reader, source)) as done:
            for chunk in done:
                records.passed += chunk.passed
                progress.advance(chunk.images, f"{len(records.reasons)} bad" if records.reasons else "")
                if len(records.reasons) > allowed:
                    raise UserError(_too_many_bad(source, records, max_bad_fraction))
    return records


Chunks = Callable[["ImageReader", Source], Generator[Chunk, None, None]]
"""What reads a source and gives what came of it in chunks."""


def read_here(reader: "ImageReader", source: Source, cores: int | None = None) -> Generator[Chunk, None, None]:
    """Reads ``source`` in chunks, in order; beside one another where that pays, and never far ahead of the results."""
    tasks, workers = source.images(), cores or usable_cores()
    chunks = _chunks(tasks, AT_ONCE)
    seconds, done = math.inf, 0
    for chunk in islice(chunks, 2):  # the first one also pays for Pillow's plugins
        began = time.thread_time()
        result = reader.read(chunk)
        seconds = min(seconds, (time.thread_time() - began) / len(chunk))
        done += len(chunk)
        yield result
    helpers = min(workers - 1, int((len(source.listing) - done) * seconds / PROCESSES_PAY_ABOVE)) if done else 0
    if helpers > 0 and forks(source):
        at_once = min(MOST_AT_ONCE, max(AT_ONCE, int(SECONDS_AT_ONCE / seconds)))
        with Team(helpers, chunks := _chunks(tasks, at_once), reader) as team:
            yield from team.read()
    if workers == 1 or seconds < THREADS_PAY_ABOVE:
        yield from map(reader.read, chunks)
        return
    pool = ThreadPoolExecutor(workers, "ingest")
    try:
        yield from in_order(pool, lambda chunk: reader.read(chunk, FILES), chunks, 2 * workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(tasks: Iterator[Task], size: int) -> Iterator[list[Task]]:
    return iter(lambda: list(islice(tasks, size)), [])


class ImageReader:
    """Fills rows of ``pixels`` and ``records``; rows are apart, so threads need no lock."""

    def __init__(self, target: Target, pixels: Sink, records: Records) -> None:
        self.records, self.pixels = records, pixels
        self._target = target

    def read(self, tasks: list[Task], files: Budget | None = None) -> Chunk:
        """Reads and decodes some images.

        ``files`` is what threads share for the files that they hold; None where there is one.
        """
        rows: list[int] = []
        images: list[np.ndarray] = []
        passed: Counter[str] = Counter()
        for index, read in tasks:
            if files is None:
                decoded = self._decoded(index, read, None)
            else:
                with files.hold(READING) as held:
                    decoded = self._decoded(index, read, held)
            if decoded is None:
                continue
            self.records.width[index], self.records.height[index] = decoded.width, decoded.height
            if decoded.passed:
                passed.update(decoded.passed)
            if decoded.depth is not None:
                self.records.note_depth(index, decoded.depth, decoded.inverted)
            if decoded.pixels.dtype == np.float32:
                self.pixels.write_deep(index, decoded.pixels)
                continue
            rows.append(index)
            images.append(decoded.pixels)
        self.pixels.write_many(rows, images)
        self.records.describe(rows, images)
        return Chunk(len(tasks), passed)

    def _decoded(self, index: int, read: Callable[[], Payload], held: Held | None) -> Decoded | None:
        """One image, or None for a bad one. Its file is gone when this returns, before its room is given back."""
        try:
            data = read()
            self.records.sha256[index] = np.frombuffer(_sha256(data), np.uint8)
            if isinstance(data, bytes) and (plain := decode_plain(data, self._target)) is not None:
                return plain
            image = open_image(data)
            file = b"" if isinstance(data, Image.Image) else data
            if held is not None:
                held.shrink(file_bytes(image, file))
            return decode(image, self._target, file)
        except BadImageError as error:
            self.records.reasons[index] = Reason(error.reason, str(error))
            return None


def _sha256(data: Payload) -> bytes:
    """SHA-256 of a file; of mode, size and pixels where the source has no files."""
    if isinstance(data, Image.Image):
        return hashlib.sha256(f"{data.mode} {data.size} ".encode() + data.tobytes()).digest()
    return hashlib.sha256(data).digest()


def first_bad(source: Source, records: Records) -> str:
    """The first few bad images, a line each with its reason."""
    first = sorted(records.reasons.copy().items())[:NAMED]  # other threads may still add to it
    return "\n".join(f"  {source.listing.paths[index]}: {reason}" for index, reason in first)


def _too_many_bad(source: Source, records: Records, max_bad_fraction: float) -> str:
    return (
        f"more than {max_bad_fraction:.1%} of the {len(source.listing):,} images cannot be used "
        f"(data.max_bad_fraction); the first ones:\n{first_bad(source, records)}\n"
        "mend or remove them, or raise data.max_bad_fraction"
    )
