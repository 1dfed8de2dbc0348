"""The training curves as a picture."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.report.curves import plot_curves
from tests.pipeline.report.made_project import write_curves


def test_curves_show_what_was_measured_or_used_of_every_generator(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"

    def height(penalty: list[float], overfitting: list[Any]) -> int:
        write_curves(path, penalty, overfitting)
        return Image.open(io.BytesIO(plot_curves(path))).height

    one_row = height([0, 0], ["", ""])
    assert height([0.5, 0.5], ["", ""]) == height([0, 0], ["", 0.4]) == one_row
    assert height([0.5, 0.3], ["", 0.4]) > one_row
    alone = plot_curves(path)
    write_curves(tmp_path / "member_1" / "curves.csv", [3, 4], [0.2, 0.3])
    assert plot_curves(path) != alone
