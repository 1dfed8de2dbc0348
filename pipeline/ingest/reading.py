"""Reads every image of a source into a scratch file, a few at a time, on all cores."""

import hashlib
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from pipeline.disk import naming, write_at
from pipeline.errors import UserError
from pipeline.ingest.decode import Target, decode
from pipeline.ingest.duplicates import DIGEST_BYTES, perceptual_hashes, pixel_digest, to_luma
from pipeline.progress import track
from pipeline.runtime import usable_cores
from pipeline.sources import BadImageError, Payload, Source
from pipeline.threads import in_order

AT_ONCE = 16
THREADS_PAY_ABOVE = 150e-6
"""Seconds of CPU an image. Pillow lets other threads run while it decodes, but the rest holds Python's lock: on small
images threads would only wait for one another."""

Task = tuple[int, Callable[[], Payload]]


class Pixels:
    """The decoded images in one file that is read and written by row, so that none of it counts as memory.

    Rows have room for three channels unless ``channels`` is ``L``; a grey image fills the first, and the file system
    keeps no blocks for the rest.
    """

    def __init__(self, path: Path, count: int, target: Target) -> None:
        self._shape = (1 if target.channels == "L" else 3, target.size, target.size)
        self._row = int(np.prod(self._shape))
        self._path, self._file = path, path.open("w+b", buffering=0)
        self._file.truncate(count * self._row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, row: int, pixels: np.ndarray) -> None:
        """Keeps one image, uint8 (C, H, W).

        Raises:
            OSError: the disk does not take it; has the path.
        """
        with naming(self._path):
            write_at(self._file.fileno(), pixels.tobytes(), row * self._row)

    def read(self, rows: np.ndarray, grey: np.ndarray, channels: int) -> np.ndarray:
        """Some images, uint8 (n, channels, H, W); ``grey`` (N,) says of every row whether it has one channel alone."""
        wanted = channels * self._shape[1] * self._shape[2]
        images = np.empty((len(rows), channels, *self._shape[1:]), np.uint8)
        for image, row in zip(images, rows.tolist(), strict=True):
            size = image[0].nbytes if grey[row] else wanted
            data = os.pread(self._file.fileno(), size, row * self._row)
            image[...] = np.frombuffer(data, np.uint8).reshape(-1, *self._shape[1:])  # one channel spreads over three
        return images


class Records:
    """What is known of every image after decoding, in columns, one row an image of the listing.

    Attributes:
        width, height: int32 (N,), of the upright source image; 0 for a bad one.
        sha256: uint8 (N, 32), of the source's bytes.
        digest: uint8 (N, 16), of the store's pixels: equal for exact duplicates.
        hashes: uint64 (N,), perceptual.
        grey: bool (N,), one channel says it all.
        reasons: of the bad images, by index, in order.
    """

    def __init__(self, count: int) -> None:
        self.width = np.zeros(count, np.int32)
        self.height = np.zeros(count, np.int32)
        self.sha256 = np.zeros((count, 32), np.uint8)
        self.digest = np.zeros((count, DIGEST_BYTES), np.uint8)
        self.hashes = np.zeros(count, np.uint64)
        self.grey = np.zeros(count, bool)
        self.reasons: dict[int, BadImageError] = {}

    @property
    def usable(self) -> np.ndarray:
        """bool (N,): the images that could be decoded."""
        usable = np.ones(len(self.width), bool)
        usable[list(self.reasons)] = False
        return usable


def read_all(source: Source, pixels: Pixels, target: Target, max_bad_fraction: float, what: str = "ingest") -> Records:
    """Decodes every image of ``source`` into ``pixels``; ``what`` names the work where its progress is shown.

    Raises:
        UserError: more than ``max_bad_fraction`` of the images cannot be used; the first few are named.
    """
    records = Records(len(source.listing))
    allowed = math.floor(max_bad_fraction * len(source.listing))
    with track(len(source.listing), what, "images") as progress, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # what matters of them is in the reasons
        for done in _mapped(partial(_read_chunk, target=target, pixels=pixels, records=records), source.images()):
            progress.advance(done, f"{len(records.reasons)} bad" if records.reasons else "")
            if len(records.reasons) > allowed:
                raise UserError(_too_many_bad(source, records, max_bad_fraction))
    return records


def _mapped(work: Callable[[list[Task]], int], tasks: Iterator[Task]) -> Iterator[int]:
    """``work`` on chunks of ``tasks``, in order; in threads where that pays, and never far ahead of the results."""
    chunks = iter(lambda: list(islice(tasks, AT_ONCE)), [])
    workers = usable_cores()
    seconds = math.inf
    for chunk in islice(chunks, 2):  # the first one also pays for Pillow's plugins
        began = time.thread_time()
        done = work(chunk)
        seconds = min(seconds, (time.thread_time() - began) / len(chunk))
        yield done
    if workers == 1 or seconds < THREADS_PAY_ABOVE:
        yield from map(work, chunks)
        return
    pool = ThreadPoolExecutor(workers, "ingest")
    try:
        yield from in_order(pool, work, chunks, 2 * workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _read_chunk(tasks: list[Task], target: Target, pixels: Pixels, records: Records) -> int:
    """Writes the tasks' rows of ``pixels`` and ``records``; rows are apart, so threads need no lock."""
    rows: list[int] = []
    luma: list[np.ndarray] = []
    for index, read in tasks:
        try:
            data = read()
            records.sha256[index] = np.frombuffer(_sha256(data), np.uint8)
            decoded = decode(data, target)
        except BadImageError as error:
            records.reasons[index] = error
            continue
        pixels.write(index, decoded.pixels)
        records.width[index], records.height[index] = decoded.width, decoded.height
        records.grey[index] = len(decoded.pixels) == 1
        records.digest[index] = pixel_digest(decoded.pixels)
        rows.append(index)
        luma.append(to_luma(decoded.pixels))
    if rows:
        records.hashes[rows] = perceptual_hashes(np.stack(luma))
    return len(tasks)


def _sha256(data: Payload) -> bytes:
    """SHA-256 of a file; of mode, size and pixels where the source has no files."""
    if isinstance(data, Image.Image):
        return hashlib.sha256(f"{data.mode} {data.size} ".encode() + data.tobytes()).digest()
    return hashlib.sha256(data).digest()


def _too_many_bad(source: Source, records: Records, max_bad_fraction: float) -> str:
    first = sorted(records.reasons.copy().items())[:5]  # other threads may still add to it
    shown = "\n".join(f"  {source.listing.paths[index]}: {error}" for index, error in first)
    return (
        f"more than {max_bad_fraction:.1%} of the {len(source.listing):,} images cannot be used "
        f"(data.max_bad_fraction); the first ones:\n{shown}\nmend or remove them, or raise data.max_bad_fraction"
    )
