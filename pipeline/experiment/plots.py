"""The classifiers of all arms as CSV files and as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.drawing import BASELINE, REAL, SYNTHETIC, WIDTH, look, panels, save_png
from pipeline.experiment.names import in_order
from pipeline.tables import write_csv


def write_arms(path: Path, arms: dict[str, dict[str, Any]]) -> None:
    """One row an arm, seed and draw; ``arms`` as in ``metrics/utility.json``."""
    header = ["arm", "seed", "draw", "balanced_accuracy", "macro_f1", "validation_balanced_accuracy"]
    keys = ("seed", "draw", "balanced_accuracy", "macro_f1", "validation")
    rows = ([name, *(row[key] for key in keys)] for name, arm in in_order(arms) for row in arm["seeds"])
    write_csv(path, header, rows)


def write_classes(path: Path, per_class: list[dict[str, Any]]) -> None:
    """One row a class; ``per_class`` as in ``metrics/utility.json``, with one column of recalls an arm."""
    arms, keys = list(per_class[0]["recall"]), ["class", "train", "synthetic", "test", "recall_difference"]
    rows = ([*(row[key] for key in keys), *(row["recall"][name] for name in arms)] for row in per_class)
    write_csv(path, [*keys, *(f"recall_{name}" for name in arms)], rows)


def write_doses(path: Path, doses: list[dict[str, Any]]) -> None:
    """One row a dose; ``doses`` as in ``metrics/utility.json``."""
    header = ["dose", "images", "validation_balanced_accuracy", "picked"]
    write_csv(path, header, ([row["dose"], row["images"], row["validation"], row["picked"]] for row in doses))


@look()
def arms_figure(metrics: Mapping[str, Any]) -> Figure:
    """For each arm a dot a seed and draw, the mean and its 95 % interval; a line through the baseline's mean."""
    arms = metrics["arms"]
    figure, (axes,) = panels(0.6 + 0.36 * len(arms))
    left, right = axis_limits(arms)
    for y, (name, arm) in enumerate(in_order(arms)):
        synthetic = name.startswith("synthetic")
        colour = SYNTHETIC if synthetic else BASELINE if name == metrics["baseline"] else REAL
        _plot_arm(axes, y, arm, colour, left)
    axes.axvline(
        arms[metrics["baseline"]]["balanced_accuracy"] * 100, color=BASELINE, linewidth=1, linestyle=":", zorder=0
    )
    titles = [arm["title"] + ("\nbaseline" if name == metrics["baseline"] else "") for name, arm in in_order(arms)]
    axes.set_yticks(range(len(arms)), titles)
    axes.set_xlim(left, right)
    axes.invert_yaxis()
    axes.set_xlabel("balanced accuracy, %")
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    return figure


@look()
def plot_arms(path: Path, metrics: Mapping[str, Any]) -> None:
    """The same as a PNG, which says what it shows."""
    figure = arms_figure(metrics)
    axes = figure.axes[0]
    axes.set_xlabel("balanced accuracy on real test images, %\ndots: seeds and draws; diamond: mean; line: 95 %")
    title = f"{metrics['verdict']}: {metrics['delta'] * 100:+.1f} points\nrecipe: {metrics['recipe']}"
    figure.set_size_inches(WIDTH * 1.3, figure.get_figheight() + 0.5)
    save_png(figure, path, title)


def axis_limits(arms: dict[str, dict[str, Any]]) -> tuple[float, float]:
    """Of the axis. Synthetic images alone, which may do far worse, must not press the other arms into a corner."""
    found = {name: [*arm["ci95"], *(row["balanced_accuracy"] for row in arm["seeds"])] for name, arm in arms.items()}
    compared = [100 * value for name, values in found.items() if name != "synthetic_only" for value in values]
    all_least, least, most = 100 * min(map(min, found.values())), min(compared), max(compared)
    span = most - least
    return (all_least if all_least >= least - span else least) - 0.05 * span, most + 0.05 * span


def _plot_arm(axes: Axes, y: int, arm: dict[str, Any], colour: str, left: float) -> None:
    """One arm at height ``y``; where its mean lies beyond the axis, which begins at ``left``, an arrow says so."""
    values = np.array([row["balanced_accuracy"] for row in arm["seeds"]]) * 100
    mean = arm["balanced_accuracy"] * 100
    axes.plot([bound * 100 for bound in arm["ci95"]], [y, y], color=colour, linewidth=2, zorder=2)
    axes.plot(values, y + np.linspace(-0.2, 0.2, len(values)), "o", color=colour, alpha=0.35, markersize=4, zorder=1)
    axes.plot(max(mean, left), y, "D" if mean >= left else "<", color=colour, markersize=6, zorder=3, clip_on=False)
    axes.annotate(f"{mean:.1f}", (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=9)


@look()
def dose_figure(metrics: Mapping[str, Any]) -> Figure:
    """Validation accuracy by dose, a dot a seed; lines for the control and the baseline."""
    doses, arms = metrics["doses"], metrics["arms"]
    figure, (axes,) = panels(3.4)
    places = range(len(doses))
    for place, row in zip(places, doses, strict=True):
        values = np.array(row["seeds"]) * 100
        axes.plot([place] * len(values), values, "o", color=SYNTHETIC, alpha=0.35, markersize=4)
        if row["picked"]:
            axes.plot(place, row["validation"] * 100, "o", color=SYNTHETIC, markersize=11, fillstyle="none")
    means = [row["validation"] * 100 for row in doses]
    axes.plot(places, means, "D-", color=SYNTHETIC, markersize=5, label="+ synthetic (circle: picked)")
    for name, style in {"control": "--", metrics["baseline"]: ":"}.items():
        value, label = arms[name]["validation"] * 100, _label(name, metrics)
        axes.axhline(value, color=BASELINE, linewidth=1, linestyle=style, label=label)
    axes.set_xticks(places, [f"{row['dose']:g}\n{row['images']:,}" for row in doses])
    axes.set_xlabel("dose, and how many synthetic images that are")
    axes.set_ylabel("validation, %")
    axes.grid(axis="y")
    figure.legend(loc="outside upper left")
    return figure


def plot_doses(path: Path, metrics: Mapping[str, Any]) -> None:
    """The same as a PNG."""
    save_png(dose_figure(metrics), path, "Doses of synthetic images on the validation split")


def _label(name: str, metrics: Mapping[str, Any]) -> str:
    return metrics["arms"][name]["title"] + (" (baseline)" if name == metrics["baseline"] else "")
