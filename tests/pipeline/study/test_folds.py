"""Folds of sets with groups, rare classes and long tails."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.params import DataParams, LongTail, Params, StudyParams
from pipeline.store import SPLITS, Store, write_store
from pipeline.study.folds import LEFT_OUT, Fold, all_folds, assign_folds, notes, read_groups, split_of, wanted_folds

NAMES = ("a", "b", "c")


def _set(seed: int, grouped: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(3), rng.integers(20, 90, 3)))
    groups = np.arange(len(labels))
    joined = rng.random(len(labels)) < grouped
    groups[joined] = rng.integers(0, 12, joined.sum())  # some of them of several classes
    return labels, groups


@given(st.integers(0, 10_000), st.integers(2, 10))
@settings(max_examples=40, deadline=None)
def test_every_image_is_tested_once_and_every_group_as_a_whole(seed: int, folds: int) -> None:
    labels, groups = _set(seed)
    found = assign_folds(labels, groups, NAMES, folds, seed, 0)
    assert set(found.tolist()) <= set(range(folds))
    assert all(len(np.unique(found[groups == group])) == 1 for group in np.unique(groups))
    again = assign_folds(labels, groups, NAMES, folds, seed, 0)
    assert np.array_equal(found, again)


def test_without_groups_the_folds_of_a_class_differ_by_one_image_at_most() -> None:
    labels = np.repeat(np.arange(3), [101, 38, 13])
    for folds in (3, 5, 10):
        found = assign_folds(labels, np.arange(152), NAMES, folds, 0, 0)
        table = np.stack([np.bincount(found[labels == label], minlength=folds) for label in range(3)])
        assert (np.ptp(table, axis=1) <= 1).all()
        assert np.ptp(table.sum(axis=0)) <= 2
    assert not np.array_equal(found, assign_folds(labels, np.arange(152), NAMES, 10, 0, 1))  # the next repeat
    assert not np.array_equal(found, assign_folds(labels, np.arange(152), NAMES, 10, 1, 0))  # another seed


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_fold_chooses_on_images_that_it_neither_trains_on_nor_tests(seed: int) -> None:
    labels, groups = _set(seed)
    params = Params(data=DataParams(val_fraction=0.25))
    found = assign_folds(labels, groups, NAMES, 4, seed, 0)
    for number in range(4):
        splits = split_of(params, labels, groups, found == number, NAMES, Fold(0, number).seed(seed))
        assert np.array_equal(splits == 2, found == number)
        assert all(len(np.unique(splits[groups == group])) == 1 for group in np.unique(groups))
        assert (np.bincount(labels[splits == 0], minlength=3) > 0).all()
        rest = splits < 2
        assert (splits[rest] == 1).mean() == pytest.approx(0.25, abs=0.1)


def test_each_fold_has_the_long_tail_in_its_train_split_alone() -> None:
    labels = np.repeat(np.arange(3), 60)
    params = Params(data=DataParams(val_fraction=0.2, long_tail=LongTail(head=30, tail=5)))
    found = assign_folds(labels, np.arange(180), NAMES, 5, 0, 0)
    kept = []
    for number in range(5):
        splits = split_of(params, labels, np.arange(180), found == number, NAMES, Fold(0, number).seed(0))
        assert np.bincount(labels[splits == 0]).tolist() == [30, 12, 5]
        assert (splits == 2).sum() == 36
        assert (splits == LEFT_OUT).any()
        kept.append(np.flatnonzero(splits == 0))
    assert not np.array_equal(kept[0], kept[1])


def test_a_class_in_one_group_is_refused_and_few_groups_are_told(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(3), [20, 6, 4])
    groups = np.arange(30)
    groups[26:] = 26
    with pytest.raises(UserError, match="class 'c' are in one group"):
        assign_folds(labels, groups, NAMES, 5, 0, 0)
    groups[29] = 29
    found = assign_folds(labels, groups, NAMES, 5, 0, 0)
    assert len(np.unique(found[labels == 2])) == 2
    store = _store(tmp_path, labels, groups)
    assert list(notes(store, groups, 5)) == [
        "fewer groups of images than folds, so that some folds test none of these classes: 'c'"
    ]


def _store(folder: Path, labels: np.ndarray, groups: np.ndarray) -> Store:
    """A store whose rows are all in train but for two, and its manifest in another order."""
    count = len(labels)
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 8, 8), np.uint8)
    parts = dict(zip(SPLITS, np.split(labels, [count - 2, count - 1]), strict=True))
    write_store(folder, [images], parts, NAMES, (1, 8, 8), {})
    first = {group: f"image_{np.flatnonzero(groups == group)[0]}" for group in np.unique(groups)}
    rows = [
        {"path": f"image_{row}", "row": row, "group": first[groups[row]] if (groups == groups[row]).sum() > 1 else None}
        for row in range(count)
    ]
    rows.insert(3, {"path": "copy", "row": None, "group": None})
    pq.write_table(pa.Table.from_pylist(rows[::-1]), folder / "manifest.parquet")
    return Store.open(folder)


def test_groups_are_those_that_ingest_found(tmp_path: Path) -> None:
    labels, groups = _set(0)
    found = read_groups(_store(tmp_path, labels, groups))
    same = groups[:, None] == groups[None]
    assert np.array_equal(found[:, None] == found[None], same)
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"manifest\.parquet: not readable .*dvc repro --force ingest"):
        read_groups(Store.open(tmp_path))


def test_folds_are_asked_for_by_number_or_by_repeat_and_number() -> None:
    study = StudyParams(folds=3, repeats=2)
    assert [str(fold) for fold in all_folds(study)] == ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"]
    assert [str(fold) for fold in wanted_folds("0, 1-2", study)] == ["0-0", "1-0", "1-2"]
    assert wanted_folds("", study) == all_folds(study)
    with pytest.raises(UserError, match=r"no fold '3'; params\.yaml asks for 3 folds, 0 to 2, in 2 repeats"):
        wanted_folds("3", study)
    seeds = {fold.seed(0) for fold in all_folds(study)}
    assert len(seeds) == 6 and max(seeds) < 2**32
