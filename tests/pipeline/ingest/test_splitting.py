import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.splitting import TEST, TRAIN, VAL, assign_splits, thin
from pipeline.params import LongTail

NONE = -1


def split(
    labels: list[int], given: list[int] | None = None, groups: list[int] | None = None, **fields: object
) -> np.ndarray:
    count = len(labels)
    fractions = fields.get("fractions", (0.2, 0.3))
    return assign_splits(
        np.array(labels),
        np.array(given if given is not None else [NONE] * count, np.int8),
        np.array(groups if groups is not None else range(count)),
        [f"class {label}" for label in range(max(labels) + 1)],
        fractions,  # type: ignore[arg-type]
        int(fields.get("seed", 0)),  # type: ignore[call-overload]
    )


def counts(splits: np.ndarray, labels: list[int]) -> list[list[int]]:
    return [np.bincount(splits[np.array(labels) == label], minlength=3).tolist() for label in range(max(labels) + 1)]


def test_single_images_are_split_to_the_image() -> None:
    labels = [0] * 178 + [1] * 10 + [2] * 3
    assert counts(split(labels, fractions=(0.08, 0.3)), labels) == [[111, 14, 53], [6, 1, 3], [1, 1, 1]]


def test_two_groups_go_to_train_and_test() -> None:
    labels = [0] * 9 + [1] * 2
    assert counts(split(labels), labels)[1] == [1, 0, 1]


def test_the_seed_decides_and_nothing_else() -> None:
    labels = [0] * 50 + [1] * 50
    assert split(labels, seed=1).tolist() == split(labels, seed=1).tolist() != split(labels, seed=2).tolist()


def test_a_class_more_moves_no_image_of_the_others() -> None:
    labels = [0] * 50 + [1] * 50
    assert split([*labels, *[2] * 9])[:100].tolist() == split(labels).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_groups_stay_whole_and_every_class_is_everywhere(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(60), rng.integers(1, 8, 60))
    labels = (groups % 3).tolist()
    splits = split(labels, groups=groups.tolist(), seed=seed)
    for group in range(60):
        assert len(set(splits[groups == group].tolist())) == 1
    for have in counts(splits, labels):
        total = sum(have)
        assert min(have) >= 1
        assert abs(have[VAL] - 0.2 * total) <= 4
        assert abs(have[TEST] - 0.3 * total) <= 4


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=6), st.integers(0, 100))
def test_three_groups_of_any_size_reach_every_split(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes).tolist()
    labels = [0] * len(groups) + [1] * 10
    groups += list(range(len(sizes), len(sizes) + 10))
    assert min(counts(split(labels, groups=groups, seed=seed), labels)[0]) >= 1


def test_a_group_of_several_classes() -> None:
    labels = [0, 1] * 10 + [0] * 40 + [1] * 40
    groups = list(np.repeat(np.arange(10), 2)) + list(range(10, 90))
    splits = split(labels, groups=groups)
    assert (splits[:20].reshape(10, 2)[:, 0] == splits[:20].reshape(10, 2)[:, 1]).all()
    assert counts(splits, labels) == [[25, 10, 15], [25, 10, 15]]


def test_given_splits_stay_and_val_is_drawn_from_train() -> None:
    labels = [0, 1] * 50
    given = [TRAIN] * 60 + [TEST] * 40
    splits = split(labels, given)
    assert (splits[60:] == TEST).all()
    assert counts(splits, labels) == [[24, 6, 20], [24, 6, 20]]


def test_all_three_given() -> None:
    given = [TRAIN, TRAIN, VAL, TEST, TEST, VAL]
    assert split([0, 1] * 3, given).tolist() == given


def test_only_train_given_is_as_good_as_none() -> None:
    labels = [0, 1] * 20
    assert split(labels, [TRAIN] * 40).tolist() == split(labels).tolist()


def test_a_group_that_reaches_into_a_given_test() -> None:
    labels = [0, 1] * 20
    given = [TRAIN] * 30 + [TEST] * 10
    groups = list(range(40))
    given[4], groups[4] = NONE, groups[38]  # has no split of its own: follows
    groups[5] = groups[39]  # given as train: stays, and is not drawn for val
    for seed in range(10):
        splits = split(labels, given, groups, seed=seed)
        assert splits[4] == TEST
        assert splits[5] == TRAIN


def test_the_long_tail_is_geometric() -> None:
    labels = np.repeat(np.arange(4), 100)
    train = np.flatnonzero(np.arange(400) % 2 == 0)
    left_out = thin(labels, train, list("abcd"), LongTail(head=40, tail=5), seed=0)
    kept = np.setdiff1d(train, left_out)
    assert np.bincount(labels[kept]).tolist() == [40, 20, 10, 5]
    assert set(left_out) < set(train)


def test_the_long_tail_keeps_what_a_small_class_has() -> None:
    labels = np.array([0] * 10 + [1] * 10)
    left_out = thin(labels, np.arange(20), ["a", "b"], LongTail(head=40, tail=4), seed=0)
    assert np.bincount(labels[np.setdiff1d(np.arange(20), left_out)]).tolist() == [10, 4]
    assert left_out.tolist() == thin(labels, np.arange(20), ["a", "b"], LongTail(head=40, tail=4), seed=0).tolist()
