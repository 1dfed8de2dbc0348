"""Which images each fold tests, chooses by and trains on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gan.seeds import derive
from pipeline.errors import UserError
from pipeline.ingest.splitting import TEST, TRAIN, assign_splits, thin
from pipeline.params import Params, StudyParams
from pipeline.reading.documents import again
from pipeline.store import SPLITS, Store
from pipeline.wording import listed

LEFT_OUT = len(SPLITS)
SEEDS = 2**32  # of params.yaml


@dataclass(frozen=True)
class Fold:
    """One fold of one repeat, both counted from 0; called ``0-3``."""

    repeat: int
    number: int

    def __str__(self) -> str:
        return f"{self.repeat}-{self.number}"

    def seed(self, seed: int) -> int:
        """Of all that the fold draws: its inner split, its generator, its classifiers.

        Args:
            seed: the project's.
        """
        return derive(seed, "study.fold", self.repeat, self.number) % SEEDS


def all_folds(study: StudyParams) -> list[Fold]:
    """The folds of a study, repeat by repeat."""
    return [Fold(repeat, number) for repeat in range(study.repeats) for number in range(study.folds)]


def read_groups(store: Store) -> np.ndarray:
    """The group of each image of the store, int64 (N,): near duplicates and what a group key holds together.

    Raises:
        UserError: the store's manifest is not there, or of other images.
    """
    path = store.folder / "manifest.parquet"
    try:
        table = pq.ParquetFile(path).read(["row", "path", "group"])
        table = table.filter(pc.is_valid(table["row"]))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path}: not readable ({error}); {again('ingest')}") from None
    rows = table["row"].to_numpy()
    if not np.array_equal(np.sort(rows), np.arange(len(store.labels))):
        raise UserError(f"{path}: its rows are not those of the store; {again('ingest')}")
    names = pc.coalesce(table["group"], table["path"]).dictionary_encode().combine_chunks().indices
    groups = np.empty(len(rows), np.int64)
    groups[rows] = names.to_numpy()
    return groups


def assign_folds(
    labels: np.ndarray, groups: np.ndarray, classes: Sequence[str], folds: int, seed: int, repeat: int
) -> np.ndarray:
    """The fold that tests each image, int64 (N,): every class spread evenly, every group whole.

    Class by class, the rarest first, each group goes to the fold that has the fewest images of the class, large groups
    before small ones.

    Args:
        labels: int64 (N,).
        groups: int64 (N,).
        classes: their names, which name the random streams as well.
        seed: the project's.

    Raises:
        UserError: a class is in one group, so that the fold that tests it cannot train it.
    """
    _, number = np.unique(groups, return_inverse=True)
    sizes = np.bincount(labels, minlength=len(classes))
    rank = np.argsort(np.argsort(sizes, kind="stable"))
    owner = np.full(int(number.max()) + 1, len(classes))
    np.minimum.at(owner, number, rank[labels])
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    have = np.zeros((folds, len(classes)), np.int64)
    result = np.empty(len(labels), np.int64)
    for place, label in enumerate(np.argsort(rank).tolist()):
        if len(np.unique(number[labels == label])) == 1:
            raise UserError(
                f"study: all images of class {classes[label]!r} are in one group, which one fold tests, so that it "
                "has none to train on; add images of another group, or take the class out of the source"
            )
        rng = np.random.default_rng(derive(seed, "study.folds", repeat, classes[label]))
        own = rng.permutation(np.flatnonzero(owner == place)).tolist()
        for group in sorted(own, key=lambda one: -len(members[one])):
            fold = int(np.lexsort((have.sum(axis=1), have[:, label]))[0])
            result[members[group]] = fold
            np.add.at(have[fold], labels[members[group]], 1)
    return result


def split_of(
    params: Params, labels: np.ndarray, groups: np.ndarray, tested: np.ndarray, classes: Sequence[str], seed: int
) -> np.ndarray:
    """The split of every image in one fold, int8 (N,): indices into SPLITS, :data:`LEFT_OUT` for what is thinned.

    The images that the fold does not test are split into train and val by ``data.val_fraction``, and thinned by
    ``data.long_tail``, as ``ingest`` does it.

    Args:
        tested: bool (N,), the fold's test images.
        seed: the fold's.
    """
    _, number = np.unique(groups, return_inverse=True)
    given = np.where(tested, TEST, -1).astype(np.int8)
    splits = assign_splits(labels, given, number, classes, (params.data.val_fraction, 0.5), seed)
    if params.data.long_tail:
        splits[thin(labels, np.flatnonzero(splits == TRAIN), classes, params.data.long_tail, seed)] = LEFT_OUT
    return splits


def notes(store: Store, groups: np.ndarray, folds: int) -> Iterator[str]:
    """What is worth a word about the folds of this set."""
    counts = [len(np.unique(groups[store.labels == label])) for label in range(len(store.classes))]
    few = [name for name, count in zip(store.classes, counts, strict=True) if count < folds]
    if few:
        yield f"fewer groups of images than folds, so that some folds test none of these classes: {listed(few)}"


def wanted_folds(text: str, study: StudyParams) -> list[Fold]:
    """The folds that ``--folds 0,3`` asks for: of every repeat the numbers, or single ones as ``1-3``.

    Raises:
        UserError: there is no such fold.
    """
    folds = all_folds(study)
    if not text:
        return folds
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not any(word in (str(fold), str(fold.number)) for fold in folds):
            raise UserError(
                f"--folds {text}: no fold {word!r}; params.yaml asks for {study.folds} folds, 0 to "
                f"{study.folds - 1}" + (f", in {study.repeats} repeats (such as 1-0)" if study.repeats > 1 else "")
            )
    return [fold for fold in folds if str(fold) in words or str(fold.number) in words]
