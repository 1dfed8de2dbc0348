"""What a set of images is: classes, sizes, colour, copies, splits and groups, as far as choices hang on it."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.ingest.decode import Target
from pipeline.ingest.opening import open_image, quiet
from pipeline.ingest.reading import Pixels, Records, read_all
from pipeline.ingest.selection import Selection, select, store_channels
from pipeline.ingest.settling import settle
from pipeline.ingest.splitting import TRAIN
from pipeline.params import DataParams, Params
from pipeline.projects.grouping import Groups, likely_groups
from pipeline.projects.mirroring import Mirrored, mirrored
from pipeline.sources import BadImageError, Listing, Payload, Source
from pipeline.store import SPLITS

MOST = 2000
"""Images that are decoded to learn what the set is; of a larger one this many, evenly from each class."""

MEASURED = 200
"""Images whose size is looked at before it is decided to which they are brought."""


class Sides(NamedTuple):
    """Shorter sides of the images in pixels: of the smallest, the middle and the largest."""

    least: int
    middle: int
    most: int


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
        data: what opens the source, with the size, fractions and groups that a split works with.
        listing: of the whole source.
        sides: of the images looked at.
        seen: how many images were decoded.
        channels: 1 for grey, 3 for colour.
        bad: images of those that cannot be read.
        copies: exact duplicates of those.
        near: images of those that have a near duplicate.
        counts: images by class (K,), of each split, told for the whole set.
        groups: what names or folders say that belongs together, and is kept in one split.
        notes: what had to be done so that every class can be taught and tested.
        mirrored: what becomes of the train images when they are mirrored; None where that was not looked at.
    """

    data: DataParams
    listing: Listing
    sides: Sides
    seen: int
    channels: int
    bad: int
    copies: int
    near: int
    counts: dict[str, np.ndarray]
    groups: Groups | None
    notes: tuple[str, ...] = ()
    mirrored: Mirrored | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return self.listing.classes

    @property
    def train(self) -> list[int]:
        """Train images a class, at least one."""
        return [max(1, count) for count in self.counts["train"].tolist()]

    @property
    def given(self) -> list[str]:
        """The splits that the source gives."""
        return [name for code, name in enumerate(SPLITS) if (self.listing.splits == code).any()]


def sides_of(source: Source) -> Sides:
    """The sizes of some images, by their headers.

    Raises:
        UserError: none of them is an image that can be read.
    """
    found, first = [], ""
    with quiet():
        for index, read in islice(source.images(), MEASURED):
            try:
                found.append(min(open_image(read()).size))
            except BadImageError as error:
                first = first or f"{source.listing.paths[index]}: {error}"
    if not found:
        raise UserError(f"--images: none of the first {MEASURED} images can be read; the first: {first}")
    ordered = sorted(found)
    return Sides(ordered[0], ordered[len(ordered) // 2], ordered[-1])


def look(source: Source, data: DataParams, sides: Sides, seed: int = 0) -> Look:
    """Decodes up to :data:`MOST` images at the size of ``data``, and tries how they split.

    Near duplicates and likely groups are kept together where every class can still be taught and tested so; where not,
    fewer of them are, and ``notes`` say so.

    Raises:
        UserError: too many bad images, or a class that no way of splitting can teach and test.
    """
    some = _Some.of(source)
    with tempfile.TemporaryDirectory(prefix="augmint-") as folder:
        target = Target(data.image_size, data.channels, data.fit, data.grey_range)
        with Pixels(Path(folder) / "pixels.raw", len(some.listing), target) as pixels:
            records = read_all(some, pixels, target, data.max_bad_fraction, "init")
            settle([(pixels, records)], data.grey_range, data.channels)
            chosen, data, groups, notes = _split(
                some.listing, records, pixels, data, likely_groups(source.listing), seed
            )
            channels = store_channels(records, np.flatnonzero(records.usable))
            train = np.flatnonzero(chosen.splits == TRAIN)
            flipped = mirrored(
                lambda rows: pixels.read(train[rows], records.grey, channels),
                some.listing.labels[train],
                chosen.groups[train],
                seed,
            )
    bad = len(records.reasons)
    _, sizes = np.unique(chosen.near[chosen.splits >= 0], return_counts=True)
    return Look(
        data=data,
        listing=source.listing,
        sides=sides,
        seen=len(some.listing),
        channels=channels,
        bad=bad,
        copies=len(chosen.reasons) - bad,
        near=int(sizes[sizes > 1].sum()),
        counts=_scaled(source.listing, some.listing, chosen),
        groups=groups,
        notes=tuple(notes),
        mirrored=flipped,
    )


class _Some:
    """A part of another source."""

    def __init__(self, source: Source, rows: np.ndarray) -> None:
        whole = source.listing
        self._source, self._place = source, {int(row): place for place, row in enumerate(rows.tolist())}
        self.listing = replace(
            whole,
            paths=[whole.paths[row] for row in rows.tolist()],
            labels=whole.labels[rows],
            splits=whole.splits[rows],
            groups=[whole.groups[row] for row in rows.tolist()] if whole.groups is not None else None,
            ignored=Counter(),
        )

    @classmethod
    def of(cls, source: Source) -> Source:
        """All of a small source; of a large one :data:`MOST` images, as many of each class and split as it can give."""
        listing = source.listing
        if len(listing) <= MOST:
            return source
        kinds = listing.labels * (len(SPLITS) + 1) + listing.splits + 1
        order = np.argsort(kinds, kind="stable")
        _, starts, sizes = np.unique(kinds[order], return_index=True, return_counts=True)
        each = max(1, MOST // len(sizes))
        chosen = [
            start + np.unique(np.linspace(0, size - 1, min(size, each)).astype(int))
            for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
        ]
        return cls(source, np.sort(order[np.concatenate(chosen)]))

    def images(self) -> Iterator[tuple[int, Callable[[], Payload]]]:
        """See :class:`pipeline.sources.base.Source`."""
        for row, read in self._source.images():
            if (place := self._place.get(row)) is not None:
                yield place, read


def _split(
    listing: Listing, records: Records, pixels: Pixels, data: DataParams, groups: Groups | None, seed: int
) -> tuple[Selection, DataParams, Groups | None, list[str]]:
    """A split that teaches and tests every class, with as much kept together as possible."""
    notes, first = [], None
    for pattern in dict.fromkeys((groups.pattern if groups else "", "")):
        for bits in (data.near_duplicate_bits, 2, 0):
            tried = data.model_copy(update={"group_pattern": pattern, "near_duplicate_bits": bits})
            try:
                chosen = select(listing, records, pixels, Params(seed=seed, data=tried))
            except UserError as error:
                first = first or error
                continue
            if first is not None:
                notes.append(str(first))
            return chosen, tried, groups if pattern else None, notes
    assert first is not None
    raise first


def _scaled(whole: Listing, some: Listing, chosen: Selection) -> dict[str, np.ndarray]:
    """Images by class of each split, of the whole set, as the part of it tells."""
    size = len(whole.classes)
    kinds: dict[str, np.ndarray] = {}
    for code, name in enumerate(SPLITS):
        counts = np.zeros(size)
        for given in (-1, 0, 1, 2):
            here, there = some.splits == given, whole.splits == given
            taken = np.bincount(some.labels[here & (chosen.splits == code)], minlength=size)
            of = np.bincount(some.labels[here], minlength=size)
            counts += taken / np.maximum(1, of) * np.bincount(whole.labels[there], minlength=size)
        kinds[name] = np.floor(counts + 0.5).astype(int)
    return kinds
