"""The pages as a real browser shows them, at a desk and on a telephone, in light and in dark."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page as BrowserPage

from pipeline.comparison.command import compare
from pipeline.report import standalone
from tests.browser import SCHEMES, WIDTHS, needs_browser, opened
from tests.pipeline.report import made_project

CHECKS = (Path(__file__).parents[2] / "page_checks.js").read_text(encoding="utf-8")
LONG = "a class of a very long name, without_any_place_to_break_it_in_two_" + "x" * 80
# figures that know no bound, as they are of a generator that has hardly begun: the widest of each way to write them
WIDE, HUGE = 99_999.9994, -1.25e30
ABSURD = {"kid": HUGE, "kid_standard_error": WIDE, "standard_error": WIDE, "limit": WIDE, "value": HUGE}
ABSURD |= {"synthetic": HUGE, "real": WIDE, "drift": HUGE}
pytestmark = needs_browser


def absurd(node: Any, key: str = "") -> Any:
    """What a stage wrote, with such figures in it."""
    if isinstance(node, dict):
        return {name: absurd(value, name) for name, value in node.items()}
    if isinstance(node, list):
        return [absurd(one, key) for one in node]
    return ABSURD.get(key, node) if isinstance(node, float) else node


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report with everything in it, a class of a long name and absurd figures too."""
    root = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(made_project, "HOSTILE", LONG)
        for name in ("quality", "quality_by_class", "training"):
            patched.setattr(made_project, name, partial(absurd, getattr(made_project, name)()))
        made_project.written(made_project.make(root))
    return (root / "report" / "index.html").as_uri()


def faults(page: BrowserPage, address: str, width: int, scheme: str) -> list[str]:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    return [f"{width} {scheme}: {fault}" for fault in page.evaluate(CHECKS)]


def check(address: str) -> None:
    with opened() as seen:
        found = [one for width in WIDTHS for scheme in SCHEMES for one in faults(seen.page, address, width, scheme)]
        assert not found, "\n".join(found)
        assert seen.leaving() == []
        assert seen.errors == []


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a comparison of two projects with all that they can have, and long names."""
    root = tmp_path_factory.mktemp("comparison")
    names = [str(root / name) for name in ("one", LONG.replace(" ", "_"))]
    for name in names:
        made_project.make(Path(name)).params.write_text("seed: 1\n" if name.endswith("one") else "{}\n")
    compare(names[0], names[1], root / "page.html", as_json=True)
    return (root / "page.html").as_uri()


def test_a_comparison_can_be_read_everywhere_and_asks_for_nothing(comparison: str) -> None:
    check(comparison)


def test_scored_folders_can_be_read_everywhere_and_ask_for_nothing(tmp_path: Path) -> None:
    rows = [
        {"asked": LONG, "seen": LONG, "synthetic": 9, "real": 8},
        {"asked": "=b", "seen": "=b", "synthetic": 3, "real": 4},
    ]
    tables = {"confusions": rows, "per_class": [{"class": LONG}, {"class": "=b"}]}
    standalone.write(made_project.quality(), tables, (f"/a/{LONG}", "b"), tmp_path / "page.html")
    check((tmp_path / "page.html").as_uri())


def test_the_report_can_be_read_everywhere_and_asks_for_nothing(report: str) -> None:
    check(report)
