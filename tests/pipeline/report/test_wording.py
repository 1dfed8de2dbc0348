"""How figures are written down."""

import pytest

from pipeline.report.wording import MINUS, NONE, between, count, number, percent, points, setting


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.9364), "93.6"),
        (percent(None), NONE),
        (points(-0.0159), f"{MINUS}1.59"),
        (points(-0.000001), "+0.00"),
        (points(None), NONE),
        (number(-0.01024), f"{MINUS}0.010"),
        (number(99_999.9994), "99999.999"),
        (number(-99_999.9996), f"{MINUS}1.00e5"),
        (number(589_512.25), "5.90e5"),
        (number(1.25e30, 1), "1.25e30"),
        (number(float("inf")), "inf"),
        (between([-2.5e6, 0.5], "number"), f"{MINUS}2.50e6 to 0.500"),
        (between([0.91, 0.95]), "91.0 to 95.0"),
        (between([-0.001, 0.02], "points", 1), f"{MINUS}0.1 to +2.0"),
        (between(None, "number"), NONE),
        (count(1234567), "1,234,567"),
        (setting({"head": 110, "on": True}), "head: 110, on: true"),
        (setting(["a", None, 0.5]), "a, null, 0.5"),
    ],
)
def test_figures_are_written_for_people(shown: str, expected: str) -> None:
    assert shown == expected
