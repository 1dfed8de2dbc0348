"""A hostile class name through every artefact that names classes: shown, and never acting."""

import csv
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from pipeline.binding import write_figures
from pipeline.charts import plot_confusion
from pipeline.cli import main, program
from pipeline.errors import UserError
from pipeline.escaping import terminal
from pipeline.evaluation import plots
from pipeline.evaluation.tables import write_tables
from pipeline.experiment.plots import write_classes
from pipeline.export.plan import Plan
from pipeline.flows.figures import read
from pipeline.flows.figures import rows as table
from pipeline.flows.summary import Link, report
from pipeline.formats.card import publish
from pipeline.provenance import Mark, read_mark
from pipeline.report.terminal.acceptance import acceptance_line, acceptance_table
from pipeline.report.terminal.results import print_utility
from pipeline.sheets import shortened
from pipeline.workspace import Workspace
from tests.pipeline.made_set import GENERATOR, make_set
from tests.pipeline.report import made_project
from tests.pipeline.test_escaping import HOSTILE, Seen, rendered

UNSEEN = ("\x1b[31mred\x1b[0m", "two\nlines", "\u202eevil\u2066", "\x9b2J")  # what no exported folder can be called
NAMES = tuple(name.replace("/", "-") for name in HOSTILE)  # as ingest calls classes
DRAWN = tuple(name for name in NAMES if name[0] in "<=-@*['q")  # some of every kind: a picture takes its time
CARD_TAGS = {*("h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code", "pre"), "strong", "hr"}
CHART = re.compile(r"<svg.*?</svg>", re.DOTALL)
FORMULA = ("=", "+", "-", "@")


def console() -> Console:
    """A terminal of unlimited width that knows colours."""
    return Console(file=io.StringIO(), force_terminal=True, width=4000, color_system="truecolor")


def printed(what: Table) -> str:
    """What a terminal gets to see of it, without the styles that we ask for."""
    out = console()
    out.print(what)
    plain = Console(file=io.StringIO(), width=4000)
    plain.print(what)
    assert "\x1b[31m" not in out.file.getvalue()  # type: ignore[attr-defined]
    return plain.file.getvalue()  # type: ignore[attr-defined]


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def safe(row: list[str], name: str) -> bool:
    """Whether the row begins with the name, and is no formula."""
    return row[0] in (name, f"'{name}") and not row[0].startswith(("\t", "\r", "\n", *FORMULA, "\uff1d"))


def exported(root: Path, kind: str) -> Workspace:
    """A project with a set of such classes in it, its figures and its verdict, which name them all."""
    workspace = Workspace(root)
    make_set(workspace.synthetic, classes=NAMES, empty=None, format=kind)
    workspace.metrics("quality").parent.mkdir(parents=True)
    figure = {"synthetic": 0.1, "real": 0.2, "ci95": [0.0, 1.0]}
    quality: dict[str, Any] = {"gates": [], "floor": {"kid": figure}, "below_floor": [], "missing_classes": list(NAMES)}
    quality["notes"] = [f"note {name}" for name in NAMES]
    utility = {"verdict": "HURTS", "sentence": f"It {NAMES[0]}.", "warnings": [f"few of {name}" for name in NAMES]}
    for name, content in (("quality", quality), ("utility", utility)):
        write_figures(workspace.metrics(name), content)
    return workspace


@pytest.mark.parametrize("kind", ["imagefolder", "webdataset"])
def test_the_card_in_the_set_and_the_published_one(tmp_path: Path, kind: str) -> None:
    workspace = exported(tmp_path, kind)
    inside = (workspace.synthetic / "README.md").read_text(encoding="utf-8")
    for text in (inside, publish(workspace)):
        front, body = text.removeprefix("---\n").split("\n---\n", 1)
        YAML(typ="safe").load(front)
        page = rendered(body)
        assert page.tags <= CARD_TAGS
        said = " ".join(page.text.split())
        for label, name in enumerate(NAMES):
            assert f"{' '.join(name.split())} {label} 2" in said or f"{' '.join(name.split())} {label} 1" in said
    assert all(f"few of {' '.join(name.split())}" in said for name in NAMES)


def test_machines_read_the_very_names(tmp_path: Path) -> None:
    made = make_set(tmp_path / "set", classes=NAMES, empty=None)
    assert mlcroissant.Dataset(jsonld=str(made.root / "croissant.json")).metadata.ctx.issues.errors == set()
    assert set(pq.read_table(made.root / "manifest.parquet")["label"].to_pylist()) == set(NAMES)
    lines = (made.root / "images" / "metadata.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert {json.loads(line)["label"] for line in lines} == set(NAMES)
    for row in made.rows:
        if row.synthetic:
            assert read_mark(made.root / row.file) == Mark(GENERATOR, row.label, row.index, 2**62)


def report_page(root: Path, name: str) -> tuple[Seen, ElementTree.Element]:
    """The report of a project with a class of that name, without its charts, and these."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(made_project, "HOSTILE", name)
        text = made_project.written(made_project.make(root))
    return Seen(CHART.sub("", text)), ElementTree.fromstring(f"<all>{''.join(CHART.findall(text))}</all>")


@pytest.fixture(scope="module")
def harmless_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, ElementTree.Element]:
    return report_page(tmp_path_factory.mktemp("harmless"), "harmless")


@pytest.mark.parametrize("name", [*DRAWN, *UNSEEN])
def test_the_report_page(tmp_path: Path, harmless_page: tuple[Seen, ElementTree.Element], name: str) -> None:
    harmless, plain = harmless_page
    hostile, charts = report_page(tmp_path, name)
    assert hostile.tags == harmless.tags
    assert hostile.text == harmless.text.replace("harmless", terminal(name, keep="\n"))
    assert [(node.tag, node.keys()) for node in charts.iter()] == [(node.tag, node.keys()) for node in plain.iter()]
    assert shortened(name, 14) in [node.text for node in charts.iter("text")]
    assert any(f" {terminal(name)} " in node.attrib["aria-label"] for node in charts.iter("svg"))


@pytest.mark.parametrize("name", [*DRAWN, *UNSEEN])
def test_pictures_and_their_tables(tmp_path: Path, name: str) -> None:
    confusion = {"synthetic": [[3, 0], [1, 2]], "real": [[2, 0], [0, 2]]}
    plot_confusion(tmp_path / "confusion.png", confusion, (name, "tail"))
    images = SimpleNamespace(images=np.zeros((2, 1, 8, 8), np.uint8), labels=np.array([0, 1]))
    sets = SimpleNamespace(classes=(name, "tail"), real=images, synthetic=images)
    row = {"class": name, "coverage": -0.5, "shortfall": None}
    plots.grid_sheet({"per_class": [row, row]}, sets)  # type: ignore[arg-type]
    scored = SimpleNamespace(synthetic=SimpleNamespace(labels=np.array([0, 1]), predicted=np.array([1, 0])))
    plots._write_confusion(tmp_path / "confusion.csv", sets, scored)  # type: ignore[arg-type]
    write_tables(tmp_path, {"per_class": [row]})
    write_classes(tmp_path / "classes.csv", [made_project.utility()["per_class"][0] | {"class": name}])
    (first, second), (per_class,) = cells(tmp_path / "confusion.csv"), cells(tmp_path / "per_class.csv")
    assert safe(first, name) and safe(per_class, name) and safe(cells(tmp_path / "classes.csv")[0], name)
    assert first[0] == second[1]  # joined by name
    assert per_class[1:] == ["-0.5", ""]


@pytest.mark.parametrize("name", [*NAMES, *UNSEEN])
def test_the_terminal(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shown = " ".join(terminal(name).split())
    plan = Plan((name, "tail"), (3, 1), (0, 2), {})
    export = {
        "filters": {"critic": 0.1},
        "classes": [{"class": name, "wanted": 1, "drawn": 4, "accepted": 1, "rejected": {"critic": 3}}],
    }
    line = acceptance_line(export)
    for text in (printed(plan.table(f"for {name}")), printed(acceptance_table(export))):
        assert shown in " ".join(text.split())
    monkeypatch.setenv("COLUMNS", "4000")
    print_utility(made_project.utility() | {"sentence": line, "warnings": [f"few: {name}"]})
    said = capsys.readouterr().out
    assert (
        "\x1b" not in said and f"few: {shown}" in " ".join(said.split()) and f"class {shown}:" in " ".join(said.split())
    )

    def fail() -> None:
        raise UserError(f"class {name!s}: too small")

    monkeypatch.setattr(program, "prepare", fail)
    result = CliRunner().invoke(main, ["results"])
    assert result.exit_code == 2
    assert result.output == f"augmint: class {terminal(name, keep=chr(10))}: too small\n"


@pytest.mark.parametrize("name", [*NAMES, *UNSEEN])
def test_prefects_artifacts(tmp_path: Path, name: str) -> None:
    utility = made_project.utility() | {"sentence": f"It {name}.", "warnings": [f"few: {name}"], "baseline": "real"}
    utility |= {"delta": 0.01, "ci95": [-0.01, 0.03]}
    workspace = Workspace(tmp_path)
    workspace.metrics("utility").parent.mkdir()
    write_figures(workspace.metrics("utility"), utility | {"recipe": name})
    figures = read(workspace)
    links = [Link("Report", "http://host/a(b) c/", str(tmp_path / "pro`ject [x](y)"))]
    page = rendered(report(utility, figures, figures, {"Samples": "data:image/png;base64,AA=="}, links))
    tables = {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.tags == tables | {"h1", "p", "ul", "li", "a", "code", "strong", "img"}
    shown, said = " ".join(terminal(name).split()), " ".join(page.text.split())
    assert f"It {shown}." in said and f"few: {shown}" in said
    rows = table(figures, figures)
    assert rows[0]["figure"] == "utility.verdict" and {row["change"] for row in rows} == {""}
    recipe = rendered(next(row["value"] for row in rows if row["figure"] == "utility.recipe"))
    assert recipe.tags == {"p"}
    assert shown[:30] in " ".join(recipe.text.split()) or len(name) > 40
