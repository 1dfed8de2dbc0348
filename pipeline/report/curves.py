"""The training curves as a picture."""

import csv
import io
from pathlib import Path

from matplotlib.figure import Figure

CURVES = (("score_gap", "score gap, real over synthetic"), ("penalty", "gradient penalty"))


def draw_curves(path: Path) -> bytes:
    """A PNG of the curves in ``plots/train/curves.csv`` over thousands of real images shown to the critic.

    Raises:
        OSError: the file cannot be read.
        KeyError: a column is missing.
        ValueError: a value is not a number.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    kimg = [float(row["kimg"]) for row in rows]
    figure = Figure(figsize=(9, 3), dpi=110, layout="constrained")
    for axes, (column, title) in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
        axes.plot(kimg, [float(row[column]) for row in rows], color="#4c72b0")
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel("thousands of real images shown to the critic")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    file_like = io.BytesIO()
    figure.savefig(file_like, format="png", metadata={"Software": None})
    return file_like.getvalue()
