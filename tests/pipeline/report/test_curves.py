"""The training curves as charts."""

from pathlib import Path
from typing import Any

from pipeline.report.curves import curve_figures
from tests.pipeline.report.made_project import write_curves


def test_curves_show_what_was_measured_or_used_of_every_generator(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"

    def shown(penalty: list[float], overfitting: list[Any]) -> dict[str, int]:
        write_curves(path, penalty, overfitting)
        return {name: len(figure.axes[0].lines) for name, figure in curve_figures(path).items()}

    assert shown([0, 0], ["", ""]) == {"score_gap": 1}
    assert shown([0.5, 0.5], ["", ""]) == {"score_gap": 1, "penalty": 1}
    assert shown([0, 0], ["", 0.4]) == {"score_gap": 1, "overfitting": 1}
    write_curves(tmp_path / "member_1" / "curves.csv", [3, 4], [0.2, 0.3])
    assert shown([0.5, 0.3], ["", 0.4]) == {"score_gap": 2, "penalty": 2, "overfitting": 2}
