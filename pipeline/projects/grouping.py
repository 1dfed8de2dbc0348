"""Which images of a set probably belong together: those of one patient, part or scene."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.sources import Listing

FOLDERS = r"([^/]+)/[^/]+$"
"""The folder that an image lies in, where that is not its class."""

PREFIXES = (
    r"([^/]+?)[-_. ]?\(?\d+\)?\.\w+$",
    r"([^/_-]+)[-_][^/]*$",
)
"""What stands before the last number of a file's name, and before its first ``-`` or ``_``."""

LEAST_KEYS = 10
"""Groups of a class, so that each split gets some."""
MOST_EACH = 50
"""Images of one group on average; of more it is a kind of image, not a patient."""
GROUPED = 0.8
"""The share of the images that share their group with another one."""


@dataclass(frozen=True)
class Groups:
    """What belongs together.

    Attributes:
        pattern: for ``data.group_pattern``.
        count: of groups.
        example: names of two images of one group.
    """

    pattern: str
    count: int
    example: tuple[str, str]


def likely_groups(listing: Listing) -> Groups | None:
    """The groups that folders or names speak of; None where they speak of none, or the source gives its own.

    Conservative: most images share their key with another one, no key is a class, and every class has
    :data:`LEAST_KEYS` of them.
    """
    if listing.groups is not None:
        return None
    for pattern in _patterns(listing):
        keys = [(found[1] if (found := re.search(pattern, path)) else "") for path in listing.paths]
        if (groups := _judged(pattern, keys, listing)) is not None:
            return groups
    return None


def _patterns(listing: Listing) -> Iterator[str]:
    if _below_classes(listing.paths):
        yield FOLDERS
    yield from PREFIXES


def _below_classes(paths: Sequence[str]) -> bool:
    """Whether images lie in folders of different names below their class folders."""
    parents = Counter(path.rpartition("/")[0] for path in islice(paths, 10_000))
    return len(parents) > LEAST_KEYS


def _judged(pattern: str, keys: list[str], listing: Listing) -> Groups | None:
    counts = Counter(key for key in keys if key)
    if not counts or set(listing.classes) & set(counts):
        return None
    shared = sum(count for count in counts.values() if count > 1)
    if shared < GROUPED * len(keys) or len(keys) / len(counts) > MOST_EACH:
        return None
    of_class = defaultdict(set)
    for key, label in zip(keys, listing.labels.tolist(), strict=True):
        of_class[label].add(key)
    if min(map(len, of_class.values())) < LEAST_KEYS:
        return None
    if _numbers_alone(counts):
        return None
    first = next(key for key in keys if counts[key] > 1)
    one, other = islice((path for path, key in zip(listing.paths, keys, strict=True) if key == first), 2)
    return Groups(pattern, len(counts), (one, other))


def _numbers_alone(counts: Counter[str]) -> bool:
    """Whether the keys are the first digits of running numbers: ``0012.png`` is no patient 001."""
    sizes = np.array(list(counts.values()))
    return all(key.isdigit() for key in counts) and bool(sizes.max() <= 10)
