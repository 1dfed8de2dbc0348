"""The page of a comparison, in the style of the report."""

from pathlib import Path
from typing import Any

from pipeline.atomic import replacing
from pipeline.comparison.compared import Found
from pipeline.comparison.sides import PICTURES
from pipeline.report import charts
from pipeline.report.files import PageFiles
from pipeline.report.interval import Effect
from pipeline.report.rendering import render

Tree = dict[str, Any]
ALT = "A grid of images, a row a class"


def write_page(found: tuple[Found, Found], content: Tree, rows: list[Tree], target: Path) -> None:
    """Writes ``target``, an HTML file that needs nothing outside itself.

    Args:
        found: both sides.
        content: see :func:`pipeline.comparison.compared.compared`.
        rows: its figures as texts, as for the terminal.

    Raises:
        OSError: it cannot be written.
    """
    files = [PageFiles(one.side.workspace) for one in found]
    pictures = [
        [
            each.picture(name, f"{one.side.name}: {caption}", f"{one.side.name}: {ALT}")
            for one, each in zip(found, files, strict=True)
        ]
        for name, caption in PICTURES.items()
    ]
    page = render(
        "compare.html.j2",
        effects=_effects(found),
        arms=[_arms(one, i) for i, one in enumerate(found)],
        rows=rows,
        pictures=[[picture for picture in pair if picture] for pair in pictures],
        missing=[each.missing | one.missing for one, each in zip(found, files, strict=True)],
        **content,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as (part,):
        part.write_text(page, encoding="utf-8")


def _effects(found: tuple[Found, Found]) -> list[charts.Chart]:
    named = [(one.side.name, one.figures["utility"]) for one in found if "utility" in one.figures]
    effects = [Effect(name, utility["delta"], utility["ci95"]) for name, utility in named]
    margins = [one.params.classify.equivalence_margin for one in found if one.params]
    return [charts.effects(effects, min(margins, default=0.0))] if effects else []


def _arms(one: Found, index: int) -> charts.Chart | None:
    try:
        return (
            charts.arms(one.figures["utility"], f"arms-{index}", f"{one.side.name}: ")
            if "utility" in one.figures
            else None
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        one.missing["metrics/utility.json"] = f"its arms cannot be drawn ({type(error).__name__}: {error})"
        return None
