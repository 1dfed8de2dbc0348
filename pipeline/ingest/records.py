"""What is known of every image once it was decoded."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.ingest.duplicates import DIGEST_BYTES, perceptual_hashes, pixel_digest, to_luma
from pipeline.ingest.grey import DEPTH, Depth

COLUMNS = ("width", "height", "sha256", "digest", "hashes", "grey", "depth")


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
        if not rows:
            return
        self.grey[rows] = grey = [len(image) == 1 for image in images]
        self.digest[rows] = [pixel_digest(image) for image in images]
        luma = np.concatenate(images).astype(np.float32) if all(grey) else np.stack([to_luma(each) for each in images])
        self.hashes[rows] = perceptual_hashes(luma)

    def part(self, rows: Sequence[int]) -> "Part":
        """What is known of some rows."""
        reasons = {row: self.reasons[row] for row in rows if row in self.reasons}
        return Part({name: getattr(self, name)[rows] for name in COLUMNS}, reasons)

    def put(self, rows: Sequence[int], part: "Part") -> None:
        """Takes over what others found out of some rows."""
        for name, values in part.columns.items():
            getattr(self, name)[rows] = values
        self.reasons.update(part.reasons)


class Part(NamedTuple):
    """Rows of :class:`Records`, to be sent from one process to another.

    Attributes:
        columns: arrays (n, ...) by the names in :data:`COLUMNS`.
        reasons: of the bad images among them, by index.
    """

    columns: dict[str, np.ndarray]
    reasons: dict[int, Reason]
