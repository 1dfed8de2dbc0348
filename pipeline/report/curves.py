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
COLUMNS = 2
COLOURS = ("#4c72b0", "#c44e52", "#55a868", "#8172b2", "#937860", "#da8bc3", "#8c8c8c", "#ccb974")

Curves = dict[str, list[float]]


def draw_curves(path: Path) -> bytes:
    """A PNG of the curves in ``plots/train/curves.csv`` over thousands of real images shown to the critic.

    Those of an ensemble's other generators, in folders beside it, are drawn into the same axes. What was not measured,
    or is the same from beginning to end, is left out.

    Raises:
        OSError: a file cannot be read.
        KeyError: a column is missing.
        ValueError: a value is not a number.
    """
    runs = [_read(file) for file in (path, *sorted(path.parent.glob("member_*/curves.csv"), key=_number))]
    shown = [column for column in CURVES if any(_tells(run[column]) for run in runs)] or ["score_gap"]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(9, 2.8 * rows), dpi=110, layout="constrained")
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, column in zip(places, shown, strict=False):
        _draw(axes, column, runs)
    for axes in places[len(shown) :]:
        axes.remove()
    file_like = io.BytesIO()
    figure.savefig(file_like, format="png", metadata={"Software": None})
    return file_like.getvalue()


def _number(path: Path) -> int:
    return int(path.parent.name.removeprefix("member_"))


def _read(path: Path) -> Curves:
    """Numbers by column, NaN where nothing stands."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {column: [float(row[column] or "nan") for row in rows] for column in ("kimg", *CURVES)}


def _tells(values: list[float]) -> bool:
    return len({value for value in values if not math.isnan(value)}) > 1


def _draw(axes: Axes, column: str, runs: list[Curves]) -> None:
    for i, run in enumerate(runs):
        axes.plot(run["kimg"], run[column], color=COLOURS[i % len(COLOURS)], linewidth=1.2)
    axes.set_title(CURVES[column], loc="left", fontsize=10)
    axes.set_xlabel("thousands of real images shown to the critic", fontsize=9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
