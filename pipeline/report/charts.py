"""The charts of the page, drawn from the figures that the stages left: each with what it shows in words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.charts import confusion_figure, spectrum_figure
from pipeline.drawing import inline_svg
from pipeline.escaping import spreadsheet, terminal
from pipeline.experiment.names import in_order
from pipeline.experiment.plots import arms_figure, dose_figure
from pipeline.report.curves import CURVES, curve_figures
from pipeline.report.interval import Effect, interval_figure
from pipeline.report.wording import between, number, percent, points

Tree = Mapping[str, Any]
KINDS = {
    "synthetic": "What an independent classifier sees in synthetic images, in per cent of each class asked for.",
    "real": "The same of unseen real images.",
}

SPOKEN = 20  # classes that one listens to


class Chart(NamedTuple):
    """An inline SVG and what stands below it."""

    svg: Markup
    caption: str


def _chart(figure: Figure, name: str, caption: str, label: str) -> Chart:
    return Chart(inline_svg(figure, name, terminal(label)), caption)


def effect(utility: Tree, margin: float) -> Chart:
    """The verdict's difference around zero; ``utility`` is the content of ``metrics/utility.json``."""
    measure = utility.get("metric", {"title": "balanced accuracy"})["title"]  # earlier files know of no other
    return effects([Effect("", utility["delta"], utility["ci95"])], margin, measure)


def study(study: Tree, utility: Tree | None, margin: float) -> Chart:
    """The study's difference under that of the single split, if there is one; the contents of their files."""
    single = [Effect("single split", utility["delta"], utility["ci95"])] if utility else []
    found = [*single, Effect(f"study, {study['folds']} folds", study["delta"], study["ci95"])]
    return effects(found, margin, study["endpoint"]["title"], "study-effect")


def effects(found: Sequence[Effect], margin: float, measure: str = "balanced accuracy", name: str = "effect") -> Chart:
    """The differences of some verdicts.

    Args:
        margin: ``classify.equivalence_margin``.
        measure: what they are in.
        name: the chart's own on the page.
    """
    caption = (
        f"What the synthetic images add, with its 95 % interval. Within the band, of {margin * 100:.1f} points either "
        "way, a difference does not matter."
    )
    said = (
        f"{one.name + ': ' if one.name else ''}difference {points(one.delta)} points, 95 % interval "
        f"{between(one.ci95, 'points')}"
        for one in found
    )
    return _chart(interval_figure(found, margin, measure), name, caption, "; ".join(said) + ".")


def verdict(utility: Tree) -> list[Chart]:
    """The arms and the doses; ``utility`` is the content of ``metrics/utility.json``."""
    doses = (
        f"dose {row['dose']:g} {percent(row['validation'])}{', picked' if row['picked'] else ''}"
        for row in utility["doses"]
    )
    return [
        arms(utility),
        _chart(
            dose_figure(utility),
            "dose",
            "What each dose of synthetic images does on the validation split; 1 is the exported set.",
            f"Balanced accuracy on validation in per cent: {'; '.join(doses)}.",
        ),
    ]


def arms(utility: Tree, name: str = "arms", whose: str = "") -> Chart:
    """Every classifier by arm; ``name`` is the chart's own on the page, ``whose`` begins its caption."""
    said = (
        f"{arm['title']} {percent(arm['balanced_accuracy'])} ({between(arm['ci95'])})"
        for _, arm in in_order(utility["arms"])
    )
    caption = (
        f"{whose}Every classifier on real test images. Dots: seeds and draws; diamond and number: their mean; line: "
        "its 95 % interval; dotted: the baseline."
    )
    label = f"Balanced accuracy in per cent by arm, with 95 % interval: {'; '.join(said)}."
    return _chart(arms_figure(utility), name, caption, label)


def spectrum(quality: Tree) -> Chart:
    """The power by frequency; ``quality`` is the content of ``metrics/quality.json``."""
    found = quality["bias"]["spectrum"]
    caption = "Power by spatial frequency, from coarse shapes to the finest detail."
    rows = zip(found["frequencies"], found["synthetic"], found["real"], strict=True)
    widest = max(rows, key=lambda row: abs(row[1] - row[2]))
    label = f"Power of synthetic and real images; they differ most at {number(widest[0])} cycles a pixel: "
    label += f"{number(widest[1], 1)} against {number(widest[2], 1)} dB."
    return _chart(spectrum_figure(found), "spectrum", caption, label)


def confusions(rows: Sequence[Tree], classes: Sequence[str]) -> list[Chart]:
    """What a classifier sees in synthetic and in real images.

    Args:
        rows: of ``plots/evaluate/confusions.csv``.
        classes: their names, in order.

    Raises:
        KeyError: a row is of another class.
    """
    place = {spreadsheet(name): i for i, name in enumerate(classes)}
    charts = []
    for kind, caption in KINDS.items():
        counts = [[0] * len(classes) for _ in classes]
        for row in rows:
            counts[place[spreadsheet(row["asked"])]][place[spreadsheet(row["seen"])]] += int(row[kind] or 0)
        label = f"{kind} images seen as their own class, in per cent: "
        figure = confusion_figure(counts, classes, kind)
        charts.append(_chart(figure, f"confusion-{kind}", caption, label + _diagonal(counts, classes)))
    return charts


def _diagonal(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """The share of each class that is seen as itself; of many classes, those that are lowest."""
    shares = [row[i] / sum(row) if sum(row) else None for i, row in enumerate(counts)]
    named = list(zip(classes, shares, strict=True))
    if len(named) > SPOKEN:
        named = sorted(named, key=lambda one: 2.0 if one[1] is None else one[1])[:SPOKEN]
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in named) + "."


def curves(path: Path) -> list[Chart]:
    """How the training went; ``path`` is that of ``plots/train/curves.csv``. Raises as :func:`curve_figures`."""
    return [
        _chart(
            figure,
            f"curve-{column.replace('_', '-')}",
            f"{CURVES[column].capitalize()}, over thousands of real images shown to the critic.",
            f"{CURVES[column]}: {_course(figure)}.",
        )
        for column, figure in curve_figures(path).items()
    ]


def _course(figure: Figure) -> str:
    """First and last value of each line."""
    said = []
    for line in figure.axes[0].lines:
        known = [float(y) for y in np.asarray(line.get_ydata(), dtype=float) if np.isfinite(y)]
        said.append(f"from {number(known[0])} to {number(known[-1])}" if known else "not measured")
    return "; ".join(said)
