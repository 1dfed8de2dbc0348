"""Images as the classifier takes them: decoded as ``ingest`` decoded those that it learnt from, a few at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.classifier.shipped import Images
from pipeline.ingest.decode import Decoded, Target, decode, in_channels
from pipeline.ingest.grey import to_levels, type_range
from pipeline.ingest.memory import FILES, READING, file_bytes
from pipeline.ingest.opening import open_image, quiet
from pipeline.runtime import usable_cores
from pipeline.sources.base import BadImageError, Payload, Source
from pipeline.threads import in_order

AT_ONCE = 256  # images that the network is asked of in one batch

Task = tuple[int, Callable[[], Payload]]


class Batch(NamedTuple):
    """Some images of a source.

    Attributes:
        rows: of each of its images, good ones first, the index in the listing.
        images: uint8 (N, C, S, S), the good ones.
        reasons: why each of the others is bad.
    """

    rows: list[int]
    images: np.ndarray
    reasons: list[str]


def read_batches(source: Source, taken: Images) -> Iterator[Batch]:
    """Every image of ``source``, decoded in threads; memory does not grow with their number.

    Args:
        taken: what images the classifier takes.
    """
    tasks = source.images()
    chunks = iter(lambda: list(islice(tasks, AT_ONCE)), [])
    workers = usable_cores()
    pool = ThreadPoolExecutor(workers, "predict")
    try:
        with quiet():
            yield from in_order(pool, partial(_batch, taken=taken), chunks, 2 * workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _batch(tasks: list[Task], taken: Images) -> Batch:
    good: list[int] = []
    images: list[np.ndarray] = []
    bad: dict[int, str] = {}
    for index, read in tasks:
        try:
            images.append(_read(read, taken))
            good.append(index)
        except BadImageError as error:
            bad[index] = str(error)
    shape = (len(images), taken.channels, taken.image_size, taken.image_size)
    return Batch([*good, *bad], np.array(images, np.uint8).reshape(shape), list(bad.values()))


def _read(read: Callable[[], Payload], taken: Images) -> np.ndarray:
    """One image, uint8 (C, S, S); its file is gone when this returns, before its room is given back."""
    grey_range = taken.grey_range if isinstance(taken.grey_range, str) else tuple(taken.grey_range)
    target = Target(taken.image_size, taken.colour, taken.fit, grey_range)  # type: ignore[arg-type]
    with FILES.hold(READING) as held:
        data = read()
        image = open_image(data)
        file = b"" if isinstance(data, Image.Image) else data
        held.shrink(file_bytes(image, file))
        return _as_trained(decode(image, target, file), taken)


def _as_trained(decoded: Decoded, taken: Images) -> np.ndarray:
    """Brings what the train images were brought to as a set: their levels and their channels."""
    pixels = decoded.pixels
    if pixels.dtype == np.float32:  # deep grey, in the file's own values
        assert decoded.depth is not None
        ends = (taken.levels.low, taken.levels.high) if taken.levels else type_range(decoded.depth.floats)
        pixels = in_channels(to_levels(pixels[0], *ends, decoded.inverted), taken.colour)
    if len(pixels) == taken.channels:
        return pixels
    if taken.channels == 3:
        return np.repeat(pixels, 3, axis=0)
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).convert("L"))[None]
