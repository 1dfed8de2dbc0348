"""The figures of a run that Prefect keeps: few enough to read, the same ones in the same order in every run."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.binding import read_figures
from pipeline.escaping import markdown
from pipeline.report.wording import MINUS
from pipeline.workspace import Workspace

Figures = dict[str, Any]

LONGEST = 40  # characters of a value: sentences would push the columns out of sight
# at most 30, the verdict's first; metrics/*.json and the report's page hold the rest, such as those of each class
CHOSEN = {
    "utility": (
        *("verdict", "delta", "ci95", "smallest_effect", "baseline", "recipe", "dose"),
        *("arms.real.balanced_accuracy", "arms.synthetic.balanced_accuracy"),
    ),
    "quality": (
        *("kid", "frechet_distance", "precision", "recall", "density", "coverage", "diversity"),
        *("label_agreement", "copy_share_pixel", "copy_share_feature", "worst_class"),
    ),
    "train": ("kimg", "snapshot.kimg", "rollbacks"),
    "export": ("images",),
    "ingest": ("images.train", "images.test", "images.found", "bad.images", "duplicates.removed"),
}


def read(workspace: Workspace) -> Figures:
    """The chosen figures of ``metrics/*.json`` by their dotted names, as far as there are any.

    Prefect renders texts in tables as Markdown, so they are such that show as they are.

    Raises:
        UserError: figures were edited.
    """
    figures: Figures = {}
    for file in CHOSEN:
        if os.path.lexists(workspace.metrics(file)):
            figures |= dict(_chosen(read_figures(workspace, file), file))
    return figures


def baseline_accuracy(utility: Mapping[str, Any]) -> str:
    """The name of the best arm's accuracy without synthetic images."""
    return f"utility.arms.{utility.get('baseline')}.balanced_accuracy"


def rows(figures: Figures, last: Figures) -> list[dict[str, Any]]:
    """One row a figure: its value, the last run's, and the change between them."""
    return [_row(name, value, last) for name, value in figures.items()]


def _chosen(tree: Mapping[str, Any], file: str) -> Iterator[tuple[str, Any]]:
    names = [f"{file}.{name}" for name in CHOSEN[file]]
    if file == "utility" and (best := baseline_accuracy(tree)) not in names:
        names.insert(-1, best)
    for name in names:
        value: Any = tree
        for part in name.split(".")[1:]:
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, list):
            value = " to ".join(f"{end:g}".replace("-", MINUS) for end in value if isinstance(end, int | float))
        elif isinstance(value, str):
            value = markdown(value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}")
        if isinstance(value, str | int | float):
            yield name, value


def _row(name: str, value: Any, last: Figures) -> dict[str, Any]:
    before = last.get(name)
    change: Any = "" if value == before or name not in last else "changed"
    if change and isinstance(value, int | float) and isinstance(before, int | float):
        change = f"{value - before:+.6g}"
    return {"figure": name, "value": value, "change": change, "last run": before}
