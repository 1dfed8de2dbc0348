from typing import Any

import numpy as np
import pytest

from pipeline.metrics.classes import fidelity_rows, gaps, missing_classes
from pipeline.metrics.fidelity import Features
from pipeline.metrics.floors import Repeat, below, floor

USUAL = {
    "n": 20, "n_real": 40, "kid": 0.0, "coverage": 0.9, "coverage_real": 0.95, "coverage_real_low": 0.85,
    "label_agreement": 1.0, "label_agreement_real": 1.0, "diversity": 1.0,
}  # fmt: skip


def row(name: str, **changed: Any) -> dict[str, Any]:
    return {"class": name, **USUAL, **changed}


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({}, False),
        ({"coverage": 0.47}, True),
        ({"coverage": 0.48}, False),  # not below half of 0.95
        ({"coverage": 0.2, "coverage_real": 0.6, "coverage_real_low": 0.1}, False),  # real images may score it too
        ({"coverage": None}, False),
        ({"coverage": 0.1, "coverage_real": None, "coverage_real_low": None}, False),
        ({"n": 0, "coverage": None}, True),
        ({"n": 0, "n_real": 1, "coverage": None}, False),  # its share of the images made calls for none
    ],
)
def test_a_class_is_missing_far_below_its_floor_or_when_it_was_not_made(changed: dict, missing: bool) -> None:
    assert missing_classes([row("usual"), row("this", **changed)]) == (["this"] if missing else [])


def test_a_class_whose_share_calls_for_one_image_exactly_is_missing_without_it() -> None:
    usual, none_made = row("usual", n_real=38), row("this", n=0, n_real=2, coverage=None)  # 20 / 40 of 2
    assert missing_classes([usual, none_made]) == ["this"]


def test_gaps_name_the_class_that_is_farthest_behind() -> None:
    rows = [
        row("a", kid=0.3, diversity=None),
        row("b", coverage=0.5, label_agreement=None),
        row("c", label_agreement=0.25, diversity=0.5),
        row("d", kid=None, coverage=None),
    ]
    assert gaps(rows) == {
        "coverage": {"class": "b", "gap": pytest.approx(0.45)},
        "label_agreement": {"class": "c", "gap": 0.75},
        "diversity": {"class": "c", "gap": 0.5},
        "kid": {"class": "a", "gap": 0.3},
    }


def repeat(real: float, synthetic: float, class_real: float) -> Repeat:
    by_class = {"kid": np.array([class_real]), "coverage": np.array([class_real])}
    return Repeat(
        {"coverage": synthetic, "kid": synthetic},
        {"coverage": real, "kid": real},
        {"kid": np.array([0.5]), "coverage": np.array([0.5])},
        by_class,
    )


def test_floors_are_prediction_intervals_within_the_bounds_of_each_figure() -> None:
    floors = floor([repeat(0.9, 0.5, np.nan), repeat(1.0, 0.7, np.nan)], widened=3.0)
    reach = 12.706205 * np.sqrt(0.005) * np.sqrt(1.5)
    assert floors["kid"]["real"] == pytest.approx(0.95)
    assert floors["kid"]["ci95"] == pytest.approx([0.95 - reach, 0.95 + reach], rel=1e-6)
    assert floors["coverage"] == {"synthetic": pytest.approx(0.6), "real": pytest.approx(0.95), "ci95": [0.0, 1.0]}
    assert below(floors) == []
    assert below({"kid": {"synthetic": 2, "ci95": [0, 1]}, "coverage": {"synthetic": 2, "ci95": [0, 1]}}) == ["kid"]
    assert below({"kid": {"synthetic": -1, "ci95": [0, 1]}, "coverage": {"synthetic": -1, "ci95": [0, 1]}}) == [
        "coverage"
    ]


def test_class_floors_take_two_repeats_that_can_tell() -> None:
    side = Features(np.zeros((4, 2), np.float32), np.zeros(4, np.int64))
    told = [repeat(1, 1, value) for value in (0.5, np.nan, 0.7)]
    rows = fidelity_rows(side, side, ["a"], told)
    assert rows[0]["coverage_real"] == pytest.approx(0.6)
    assert rows[0]["coverage_real_high"] == 1
    assert fidelity_rows(side, side, ["a"], told[:2])[0]["coverage_real"] is None
