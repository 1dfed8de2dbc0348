"""Train, val and test: stratified by class, whole groups at a time, and the long tail."""

from collections.abc import Sequence

import numpy as np

from gan.seeds import derive
from pipeline.params import LongTail

TRAIN, VAL, TEST = range(3)


def assign_splits(
    labels: np.ndarray,
    given: np.ndarray,
    groups: np.ndarray,
    classes: Sequence[str],
    fractions: tuple[float, float],
    seed: int,
) -> np.ndarray:
    """The split of every image.

    Given splits stay. Where the source has no val (or no test), it is drawn from the images that are given as train or
    not at all, as that fraction of each class. An image without a split whose group reaches into a given val or test
    follows it; a train image whose group does is not drawn. A class gets at least one image in every split if it has
    as many groups; with two groups it is train and test that get one.

    Args:
        labels: int64 (N,).
        given: int8 (N,), indices into :data:`pipeline.store.SPLITS`, -1 for none.
        groups: int64 (N,), numbered from 0; a group is drawn as a whole.
        classes: their names, which name the random streams as well.
        fractions: of val and of test.
        seed: the project's.

    Returns:
        int8 (N,), indices into SPLITS.
    """
    splits = given.copy()
    held = np.full(int(groups.max()) + 1, -1, np.int8)
    for split in (VAL, TEST):
        held[groups[given == split]] = split
    follows = (given < 0) & (held[groups] >= 0)
    splits[follows] = held[groups[follows]]
    splits[splits < 0] = TRAIN
    drawn = {split: f for split, f in zip((VAL, TEST), fractions, strict=True) if not (given == split).any()}
    pool = np.flatnonzero((splits == TRAIN) & (held[groups] < 0))
    if drawn and len(pool):
        splits[pool] = _Assignment(labels[pool], groups[pool], classes, drawn, seed).run()
    return splits


def thin(labels: np.ndarray, train: np.ndarray, classes: Sequence[str], tail: LongTail, seed: int) -> np.ndarray:
    """The train images to leave out so that class k of K keeps round(head (tail / head)^(k / (K - 1))) of them.

    Args:
        labels: int64 (N,).
        train: int64 (n,), the rows of the train split.
        classes: their names.
        tail: the profile; a class that has fewer images keeps all of them.
        seed: the project's.

    Returns:
        int64, sorted rows out of ``train``.
    """
    left_out = [np.zeros(0, np.int64)]
    for label, name in enumerate(classes):
        rows = train[labels[train] == label]
        keep = round(tail.head * (tail.tail / tail.head) ** (label / max(1, len(classes) - 1)))
        rng = np.random.default_rng(derive(seed, "ingest.long_tail", name))
        left_out.append(rng.permutation(rows)[keep:])
    return np.sort(np.concatenate(left_out))


class _Assignment:
    """Assigns splits class by class, the rarest first; a group goes with the rarest of its classes."""

    def __init__(
        self, labels: np.ndarray, groups: np.ndarray, classes: Sequence[str], drawn: dict[int, float], seed: int
    ) -> None:
        self._labels, self._classes, self._seed = labels, classes, seed
        _, self._groups = np.unique(groups, return_inverse=True)
        sizes = np.bincount(labels, minlength=len(classes))
        self._splits = np.full(len(labels), TRAIN, np.int8)
        self._codes = [TRAIN, *sorted(drawn, reverse=True)]  # the order in which they get their first image
        self._have = np.zeros((len(classes), 3), np.int64)
        self._want = np.zeros((len(classes), 3), np.int64)
        for split, fraction in drawn.items():
            self._want[:, split] = np.maximum(1, np.floor(sizes * fraction + 0.5))
        self._want[:, TRAIN] = sizes - self._want.sum(axis=1)
        rank = np.argsort(np.argsort(sizes, kind="stable"))
        self._order = np.argsort(rank)
        owner = np.full(self._groups.max() + 1, len(classes))
        np.minimum.at(owner, self._groups, rank[labels])
        self._owner = self._order[owner]

    def run(self) -> np.ndarray:
        """Splits of all images, int8 (N,)."""
        members = np.argsort(self._groups, kind="stable")
        sizes = np.bincount(self._groups)
        starts = np.cumsum(sizes) - sizes
        for label in self._order.tolist():
            rng = np.random.default_rng(derive(self._seed, "ingest.split", self._classes[label]))
            own = rng.permutation(np.flatnonzero(self._owner == label))
            own = own[np.argsort(-sizes[own], kind="stable")]  # large ones first, while there is room to even out
            several = own[sizes[own] > 1]
            for done, group in enumerate(several.tolist()):
                rows = members[starts[group] : starts[group] + sizes[group]]
                self._place(rows, self._choose(label, len(own) - done))
            self._place_singles(members[starts[own[len(several) :]]], label)
        return self._splits

    def _empty(self, label: int, room: int) -> list[int]:
        """Splits that have none of the class yet, at most as many as there are groups left for them."""
        return [split for split in self._codes if not self._have[label, split]][:room]

    def _choose(self, label: int, left: int) -> int:
        """The split that misses most; an empty one if there are only as many groups left as empty splits."""
        empty = self._empty(label, left)
        choices = empty if len(empty) == left else self._codes
        return max(choices, key=lambda split: self._want[label, split] - self._have[label, split])

    def _place_singles(self, rows: np.ndarray, label: int) -> None:
        """Groups of one image fill up what is wanted exactly; the rest is for training."""
        missing = {split: max(0, int(self._want[label, split] - self._have[label, split])) for split in self._codes}
        first = {split: int(split in self._empty(label, len(rows))) for split in self._codes}
        room = len(rows) - sum(first.values())
        for split in self._codes[1:]:
            more = min(room, max(0, missing[split] - first[split]))
            count, room = first[split] + more, room - more
            self._place(rows[:count], split)
            rows = rows[count:]
        self._place(rows, TRAIN)

    def _place(self, rows: np.ndarray, split: int) -> None:
        self._splits[rows] = split
        np.add.at(self._have[:, split], self._labels[rows], 1)
