"""A finished project, as a notebook reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.binding import as_now, changed, read_figures
from pipeline.store import Store
from pipeline.wording import recommendation, told
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Verdict:
    """Whether the synthetic images make the classifier better, and by how much.

    Attributes:
        verdict: as docs/verdict.md defines it.
        sentence: the same for a person.
        difference: of balanced accuracy, in [-1, 1], to the best training without synthetic images.
        interval: its 95 % interval.
        baseline: that training's name.
        recommended: what to train with, in a sentence.
        changed: what has changed since, so that another run may say otherwise; empty for a verdict that is up to date.
        figures: all of ``metrics/utility.json``.
    """

    verdict: Literal["HELPS", "HURTS", "EQUIVALENT", "INCONCLUSIVE"]
    sentence: str
    difference: float
    interval: tuple[float, float]
    baseline: str
    recommended: str
    changed: tuple[str, ...]
    figures: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.verdict}: {told(self.figures)}"


def open_store(project: str | Path = ".") -> Store:
    """The ingested images of a project: ``open_store("study").split("train").images``, uint8 (N, C, H, W).

    Raises:
        UserError: there is no ingested set, or it is not whole.
    """
    return Store.open(Workspace(Path(project)).store)


def read_verdict(project: str | Path = ".") -> Verdict:
    """The verdict of a project's last run.

    Raises:
        UserError: nothing has been judged yet, or the figures were edited since.
    """
    workspace = Workspace(Path(project))
    figures = read_figures(workspace, "utility")
    low, high = figures["ci95"]
    return Verdict(
        verdict=figures["verdict"],
        sentence=figures["sentence"],
        difference=figures["delta"],
        interval=(low, high),
        baseline=figures["baseline"],
        recommended=recommendation(figures),
        changed=tuple(changed(figures, as_now(workspace, figures))),
        figures=figures,
    )
