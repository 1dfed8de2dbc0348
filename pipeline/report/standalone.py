"""The page of two folders that were scored without a project around them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.atomic import replacing
from pipeline.report import charts
from pipeline.report.advice import of_quality
from pipeline.report.quality import quality
from pipeline.report.rendering import render

Tree = dict[str, Any]


def write(figures: Tree, tables: Mapping[str, Sequence[Tree]], folders: tuple[str, str], target: Path) -> None:
    """Writes ``target``, an HTML file that needs nothing outside itself.

    Args:
        figures: with the structure of ``metrics/quality.json``.
        tables: rows by name, as in ``plots/evaluate/``: ``per_class`` and ``confusions``.
        folders: of the real and of the synthetic images.

    Raises:
        OSError: it cannot be written.
    """
    classes = [row["class"] for row in tables["per_class"]]
    page = render(
        "standalone.html.j2",
        real=folders[0],
        fake=folders[1],
        quality=quality(figures),
        better=of_quality(figures),
        bias_charts=[*charts.confusions(tables["confusions"], classes), charts.spectrum(figures)],
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as (part,):
        part.write_text(page, encoding="utf-8")
