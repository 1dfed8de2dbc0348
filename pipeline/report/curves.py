"""The training curves as charts."""

import csv
import math
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.drawing import SERIES, look, panels

CURVES = {
    "score_gap": "score gap, real over synthetic",
    "penalty": "gradient penalty",
    "overfitting": "overfitting of the critic: 0 none, 1 complete",
    "augment_strength": "strength of the augmentation",
}
UNUSED = {"penalty": 0.0, "augment_strength": 1.0}  # what a run shows throughout that has no such thing

Curves = dict[str, list[float]]


def curve_figures(path: Path) -> dict[str, Figure]:
    """Charts of the columns of ``plots/train/curves.csv``, by their names in :data:`CURVES`, over thousands of images.

    Those of an ensemble's other generators, in folders beside it, are drawn into the same axes. What no run measured or
    used is left out.

    Raises:
        OSError: a file cannot be read.
        KeyError: a column is missing.
        ValueError: a value is not a number, or there is none.
    """
    runs = [_read(file) for file in (path, *sorted(path.parent.glob("member_*/curves.csv"), key=_number))]
    if not all(run["kimg"] for run in runs):
        raise ValueError("no rows")
    return {column: _plotted(column, runs) for column in CURVES if any(_tells(column, run[column]) for run in runs)}


def _number(path: Path) -> int:
    return int(path.parent.name.removeprefix("member_"))


def _read(path: Path) -> Curves:
    """Numbers by column, NaN where nothing stands."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {column: [float(row[column] or "nan") for row in rows] for column in ("kimg", *CURVES)}


def _tells(column: str, values: list[float]) -> bool:
    return any(not math.isnan(value) and value != UNUSED.get(column) for value in values)


@look()
def _plotted(column: str, runs: list[Curves]) -> Figure:
    figure, (axes,) = panels(2.4)
    for i, run in enumerate(runs):
        axes.plot(run["kimg"], run[column], color=SERIES[i % len(SERIES)], linewidth=1.2, label=i + 1)
    if len(runs) > 1:
        figure.legend(title="generator", loc="outside right upper")
    axes.set_xlabel("kimg")
    axes.grid()
    return figure
