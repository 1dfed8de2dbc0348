"""What is chosen for sets of every kind, from their counts alone."""

from typing import Any

import numpy as np
import pytest

from pipeline.experiment.costs import Steps
from pipeline.params import DataParams, Params
from pipeline.projects import choosing
from pipeline.projects.looking import Look, Sides
from pipeline.projects.measuring import Machine, Speed
from pipeline.sources import Listing

SPEED, MACHINE = Speed(10.0, 2**29, Steps(0.005, 0.005, 0.00003)), Machine("cpu", 2, 2**35)


def seen(train: list[int], test: list[int]) -> Look:
    """A set of which so many images a class are in train and test."""
    classes = tuple(f"class {label}" for label in range(len(train)))
    counts = {"train": np.array(train), "val": np.array(test) // 2, "test": np.array(test)}
    labels = np.repeat(np.arange(len(train)), train)
    listing = Listing([f"{i}" for i in range(len(labels))], labels, classes, np.full(len(labels), -1, np.int8))
    return Look(DataParams(), listing, Sides(8, 8, 8), len(labels), 1, 0, 0, 0, counts, None)


def chosen(train: list[int], test: list[int], minutes: float = 30.0) -> dict[str, Any]:
    look = seen(train, test)
    choices = (
        *choosing.training(look, SPEED, minutes),
        *choosing.exporting(look),
        *choosing.experiment(look, SPEED, MACHINE, minutes),
    )
    assert all(choice.why and not choice.why.endswith(".") for choice in choices)
    return {".".join(choice.key): choice.value for choice in choices}


@pytest.mark.parametrize(
    ("least", "middle", "most", "asked", "device", "size"),
    [
        (28, 28, 28, None, "cpu", 28),
        (105, 224, 390, None, "cpu", 64),
        (105, 224, 390, None, "cuda", 128),
        (4, 5, 6, None, "cpu", 8),
        (105, 224, 390, 32, "cpu", 32),
        (16, 20, 4000, None, "cpu", 20),
    ],
)
def test_the_size(least: int, middle: int, most: int, asked: int | None, device: str, size: int) -> None:
    choice = choosing.chosen_size(Sides(least, middle, most), asked, device)
    assert choice.value == size
    assert str(least) in choice.why


def test_the_seeds_are_as_many_as_the_test_split_can_carry() -> None:
    assert chosen([50] * 3, [10] * 3)["classify.seeds"] == 5
    assert chosen([600] * 10, [200] * 10)["classify.seeds"] == 6
    assert chosen([5000] * 10, [2000] * 10)["classify.seeds"] == 10


def test_the_budget_fits_the_time_within_bounds() -> None:
    assert chosen([50] * 3, [10] * 3, 10)["train.kimg"] == 50  # 60 would fit, at ten seconds each
    assert chosen([50] * 3, [10] * 3, 0.1)["train.kimg"] == 3
    assert chosen([50] * 3, [10] * 3, 10_000)["train.kimg"] == 300


def test_a_budget_that_is_there_stays_while_it_is_near() -> None:
    look = seen([50] * 3, [10] * 3)
    assert choosing.training(look, SPEED, 10, keep=80.0)[0].value == 80
    assert choosing.training(look, SPEED, 10, keep=200.0)[0].value == 50


def test_a_large_set_gets_no_more_synthetic_images_than_can_be_scored() -> None:
    found = chosen([6000] * 10, [1000] * 10)
    assert isinstance(found["export.balance"], float)
    assert found["export.balance"] * 60_000 <= choosing.DRAWN
    assert chosen([100, 20], [30, 9])["export.balance"] == "auto"


def test_classes_too_small_for_synthetic_images_are_tested_all_the_same() -> None:
    assert chosen([200, 15], [50, 5])["classify.force"] is True
    assert "classify.force" not in chosen([200, 40], [50, 20])


def test_the_choices_are_params() -> None:
    for train, test in (([50] * 3, [10] * 3), ([6000] * 10, [1000] * 10), ([900, 8], [300, 3])):
        tree: dict[str, dict[str, Any]] = {}
        for key, value in chosen(train, test, 0.5).items():
            group, name = key.split(".")
            tree.setdefault(group, {})[name] = tuple(map(tuple, value)) if name == "tuning" else value
            if name == "doses":
                tree[group][name] = tuple(value)
        Params.model_validate(tree)


def test_advice_is_given_where_more_images_or_none_at_all_are_better() -> None:
    assert "a few dozen more real images" in " ".join(choosing.advice(seen([500, 12], [100, 30])))
    assert "hardly ever been seen to help" in " ".join(choosing.advice(seen([5000, 5000], [900, 900])))
    assert "fewer than 10 test images" in " ".join(choosing.advice(seen([500, 120], [100, 4])))
    assert choosing.advice(seen([500, 120], [100, 30])) == []
