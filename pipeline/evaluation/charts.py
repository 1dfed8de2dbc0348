"""Charts of the figures: the spectrum, and what the generator confuses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.sheets import shortened

REAL, SYNTHETIC = "#4c72b0", "#c44e52"
NUMBERED = 12  # classes whose shares still fit into their squares
TICKS = 60  # class names that still fit beside one another
INK_TURNS = 0.6  # share above which dark ink would drown in its square


def plot_spectrum(path: Path, spectrum: dict[str, Any]) -> None:
    """A PNG of the power over the radial frequency; ``spectrum`` as ``bias.spectrum`` in ``metrics/quality.json``."""
    figure = Figure(figsize=(7, 3.4), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, colour, width in (("real", REAL, 3.0), ("synthetic", SYNTHETIC, 1.5)):
        axes.plot(spectrum["frequencies"], spectrum[name], color=colour, linewidth=width, marker=".", label=name)
    axes.set_xlabel("radial frequency, cycles a pixel (right: the finest detail)")
    axes.set_ylabel("power, dB")
    axes.set_title("Spectrum of the images", loc="left", fontsize=10)
    axes.legend(frameon=False)
    _plain(axes)
    axes.grid(alpha=0.25)
    figure.savefig(path, format="png", metadata={"Software": None})


def plot_confusion(path: Path, confusion: dict[str, Any], classes: Sequence[str]) -> None:
    """A PNG of two heat-maps side by side, synthetic and real, shares of each row.

    Args:
        path: where to.
        confusion: ``synthetic`` and ``real``, counts by (asked class, class that the classifier sees).
        classes: their names.
    """
    side = float(np.clip(0.27 * len(classes), 2.6, 12))
    figure = Figure(figsize=(2 * side + 2.4, side + 1.1), dpi=110, layout="constrained")
    for axes, name, rows in zip(
        figure.subplots(1, 2), ("synthetic", "real"), ("class asked of the generator", "true class"), strict=True
    ):
        counts = np.array(confusion[name], dtype=np.float64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_ylabel(rows)
        axes.set_xlabel("class that the classifier sees")
        _name_ticks(axes, classes)
        if len(classes) <= NUMBERED:
            _write_shares(axes, shares)
        _plain(axes)
    figure.colorbar(image, ax=figure.axes, shrink=0.8, label="share of the row")
    figure.savefig(path, format="png", metadata={"Software": None})


def _name_ticks(axes: Axes, classes: Sequence[str]) -> None:
    step = -(-len(classes) // TICKS)
    places, names = range(0, len(classes), step), [shortened(name, 14) for name in classes[::step]]
    rotation = 0 if max(map(len, names)) < 3 else 90
    axes.set_xticks(places, names, fontsize=8, rotation=rotation, parse_math=False)  # $ is a dollar
    axes.set_yticks(places, names, fontsize=8, parse_math=False)


def _write_shares(axes: Axes, shares: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:  # a square without a number is all but empty
            ink = "white" if share > INK_TURNS else "black"
            axes.text(column, row, f"{share * 100:.0f}", color=ink, fontsize=7, ha="center", va="center")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
