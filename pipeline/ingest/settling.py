"""The pixels of deep grey images, once the whole set, or several sets that are compared, have been read."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.ingest.decode import in_channels
from pipeline.ingest.grey import LEVELS, GreyScale, find_range, to_levels
from pipeline.ingest.reading import Pixels, Records
from pipeline.params import GreyRange

VALUES_AT_ONCE = 1 << 20


def settle(sets: Sequence[tuple[Pixels, Records]], grey_range: GreyRange, channels: str) -> GreyScale | None:
    """Brings the deep grey images of all ``sets`` to levels by one range, and says which; None if there are none.

    Args:
        sets: what :func:`pipeline.ingest.reading.read_all` read with this range and these channels.
        grey_range: see :func:`pipeline.ingest.grey.find_range`.
        channels: as :class:`pipeline.ingest.decode.Target` has them.

    Raises:
        UserError: see :func:`pipeline.ingest.grey.find_range`.
    """
    depth = np.concatenate([records.depth[records.depth["deep"]] for _, records in sets])
    if not len(depth):
        return None
    low, high, origin = find_range(depth, grey_range)
    histogram = np.zeros(LEVELS, np.int64)
    for pixels, records in sets:
        for rows in _some(np.flatnonzero(records.depth["deep"]), pixels):
            if grey_range == "auto":
                levels = to_levels(pixels.read_deep(rows), low, high, records.depth["inverted"][rows])
                _keep(rows.tolist(), levels, pixels, records, channels)
            else:
                levels = pixels.read(rows, records.grey, 1)
            histogram += np.bincount(levels.ravel(), minlength=LEVELS)
    others = sum(int((records.usable & ~records.depth["deep"]).sum()) for _, records in sets)
    clipped = int(((depth["low"] < low) | (depth["high"] > high)).sum())
    return GreyScale(low, high, origin, len(depth), clipped, others, histogram)


def _some(rows: np.ndarray, pixels: Pixels) -> Iterator[np.ndarray]:
    step = max(1, VALUES_AT_ONCE // pixels.side**2)
    yield from (rows[start : start + step] for start in range(0, len(rows), step))


def _keep(rows: list[int], levels: np.ndarray, pixels: Pixels, records: Records, channels: str) -> None:
    images = [in_channels(image, channels) for image in levels]
    for row, image in zip(rows, images, strict=True):
        pixels.write(row, image)
    records.describe(rows, images)
