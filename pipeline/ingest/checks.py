"""Whether the splits can teach and test every class, and, where they cannot, why."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from pipeline.errors import UserError
from pipeline.sources import Listing
from pipeline.store import SPLITS
from pipeline.wording import counted, listed

TRAIN, VAL, TEST = range(3)
MOST = 0.5


def check_losses(
    listing: Listing, bad: Mapping[int, str], conflicting: Collection[Sequence[int]], max_bad_fraction: float
) -> None:
    """Checks that no class loses most of its images.

    Args:
        listing: of the source.
        bad: the reason why an image cannot be used, by index.
        conflicting: indices of exact duplicates under different labels, of which none is kept.
        max_bad_fraction: what the user puts up with.

    Raises:
        UserError: a class loses more than half, and more than ``max_bad_fraction``.
    """
    twice = [index for copies in conflicting for index in copies]
    lost = np.bincount(listing.labels[[*bad, *twice]], minlength=len(listing.classes))
    sizes = np.bincount(listing.labels, minlength=len(listing.classes))
    over = np.flatnonzero(lost > max(MOST, max_bad_fraction) * sizes)
    if not len(over):
        return
    label = int(over[0])
    reasons = Counter(reason for index, reason in bad.items() if listing.labels[index] == label)
    remedy = "mend or replace them"
    if pair := next((c for c in conflicting if label in listing.labels[list(c)]), None):
        reasons["exact duplicates of images under another label"] = int((listing.labels[twice] == label).sum())
        paths = [listing.paths[index] for index in pair[:2]]
        remedy += f"; of images under two labels ({paths[0]} and {paths[1]}) keep one"
    raise UserError(
        f"class {listing.classes[label]!r} keeps {sizes[label] - lost[label]:,} of its {sizes[label]:,} images: "
        f"{counted(reasons)}; {remedy}, or take the class out of the source"
    )


def check_splits(
    splits: np.ndarray,
    given: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    near: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Checks that every class can be learnt and tested, and the set be validated.

    Args:
        splits: int8 (N,), indices into :data:`pipeline.store.SPLITS`.
        given: int8 (N,), likewise, as the source gives them; -1 for none.
        labels: int64 (N,).
        groups: int64 (N,), of images that are split together.
        near: int64 (N,), of near duplicates alone.
        classes: their names.

    Raises:
        UserError: a class has no image in train or in test, or the set has none in val.
    """
    for split in (TRAIN, TEST):
        counts = np.bincount(labels[splits == split], minlength=len(classes))
        if lacking := np.flatnonzero(counts == 0).tolist():
            mine = labels == lacking[0]
            what = f"class {classes[lacking[0]]!r} has no image in {SPLITS[split]}"
            if (given[mine] >= 0).all() and ((given == split).any() or split == TRAIN):
                raise UserError(_given(what, splits[mine], [classes[label] for label in lacking], SPLITS[split]))
            raise UserError(f"{what}: {_cause(groups[mine], near[mine])}")
    if not (splits == VAL).any():
        raise UserError(f"no image in val: {_cause(groups, near)}")


def _given(what: str, splits: np.ndarray, classes: list[str], split: str) -> str:
    counts = np.bincount(splits, minlength=len(SPLITS))
    where = counted({f"in {name}": count for name, count in zip(SPLITS, counts.tolist(), strict=True) if count})
    others = f" (nor have {listed(classes[1:])})" if classes[1:] else ""
    return (
        f"{what}{others}: the source gives its own splits, and has {where}; give {split} some images of it, take the "
        "class out of all splits, or give no splits, so that they are drawn"
    )


def _cause(groups: np.ndarray, near: np.ndarray) -> str:
    count, largest = len(groups), int(np.unique(near, return_counts=True)[1].max())
    together = len(np.unique(groups))
    if largest > max(1, MOST * count):
        return (
            f"{largest:,} of {count:,} usable images count as near duplicates of one another, which stay in one split; "
            "if they are different things that look alike, as under one fixed camera, lower data.near_duplicate_bits "
            "(0 looks for none), and name what belongs together by data.group_pattern; else add other images"
        )
    if together < count:
        return (
            f"its {count:,} usable images are in {together:,} groups, which stay in one split; add images of other "
            "groups, take the class out, or make smaller groups (data.group_pattern, the table's column 'group', "
            "data.near_duplicate_bits)"
        )
    return f"usable images: {count:,}; add some to the source, or take the class out"


def split_notes(listing: Listing, splits: np.ndarray, near: np.ndarray) -> list[str]:
    """What is worth a word though it is no error: a given val without a class, and a class of near duplicates.

    Args:
        listing: of the source, N images.
        splits: int8 (N,), indices into SPLITS; negative for what is left out.
        near: int64 (N,), of near duplicates.
    """
    used = splits >= 0
    notes = []
    held = np.bincount(listing.labels[splits == VAL], minlength=len(listing.classes))
    if (listing.splits == VAL).any() and (missing := np.flatnonzero(held == 0).tolist()):
        notes.append(f"the given val has no image of {listed([listing.classes[label] for label in missing])}")
    for label, name in enumerate(listing.classes):
        mine = used & (listing.labels == label)
        groups, sizes = np.unique(near[mine], return_counts=True)
        largest = int(sizes.max())
        if largest > max(2, MOST * int(sizes.sum())):
            apart = len(np.unique(splits[mine & (near == groups[sizes.argmax()])])) > 1
            where = "lie in several of the given splits" if apart else "stay in one split"
            notes.append(
                f"class {name!r}: {largest:,} of {sizes.sum():,} images count as near duplicates of one another and "
                f"{where} (data.near_duplicate_bits)"
            )
    return notes


def leak_notes(listing: Listing, splits: np.ndarray, near: np.ndarray, groups: np.ndarray) -> list[str]:
    """A word on images that belong together and that the source's own splits part.

    Args:
        listing: of the source, N images.
        splits: int8 (N,), indices into SPLITS; negative for what is left out.
        near: int64 (N,), of near duplicates.
        groups: int64 (N,), of all that is split together where augmint draws the splits.
    """
    if (listing.splits < 0).all():  # augmint drew them, and parts nothing
        return []
    kinds = [("groups of near duplicates (data.near_duplicate_bits)", near)]
    if (groups != near).any():
        kinds.append(("groups by name (data.group_pattern, the source's groups)", groups))
    notes = []
    for what, numbers in kinds:
        if pairs := _parted(splits, numbers):
            shown = " and ".join(f"{listing.paths[row]} ({SPLITS[splits[row]]})" for row in pairs[0])
            notes.append(
                f"warning: the given splits part {len(pairs):,} {what}, such as {shown}: what is held out may have "
                "been seen before; give no splits, so that augmint draws them, or move such images to one side"
            )
    return notes


def _parted(splits: np.ndarray, groups: np.ndarray) -> list[tuple[int, int]]:
    """Of each of ``groups`` (N,) that has images in several splits one in the first and one in the last of these."""
    rows = np.flatnonzero(splits >= 0)
    ordered = rows[np.lexsort((rows, splits[rows], groups[rows]))]
    cuts = np.flatnonzero(np.diff(groups[ordered])) + 1
    first, last = ordered[[0, *cuts]], ordered[[*(cuts - 1), -1]]
    several = splits[first] != splits[last]
    return list(zip(first[several].tolist(), last[several].tolist(), strict=True))


def group_notes(keys: Sequence[str], pattern: str) -> list[str]:
    """What is worth a word of the keys of groups (N,): that some images have none, or that no two share one.

    Args:
        keys: ``""`` for none.
        pattern: ``data.group_pattern``, for the words.
    """
    counts = Counter(key for key in keys if key)
    if not counts:
        return []
    named = "data.group_pattern" if pattern else "the source's groups"
    if counts.total() == len(counts):
        return [f"{named}: all {len(counts):,} groups are of one image each, so that nothing is kept together"]
    alone = len(keys) - counts.total()
    return [f"{named}: {alone:,} of {len(keys):,} images have no group, and are split one by one"] if alone else []


def label_notes(listing: Listing, conflicting: Sequence[Sequence[int]]) -> list[str]:
    """A word on images that are in the set under several labels, of which none is kept.

    Args:
        listing: of the source.
        conflicting: indices of exact duplicates under different labels, a list for each image.
    """
    if not conflicting:
        return []
    one = conflicting[0][0]
    other = next(index for index in conflicting[0] if listing.labels[index] != listing.labels[one])
    named = [f"{listing.paths[index]} ({listing.classes[listing.labels[index]]})" for index in (one, other)]
    return [
        f"{sum(map(len, conflicting)):,} of the exact duplicates are under several labels, such as "
        f"{' and '.join(named)}: none of these is kept, as nobody can say which label is true"
    ]
