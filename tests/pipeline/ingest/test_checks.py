"""What stops ingest, and that it says the cause: losses, given splits that lack a class, near duplicates, groups."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.ingest.checks import check_losses, check_splits, leak_notes, split_notes
from pipeline.ingest.splitting import TEST, TRAIN, VAL
from pipeline.sources import Listing

NONE = -1


def listing(labels: Sequence[int], given: Sequence[int] | None = None) -> Listing:
    classes = tuple(f"class {label}" for label in range(max(labels) + 1))
    splits = np.array(given if given is not None else [NONE] * len(labels), np.int8)
    return Listing([f"{label}/{i}.png" for i, label in enumerate(labels)], np.array(labels), classes, splits)


def check(
    splits: Sequence[int],
    labels: Sequence[int],
    given: Sequence[int] | None = None,
    groups: Sequence[int] | None = None,
    near: Sequence[int] | None = None,
) -> None:
    alone = np.arange(len(labels))
    check_splits(
        np.array(splits),
        np.array(given if given is not None else [NONE] * len(labels)),
        np.array(labels),
        alone if groups is None else np.array(groups),
        alone if near is None else np.array(near),
        [f"class {label}" for label in range(max(labels) + 1)],
    )


WHOLE = [TRAIN, VAL, TEST]


def test_every_class_everywhere_is_well() -> None:
    check(WHOLE * 2, [0, 0, 0, 1, 1, 1])
    check([TRAIN, VAL, TEST, TRAIN, TEST], [0, 0, 0, 1, 1])  # val of the rarest may be empty


def test_too_few_images() -> None:
    with pytest.raises(UserError, match="class 'class 1' has no image in test: usable images: 1; add some"):
        check([*WHOLE, TRAIN], [0, 0, 0, 1])
    with pytest.raises(UserError, match="no image in val: usable images: 4; add some"):
        check([TRAIN, TEST] * 2, [0, 0, 1, 1])


def test_near_duplicates_are_named_as_the_cause_with_their_switch() -> None:
    near = [0, 1, 2, *[3] * 9, 4]
    with pytest.raises(UserError) as error:
        check([*WHOLE, *[TRAIN] * 10], [0] * 3 + [1] * 10, None, near, near)
    message = str(error.value)
    assert "class 'class 1' has no image in test: 9 of 10 usable images count as near duplicates" in message
    assert "data.near_duplicate_bits" in message and "data.group_pattern" in message


def test_groups_are_named_as_the_cause_where_they_are() -> None:
    with pytest.raises(UserError, match=r"its 4 usable images are in 1 groups, .*data\.group_pattern"):
        check([*WHOLE, *[TRAIN] * 4], [0] * 3 + [1] * 4, None, [0, 1, 2, 3, 3, 3, 3])


def test_given_splits_that_lack_a_class() -> None:
    given = [*WHOLE, TRAIN, VAL, TRAIN]
    with pytest.raises(UserError) as error:
        check(given, [0, 0, 0, 1, 1, 2], given)
    message = str(error.value)
    assert message.startswith("class 'class 1' has no image in test (nor have 'class 2')")
    assert "the source gives its own splits, and has 1 in train, 1 in val" in message


def test_given_splits_with_a_class_that_training_does_not_know() -> None:
    given = [*WHOLE, TEST, TEST]
    with pytest.raises(UserError, match=r"class 'class 1' has no image in train: .* has 2 in test"):
        check(given, [0, 0, 0, 1, 1], given)


def test_a_given_test_alone() -> None:
    with pytest.raises(UserError, match=r"no image in train \(nor have 'class 1'\): the source gives its own splits"):
        check([TEST] * 4, [0, 1, 0, 1], [TEST] * 4)


def test_what_is_worth_a_note() -> None:
    labels = [0] * 6 + [1] * 6
    splits = [TRAIN, TRAIN, TRAIN, VAL, TEST, TEST, TRAIN, TRAIN, TRAIN, TRAIN, TRAIN, TEST]
    near = [0, 1, 2, 3, 4, 5, 6, 6, 6, 6, 7, 8]
    notes = split_notes(listing(labels, splits), np.array(splits), np.array(near))
    assert notes[0] == "the given val has no image of 'class 1'"
    assert notes[1].startswith("class 'class 1': 4 of 6 images count as near duplicates of one another")
    assert split_notes(listing(labels), np.array(splits), np.arange(12)) == []


def test_what_the_given_splits_part_is_said() -> None:
    splits = [TRAIN, TRAIN, VAL, TEST, TRAIN, TEST, NONE]
    given, alone = listing([0, 0, 0, 1, 1, 1, 0], splits), np.arange(7)
    apart = np.array([0, 0, 1, 2, 3, 3, 0])
    (said,) = leak_notes(given, np.array(splits), apart, apart)
    assert said.startswith("warning: the given splits part 1 groups of near duplicates (data.near_duplicate_bits), ")
    assert "such as 1/4.png (train) and 1/5.png (test): what is held out may have been seen" in said
    (said,) = leak_notes(given, np.array(splits), alone, np.array([0, 0, 0, 2, 3, 3, 0]))
    assert (
        "part 2 groups by name (data.group_pattern, the source's groups), such as 0/0.png (train) and 0/2.png" in said
    )
    assert leak_notes(given, np.array(splits), alone, np.array([0, 0, 1, 2, 3, 4, 0])) == []


def test_a_class_of_near_duplicates_in_given_splits_is_not_said_to_stay_in_one() -> None:
    splits = [TRAIN, VAL, TEST, TRAIN, TRAIN, TEST]
    (said,) = split_notes(listing([0] * 3 + [1] * 3, splits), np.array(splits), np.array([0, 1, 2, 3, 3, 3]))[1:]
    assert "3 of 3 images count as near duplicates of one another and lie in several of the given splits" in said


def test_a_class_that_loses_most_of_its_images() -> None:
    labels = [0] * 10 + [1] * 4
    bad = {10: "damaged", 11: "empty file", 12: "damaged"}
    with pytest.raises(UserError, match="'class 1' keeps 1 of its 4 images: 2 damaged, 1 empty file; mend or replace"):
        check_losses(listing(labels), bad, [], 0.5)
    check_losses(listing(labels), {10: "damaged", 11: "damaged"}, [], 0.02)  # half is not most
    check_losses(listing(labels), bad, [], 0.8)  # the user puts up with it


def test_a_class_that_is_a_copy_of_others() -> None:
    labels = [0] * 10 + [1] * 4
    conflicting = [[index, index + 10] for index in range(3)]
    with pytest.raises(UserError) as error:
        check_losses(listing(labels), {}, conflicting, 0.02)
    message = str(error.value)
    assert "'class 1' keeps 1 of its 4 images: 3 exact duplicates of images under another label" in message
    assert "(0/0.png and 1/10.png)" in message
