"""The report: one HTML page that holds its pictures and styles, needs no network and runs no script."""

import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.params import Params
from pipeline.report import charts, parts
from pipeline.report.advice import advise
from pipeline.report.files import PageFiles, Tree
from pipeline.report.quality import quality
from pipeline.report.rendering import render
from pipeline.workspace import Workspace

PICTURES = (
    (
        "plots/evaluate/grid.png",
        "Real images that the generator never saw, and synthetic ones, class by class.",
        "Two grids of images side by side, a row a class: real ones on the left, synthetic ones on the right.",
    ),
    (
        "plots/evaluate/extremes.png",
        "The synthetic images that lie deepest among unseen real ones, and those furthest from any.",
        "Pairs of a synthetic image and the nearest held-out real one, best pairs above, worst below.",
    ),
    (
        "plots/evaluate/nearest.png",
        "The synthetic images that lie nearest to a training image, each beside that image.",
        "Pairs of a synthetic image and the nearest training image, suspected copies framed in red.",
    ),
    (
        "plots/evaluate/interpolation.png",
        "From one random latent to another: a generator that has learnt its images by heart jumps, others glide.",
        "A grid of synthetic images, a row a class, which change from left to right.",
    ),
    (
        "plots/train/samples.png",
        "Draws of the generator that ships, class by class; of several, of the first one.",
        "A grid of synthetic images, a row a class.",
    ),
)
CURVES, CONFUSIONS = "plots/train/curves.csv", "plots/evaluate/confusions.csv"
UTILITY, QUALITY, TRAIN, STUDY = (f"metrics/{name}.json" for name in ("utility", "quality", "train", "study"))


def write(params: Params, workspace: Workspace, target: Path, unmoved: Mapping[str, Path] | None = None) -> None:
    """Writes the page from what the stages have left: ``metrics/``, ``plots/``, the cards and the manifest.

    A part whose source is missing or damaged is left out, and named at the end of the page.

    Args:
        target: the HTML file; its folder is made if need be.
        unmoved: where files and folders lie, by name, that are not in the workspace yet.
    """
    files = PageFiles(workspace, unmoved or {})
    page = render(
        "page.html.j2",
        utility=files.part(UTILITY, parts.utility),
        effect=files.part(UTILITY, lambda tree: [charts.effect(tree, params.classify.equivalence_margin)]) or [],
        verdict_charts=files.part(UTILITY, charts.verdict) or [],
        advice=advise(params, *(files.part(name, dict) for name in (UTILITY, QUALITY, TRAIN))),
        **_study(files, params.classify.equivalence_margin),
        quality=files.part(QUALITY, quality),
        bias_charts=_bias_charts(files),
        per_class=parts.per_class(files),
        pictures=files.pictures(PICTURES),
        training=files.part(TRAIN, lambda tree: parts.training(tree, params.train)),
        curves=files.file(CURVES, charts.curves) or [],
        export=files.part("metrics/export.json", parts.export),
        data=files.part("data/store/summary.json", lambda tree: parts.data(tree, files)),
        generator=files.part("models/generator.json", parts.generator),
        params=params.model_dump(mode="json", exclude={"workers"}),  # which say nothing of what came out
        missing=files.missing,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")


def _study(files: PageFiles, margin: float) -> Tree:
    """The study and its chart, the single split above it; none is missed where there is none."""
    if not os.path.lexists(files.workspace.metrics("study")):
        return {"study": None, "study_charts": []}
    utility = files.part(UTILITY, dict)
    return {
        "study": files.part(STUDY, parts.study),
        "study_charts": files.part(STUDY, lambda tree: [charts.study(tree, utility, margin)]) or [],
    }


def _bias_charts(files: PageFiles) -> list[charts.Chart]:
    classes = files.part("data/store/summary.json", lambda tree: tree["classes"]) or []

    def confusions(rows: list[Tree]) -> list[charts.Chart]:
        return charts.confusions(rows, classes) if classes else []

    spectrum = files.part(QUALITY, charts.spectrum)
    return [*(files.table(CONFUSIONS, confusions, ("asked", "seen")) or []), *([spectrum] if spectrum else [])]
