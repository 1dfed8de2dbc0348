"""The model of cost says what was measured, and what follows from it by hand."""

import runpy
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

MODEL: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "scaling.py"))


@pytest.mark.parametrize(("seconds", "model"), [pytest.param(*point[1:], id=point[0]) for point in MODEL["MEASURED"]])
def test_the_model_is_near_to_what_was_measured(seconds: float, model: Any) -> None:
    assert model() == pytest.approx(seconds, rel=0.25)


def test_the_page_has_the_points_as_the_model_gives_them() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
    table = page.partition("| point | measured, s |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) == len(MODEL["MEASURED"])
    for row, (name, seconds, model) in zip(table, MODEL["MEASURED"], strict=True):
        _, _, measured, said, share, _ = (cell.strip() for cell in row.split("|"))
        assert float(measured) == seconds, name
        assert float(said) == pytest.approx(model(), abs=0.05 if "." in said else 0.5), name
        assert float(share) == pytest.approx(model() / seconds, abs=0.0051), name


def test_hours_and_money_are_shared_and_paid_as_one_would_by_hand() -> None:
    options = Namespace(images=10**6, size=32, channels=3, synthetic=0, kimg=3600, gpus=0, cores=4, gpu_price=7.0)
    options.cpu_price = 2.0
    of = {step.name: step for step in MODEL["steps"](options)}
    hours = (10 + 3_600_000 * 4e-6 * 1024) / 3600 / 4
    assert of["train"].hours == pytest.approx(hours) and of["train"].money == pytest.approx(2 * hours)
    assert of["verify"].hours == pytest.approx((3.1 + 1e6 * (60e-6 + 15e-9 * 3072)) / 3600)  # one process
    assert of["draw"].hours == 0
    options.gpus = 2
    rented = {step.name: step for step in MODEL["steps"](options)}["train"]
    assert rented.hours == pytest.approx(hours * 4 / 2 / MODEL["GPU_CORES"])
    assert rented.money == pytest.approx(2 * 7.0 * rented.hours)
