"""Which images go into the store, and into which split."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import UserError
from pipeline.ingest.checks import check_losses, check_splits, group_notes, label_notes, leak_notes, split_notes
from pipeline.ingest.groups import groups_of
from pipeline.ingest.near import near_groups
from pipeline.ingest.reading import Pixels, Records
from pipeline.ingest.splitting import TEST, TRAIN, assign_splits, thin
from pipeline.params import Params
from pipeline.sources import Listing
from pipeline.store import SPLITS

THINNED = len(SPLITS)


@dataclass
class Selection:
    """What becomes of every image of the listing.

    Attributes:
        splits: int8 (N,), indices into train, val, test, thinned; -1 for an image that is left out for a reason.
        rows: int64 (N,), where the image lies in the store; -1 where it does not.
        groups: int64 (N,), of images that are split together, numbered from 0 by their first members.
        near: int64 (N,), likewise, of near duplicates alone.
        reasons: why an image is left out, by index.
        conflicting: indices of exact duplicates that carry different labels, one list for each image.
        notes: what is worth a word about the splits.
    """

    splits: np.ndarray
    rows: np.ndarray
    groups: np.ndarray
    near: np.ndarray
    reasons: dict[int, str] = field(default_factory=dict)
    conflicting: list[list[int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def order(self) -> np.ndarray:
        """int64, the listing's indices in the order of the store."""
        kept = np.flatnonzero(self.rows >= 0)
        return kept[np.argsort(self.rows[kept])]


def select(listing: Listing, records: Records, pixels: Pixels, params: Params) -> Selection:
    """Leaves out bad images and exact duplicates, groups near duplicates, splits, and thins to the long tail.

    Of exact duplicates one is kept: one of test before val before train where splits are given, so that training
    never sees a held-out image, else the first. Where they carry different labels none is: nobody can say which label
    is true, and either would teach or score an error.

    Raises:
        UserError: no image is left, a class loses most of its images, or has none in train or test, or the group
            pattern finds nothing.
    """
    data, count = params.data, len(listing)
    chosen = Selection(np.full(count, -1, np.int8), np.full(count, -1), np.arange(count), np.arange(count))
    chosen.reasons.update({index: str(records.reasons[index]) for index in sorted(records.reasons)})
    for copies in _exact_duplicates(listing, records):
        _leave_out_copies(copies, listing, chosen)
    left_out = np.fromiter(chosen.reasons, np.int64, len(chosen.reasons))
    kept = np.setdiff1d(np.arange(count), left_out, assume_unique=True)
    bad = {index: error.reason for index, error in sorted(records.reasons.items())}
    check_losses(listing, bad, chosen.conflicting, data.max_bad_fraction)
    if not len(kept):
        raise UserError(f"none of the {count:,} images can be used; the first: {chosen.reasons[0]}")
    channels = store_channels(records, kept)
    near = near_groups(
        records.hashes[kept], data.near_duplicate_bits, lambda rows: pixels.read(kept[rows], records.grey, channels)
    )
    keys = group_keys(listing, kept, data.group_pattern)
    groups = groups_of(near, _same_key(keys))
    splits = assign_splits(
        listing.labels[kept],
        listing.splits[kept],
        groups,
        listing.classes,
        (data.val_fraction, data.test_fraction),
        params.seed,
    )
    check_splits(splits, listing.splits[kept], listing.labels[kept], groups, near, listing.classes)
    chosen.near, chosen.groups = _over_all(near, kept, count), _over_all(groups, kept, count)
    chosen.splits[kept] = splits
    chosen.notes = [*group_notes(keys, data.group_pattern), *_notes(listing, chosen)]
    if data.long_tail:
        train = np.flatnonzero(chosen.splits == TRAIN)
        chosen.splits[thin(listing.labels, train, listing.classes, data.long_tail, params.seed)] = THINNED
    stored = np.flatnonzero((chosen.splits >= TRAIN) & (chosen.splits <= TEST))
    chosen.rows[stored[np.argsort(chosen.splits[stored], kind="stable")]] = np.arange(len(stored))
    return chosen


def _notes(listing: Listing, chosen: Selection) -> list[str]:
    return [
        *split_notes(listing, chosen.splits, chosen.near),
        *leak_notes(listing, chosen.splits, chosen.near, chosen.groups),
        *label_notes(listing, chosen.conflicting),
    ]


def store_channels(records: Records, kept: np.ndarray) -> int:
    """1 if every image that is kept is grey, else 3."""
    return 1 if records.grey[kept].all() else 3


def _exact_duplicates(listing: Listing, records: Records) -> Iterator[list[int]]:
    """Indices of images with the same pixels, the one to keep first."""
    usable = np.flatnonzero(records.usable)
    digests = records.digest[usable].view(f"V{records.digest.shape[1]}")[:, 0]
    _, first, number, sizes = np.unique(digests, return_index=True, return_inverse=True, return_counts=True)
    copied = np.flatnonzero(sizes[number] > 1)
    order = np.lexsort((copied, -listing.splits[usable[copied]], first[number[copied]]))
    ordered = copied[order]
    cuts = np.flatnonzero(np.diff(number[ordered])) + 1
    for part in np.split(usable[ordered], cuts) if len(ordered) else []:
        yield part.tolist()


def _leave_out_copies(copies: list[int], listing: Listing, chosen: Selection) -> None:
    names = {index: listing.classes[listing.labels[index]] for index in copies}
    if len(set(names.values())) == 1:
        chosen.reasons.update(dict.fromkeys(copies[1:], f"exact duplicate of {listing.paths[copies[0]]}"))
        return
    chosen.conflicting.append(copies)
    for index in copies:
        other = next(copy for copy in copies if names[copy] != names[index])
        chosen.reasons[index] = f"exact duplicate under another label: {listing.paths[other]} ({names[other]})"


def group_keys(listing: Listing, kept: np.ndarray, pattern: str) -> list[str]:
    """What no split may part, of each image in ``kept``; ``""`` for none.

    The source's own group comes first, then what ``pattern`` finds in the path (its first group, or all of it).

    Raises:
        UserError: there is a pattern, and it finds nothing anywhere: what belongs together would be parted.
    """
    regex = re.compile(pattern) if pattern else None
    keys, found = [], 0
    for index in kept.tolist():
        key = listing.groups[index] if listing.groups else ""
        if regex and (match := regex.search(listing.paths[index])) and (own := match.group(1 if regex.groups else 0)):
            key, found = key or own, found + 1
        keys.append(key)
    if regex and not found:
        raise UserError(
            f"data.group_pattern: {pattern!r} finds nothing in any of the {len(kept):,} paths, the first of which is "
            f"{listing.paths[kept[0]]!r}, so that nothing would be kept together; mend it, or leave it empty"
        )
    return keys


def _same_key(keys: list[str]) -> np.ndarray:
    """Pairs of positions, int64 (P, 2): the first image of a group key, and each other one of that key."""
    members: dict[str, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        if key:
            members[key].append(position)
    pairs = [(rows[0], other) for rows in members.values() for other in rows[1:]]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _over_all(groups: np.ndarray, kept: np.ndarray, count: int) -> np.ndarray:
    """The groups of ``kept`` among all images; every image that is left out stands alone."""
    everywhere = np.arange(count) + len(groups)
    everywhere[kept] = groups
    _, first, number = np.unique(everywhere, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]
