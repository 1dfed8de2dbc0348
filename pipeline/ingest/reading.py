"""Reads every image of a source into a scratch file, a few at a time, on all cores.

What is in memory meanwhile does not grow with the number of images, good or bad, or with what a file claims to be: see
:mod:`pipeline.ingest.memory`.
"""

import hashlib
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from pipeline.disk import naming, write_at
from pipeline.errors import UserError
from pipeline.ingest.decode import Decoded, Target, decode
from pipeline.ingest.duplicates import DIGEST_BYTES, perceptual_hashes, pixel_digest, to_luma
from pipeline.ingest.grey import DEPTH, Depth
from pipeline.ingest.memory import FILES, READING, Budget, Held, file_bytes
from pipeline.ingest.opening import open_image, quiet
from pipeline.progress import track
from pipeline.runtime import usable_cores
from pipeline.sources import BadImageError, Payload, Source
from pipeline.threads import in_order
from pipeline.wording import NAMED

AT_ONCE = 16
THREADS_PAY_ABOVE = 150e-6
"""Seconds of CPU an image. Pillow lets other threads run while it decodes, but the rest holds Python's lock: on small
images threads would only wait for one another."""

MOST_AT_ONCE = 1 << 25
A_CALL_IN_BYTES = 8 << 10
"""What can be copied in the time that the system takes for one call."""

Task = tuple[int, Callable[[], Payload]]


class Pixels:
    """The decoded images in one file that is read and written by row, so that none of it counts as memory.

    Rows have room for three channels unless ``channels`` is ``L``; a grey image fills the first, and the file system
    keeps no blocks for the rest. Deep grey images wait in a file of their own, without a name, until the range of the
    whole set is known.
    """

    def __init__(self, path: Path, count: int, target: Target) -> None:
        self._shape = (1 if target.channels == "L" else 3, target.size, target.size)
        self._row = int(np.prod(self._shape))
        self._path, self._file = path, path.open("w+b", buffering=0)
        self._file.truncate(count * self._row)
        self._deep = tempfile.TemporaryFile("w+b", buffering=0, dir=path.parent)  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._deep.close()

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
        if (near := self._around(rows, wanted)) is not None:
            places = rows - rows.min()
            images[...] = near[places, :channels]
            if channels > 1:
                images[grey[rows]] = near[places[grey[rows]], :1]
            return images
        for image, row in zip(images, rows.tolist(), strict=True):
            size = image[0].nbytes if grey[row] else wanted
            data = os.pread(self._file.fileno(), size, row * self._row)
            image[...] = np.frombuffer(data, np.uint8).reshape(-1, *self._shape[1:])  # one channel spreads over three
        return images

    def _around(self, rows: np.ndarray, wanted: int) -> np.ndarray | None:
        """All rows from the first to the last of ``rows`` in one read, uint8 (n, ...), where that is faster.

        ``wanted`` is what is needed of each of ``rows``, in bytes.
        """
        first, last = int(rows.min(initial=sys.maxsize)), int(rows.max(initial=0))
        size = (last + 1 - first) * self._row
        if not 0 < size <= min(MOST_AT_ONCE, len(rows) * (wanted + A_CALL_IN_BYTES)):
            return None
        data = os.pread(self._file.fileno(), size, first * self._row)
        return np.frombuffer(data, np.uint8).reshape(-1, *self._shape)

    @property
    def side(self) -> int:
        """Height and width of an image."""
        return self._shape[1]

    def write_deep(self, row: int, values: np.ndarray) -> None:
        """Keeps the values of a deep grey image, float32 (1, H, W)."""
        os.pwrite(self._deep.fileno(), values.tobytes(), row * values.nbytes)

    def read_deep(self, rows: np.ndarray) -> np.ndarray:
        """The values of some deep grey images, float32 (n, H, W)."""
        values = np.empty((len(rows), *self._shape[1:]), np.float32)
        for image, row in zip(values, rows.tolist(), strict=True):
            data = os.pread(self._deep.fileno(), image.nbytes, row * image.nbytes)
            image[...] = np.frombuffer(data, np.float32).reshape(image.shape)
        return values


class Reason(NamedTuple):
    """Why an image is bad. An exception would keep its frames alive, and with them the file and the pixels.

    Attributes:
        reason: a short category to count by.
        text: the category, and what is wrong with this image.
    """

    reason: str
    text: str

    def __str__(self) -> str:
        return self.text


class Records:
    """What is known of every image after decoding, in columns, one row an image of the listing.

    Attributes:
        width, height: int32 (N,), of the upright source image; 0 for a bad one.
        sha256: uint8 (N, 32), of the source's bytes.
        digest: uint8 (N, 16), of the store's pixels: equal for exact duplicates.
        hashes: uint64 (N,), perceptual.
        grey: bool (N,), one channel says it all.
        depth: :data:`pipeline.ingest.grey.DEPTH` (N,), of grey images of more than 8 bits.
        reasons: of the bad images, by index, in order.
        passed: what was passed over in images that are used, counted by reason.
    """

    def __init__(self, count: int) -> None:
        self.width = np.zeros(count, np.int32)
        self.height = np.zeros(count, np.int32)
        self.sha256 = np.zeros((count, 32), np.uint8)
        self.digest = np.zeros((count, DIGEST_BYTES), np.uint8)
        self.hashes = np.zeros(count, np.uint64)
        self.grey = np.zeros(count, bool)
        self.depth = np.zeros(count, DEPTH)
        self.reasons: dict[int, Reason] = {}
        self.passed: Counter[str] = Counter()

    @property
    def usable(self) -> np.ndarray:
        """bool (N,): the images that could be decoded."""
        usable = np.ones(len(self.width), bool)
        usable[list(self.reasons)] = False
        return usable

    def note_depth(self, row: int, depth: Depth, inverted: bool) -> None:
        """Keeps what the values of a deep grey image are."""
        declared = depth.declared or (math.nan, math.nan)
        self.depth[row] = (True, depth.floats, inverted, depth.low, depth.high, *declared)

    def describe(self, rows: Sequence[int], images: Sequence[np.ndarray]) -> None:
        """Fills in what follows from the store's pixels of some rows: uint8 (C, H, W) each."""
        for row, image in zip(rows, images, strict=True):
            self.grey[row] = len(image) == 1
            self.digest[row] = pixel_digest(image)
        if rows:
            self.hashes[rows] = perceptual_hashes(np.stack([to_luma(image) for image in images]))


def read_all(source: Source, pixels: Pixels, target: Target, max_bad_fraction: float, what: str = "ingest") -> Records:
    """Decodes every image of ``source`` into ``pixels``; ``what`` names the work where its progress is shown.

    Deep grey images have no pixels before :func:`pipeline.ingest.settling.settle` has found the range of the set.

    Raises:
        UserError: more than ``max_bad_fraction`` of the images cannot be used; the first few are named.
    """
    records = Records(len(source.listing))
    allowed = math.floor(max_bad_fraction * len(source.listing))
    with track(len(source.listing), what, "images") as progress, quiet():
        for chunk in _mapped(partial(_read_chunk, target=target, pixels=pixels, records=records), source.images()):
            records.passed += chunk.passed
            progress.advance(chunk.images, f"{len(records.reasons)} bad" if records.reasons else "")
            if len(records.reasons) > allowed:
                raise UserError(_too_many_bad(source, records, max_bad_fraction))
    return records


class Chunk(NamedTuple):
    """What came of some images."""

    images: int
    passed: Counter[str]


def _mapped(work: Callable[[list[Task], Budget | None], Chunk], tasks: Iterator[Task]) -> Iterator[Chunk]:
    """``work`` on chunks of ``tasks``, in order; in threads where that pays, and never far ahead of the results."""
    chunks = iter(lambda: list(islice(tasks, AT_ONCE)), [])
    workers = usable_cores()
    seconds = math.inf
    for chunk in islice(chunks, 2):  # the first one also pays for Pillow's plugins
        began = time.thread_time()
        done = work(chunk, None)
        seconds = min(seconds, (time.thread_time() - began) / len(chunk))
        yield done
    if workers == 1 or seconds < THREADS_PAY_ABOVE:
        yield from (work(chunk, None) for chunk in chunks)
        return
    pool = ThreadPoolExecutor(workers, "ingest")
    try:
        yield from in_order(pool, lambda chunk: work(chunk, FILES), chunks, 2 * workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _read_chunk(tasks: list[Task], files: Budget | None, target: Target, pixels: Pixels, records: Records) -> Chunk:
    """Writes the tasks' rows of ``pixels`` and ``records``; rows are apart, so threads need no lock.

    ``files`` is what they share for the files that they hold; None where there is one thread.
    """
    rows: list[int] = []
    images: list[np.ndarray] = []
    passed: Counter[str] = Counter()
    for index, read in tasks:
        if files is None:
            decoded = _read(index, read, None, target, records)
        else:
            with files.hold(READING) as held:
                decoded = _read(index, read, held, target, records)
        if decoded is None:
            continue
        records.width[index], records.height[index] = decoded.width, decoded.height
        if decoded.passed:
            passed.update(decoded.passed)
        if decoded.depth is not None:
            records.note_depth(index, decoded.depth, decoded.inverted)
        if decoded.pixels.dtype == np.float32:
            pixels.write_deep(index, decoded.pixels)
            continue
        pixels.write(index, decoded.pixels)
        rows.append(index)
        images.append(decoded.pixels)
    records.describe(rows, images)
    return Chunk(len(tasks), passed)


def _read(
    index: int, read: Callable[[], Payload], held: Held | None, target: Target, records: Records
) -> Decoded | None:
    """One image, or None for a bad one. Its file is gone when this returns, before its room is given back."""
    try:
        data = read()
        records.sha256[index] = np.frombuffer(_sha256(data), np.uint8)
        image = open_image(data)
        file = b"" if isinstance(data, Image.Image) else data
        if held is not None:
            held.shrink(file_bytes(image, file))
        return decode(image, target, file)
    except BadImageError as error:
        records.reasons[index] = Reason(error.reason, str(error))
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
