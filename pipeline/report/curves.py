"""The training curves as a picture."""

import csv
import io
import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

CURVES = {
    "score_gap": "score gap, real over synthetic",
    "penalty": "gradient penalty",
    "overfitting": "overfitting of the critic: 0 none, 1 complete",
    "augment_strength": "strength of the augmentation",
}
UNUSED = {"penalty": 0.0, "augment_strength": 1.0}  # what a run shows throughout that has no such thing
COLUMNS = 2
COLOURS = ("#4c72b0", "#c44e52", "#55a868", "#8172b2", "#937860", "#da8bc3", "#8c8c8c", "#ccb974")

Curves = dict[str, list[float]]


def plot_curves(path: Path) -> bytes:
    """A PNG of the curves in ``plots/train/curves.csv`` over thousands of real images shown to the critic.

    Those of an ensemble's other generators, in folders beside it, are drawn into the same axes. What no run measured or
    used is left out.

    Raises:
        OSError: a file cannot be read.
        KeyError: a column is missing.
        ValueError: a value is not a number.
    """
    runs = [_read(file) for file in (path, *sorted(path.parent.glob("member_*/curves.csv"), key=_number))]
    shown = [column for column in CURVES if any(_tells(column, run[column]) for run in runs)]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(9, 2.8 * rows), dpi=110, layout="constrained")
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, column in zip(places, shown, strict=False):
        _plot(axes, column, runs)
    if len(runs) > 1:
        places[0].legend(frameon=False, fontsize=8, title="generator", title_fontsize=8)
    for axes in places[len(shown) :]:
        axes.remove()
    file_like = io.BytesIO()
    figure.savefig(file_like, format="png", metadata={"Software": None})
    return file_like.getvalue()


def _number(path: Path) -> int:
    return int(path.parent.name.removeprefix("member_"))


def _read(path: Path) -> Curves:
    """Numbers by column, NaN where nothing stands."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {column: [float(row[column] or "nan") for row in rows] for column in ("kimg", *CURVES)}


def _tells(column: str, values: list[float]) -> bool:
    return any(not math.isnan(value) and value != UNUSED.get(column) for value in values)


def _plot(axes: Axes, column: str, runs: list[Curves]) -> None:
    for i, run in enumerate(runs):
        axes.plot(run["kimg"], run[column], color=COLOURS[i % len(COLOURS)], linewidth=1.2, label=i + 1)
    axes.set_title(CURVES[column], loc="left", fontsize=10)
    axes.set_xlabel("thousands of real images shown to the critic", fontsize=9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
