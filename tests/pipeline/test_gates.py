"""Gates: their grammar, what passes, and what export is told."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.figures import FIGURES
from pipeline.gates import check_figure, check_gates, judge, parse, require

QUALITY: dict[str, Any] = {
    "coverage": 0.6,
    "kid": 0.02,
    "frechet_distance": None,
    "copies": {"pixel": {"share": 0.01}, "feature": {"share": 0.04}},
    "missing_classes": ["9"],
    "floor": {
        "coverage": {"synthetic": 0.5, "real": 0.95, "ci95": [0.9, 1.0]},
        "kid": {"synthetic": 0.03, "real": 0.0, "ci95": [-0.01, 0.01]},
        "frechet_distance": {"synthetic": 3.0, "real": 1.0, "ci95": [0.5, 2.0]},
    },
    "embedders": {"inception:0": {"fid": 12.0, "floor": {"fid": {"synthetic": 12.5, "real": 5.0, "ci95": [4.0, 6.0]}}}},
}


@pytest.mark.parametrize(
    ("figure", "gate", "value", "limit", "passed"),
    [
        ("coverage", ">= 0.6", 0.6, 0.6, True),
        ("coverage", "> 0.6", 0.6, 0.6, False),
        ("coverage", ">= 0.5 floor", 0.5, 0.45, True),
        ("coverage", ">=floor", 0.5, 0.9, False),
        ("coverage", ">= floor - 0.4", 0.5, 0.5, True),
        ("coverage", "<= floor", 0.5, 1.0, True),
        ("kid", "<= 3 floor", 0.03, 0.03, True),
        ("kid", "< 2.5e0 floor + 1e-3", 0.03, 0.026, False),
        ("kid", "> -1", 0.02, -1.0, True),
        ("copies", "<= 0.03", 0.04, 0.03, False),
        ("missing_classes", "<= 0", 1, 0.0, False),
        ("frechet_distance", "<= 1000", None, 1000.0, False),
        ("frechet_distance", "<= 2 floor", 3.0, 4.0, True),
        ("fid", "<= 12", 12.0, 12.0, True),
        ("fid", "<= 2 floor", 12.5, 12.0, False),
        ("recall", ">= 0.1", None, 0.1, False),
        ("recall", ">= floor", None, None, False),
    ],
)
def test_a_gate_is_judged_by_hand(
    figure: str, gate: str, value: float | None, limit: float | None, passed: bool
) -> None:
    (judged,) = judge({figure: gate}, QUALITY)
    assert judged["value"] == value
    assert judged["limit"] == (None if limit is None else pytest.approx(limit))
    assert judged["passed"] is passed


@given(
    comparison=st.sampled_from(["<", "<=", ">", ">="]),
    factor=st.floats(0.001, 100),
    offset=st.floats(-10, 10),
    low=st.floats(-5, 5),
    width=st.floats(0, 5),
)
def test_every_gate_reads_back_and_its_limit_is_on_the_bad_side(
    comparison: str, factor: float, offset: float, low: float, width: float
) -> None:
    gate = parse(f"{comparison} {factor!r} floor {offset:+.17g}")
    assert (gate.comparison, gate.factor) == (comparison, factor)
    assert gate.offset == pytest.approx(offset)
    bad = low + width if comparison.startswith("<") else low
    assert gate.limit((low, low + width)) == pytest.approx(factor * bad + offset)


@pytest.mark.parametrize("text", ["", "0.6", "=> 0.6", ">= six", ">= 0.6 flor", ">= floor 0.1", ">= nan", ">= 1 2"])
def test_what_is_no_gate_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r'not a gate.*"<= 3 floor"'):
        parse(text)


def test_an_unknown_figure_is_told_the_nearest_and_one_without_a_floor_takes_a_number() -> None:
    with pytest.raises(ValueError, match="did you mean `coverage`"):
        check_figure("coverge")
    with pytest.raises(ValueError, match="copies has no floor"):
        check_gates({"coverage": ">= floor", "copies": "<= floor"})


def test_every_figure_that_a_gate_may_name_has_a_remedy() -> None:
    assert all(figure.remedy for figure in FIGURES.values())
    assert {"coverage", "kid", "copies", "fid", "missing_classes"} <= set(FIGURES)


@pytest.mark.parametrize("passed", itertools.product([True, False], repeat=2))
def test_export_goes_on_where_all_pass_and_else_only_by_force(passed: tuple[bool, bool]) -> None:
    limits = {"coverage": 0.1 if passed[0] else 0.9, "kid": -1 if passed[1] else 1}
    gates = judge({"coverage": f">= {limits['coverage']}", "kid": f"> {limits['kid']}"}, QUALITY)
    failed = [gate["figure"] for gate in gates if not gate["passed"]]
    assert len(failed) == 2 - sum(passed)
    assert require({"gates": gates}, force=True) == failed
    if not failed:
        assert require({"gates": gates}, force=False) == []
        return
    with pytest.raises(UserError) as caught:
        require({"gates": gates}, force=False)
    for figure in failed:
        assert f"{figure} is {QUALITY[figure]:.4g}" in str(caught.value)
        assert FIGURES[figure].remedy in str(caught.value)
    assert "--force" in str(caught.value)


def test_copies_that_nobody_could_check_do_not_pass() -> None:
    (judged,) = judge({"copies": "<= 1"}, QUALITY | {"copies": None})
    assert judged["value"] is None
    assert judged["passed"] is False


def test_a_set_without_gates_passes() -> None:
    assert require({}, force=False) == []
