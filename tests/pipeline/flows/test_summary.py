"""What a run tells in Prefect: few figures in a fixed order, the verdict first, pictures that are small."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.binding import write_figures
from pipeline.flows import figures
from pipeline.flows.artifacts import LARGE, THUMBNAIL, data_url
from pipeline.flows.summary import Link, report
from pipeline.workspace import Workspace
from tests.pipeline.report import made_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished project, made up."""
    workspace = made_project.make(tmp_path_factory.mktemp("made"))
    write_figures(workspace.metrics("quality"), made_project.quality() | {"coverage": 0.75, "kid": 0.5})
    write_figures(workspace.metrics("export"), made_project.export() | {"images": 1234})
    write_figures(workspace.metrics("utility"), made_project.utility() | {"delta": 0.0125, "ci95": [-0.01, 0.03]})
    return workspace


def metrics(project: Workspace, name: str) -> dict[str, object]:
    content: dict[str, object] = json.loads(project.metrics(name).read_text(encoding="utf-8"))
    return content


def test_the_figures_are_few_the_verdict_first_and_as_the_files_have_them(project: Workspace) -> None:
    read = figures.read(project)
    assert 15 <= len(read) <= 30
    assert next(iter(read)) == "utility.verdict"
    assert read["quality.kid"] == metrics(project, "quality")["kid"]
    assert list(read) == list(figures.read(project))
    best = metrics(project, "utility")["baseline"]
    assert read[f"utility.arms.{best}.balanced_accuracy"] >= 0
    assert not any(name.startswith("ingest.bad.first") for name in read)


def test_a_change_is_told_as_a_number_or_as_a_word(project: Workspace) -> None:
    read = figures.read(project)
    last = read | {"utility.verdict": "ELSE", "quality.kid": read["quality.kid"] - 0.25}
    del last["export.images"]
    rows = {row["figure"]: row for row in figures.rows(read, last)}
    assert rows["utility.verdict"]["change"] == "changed" and rows["utility.verdict"]["last run"] == "ELSE"
    assert rows["quality.kid"]["change"] == "+0.25"
    assert rows["quality.coverage"]["change"] == rows["export.images"]["change"] == ""


def test_the_report_begins_with_verdict_and_interval_and_holds_its_pictures(project: Workspace) -> None:
    utility, read = metrics(project, "utility"), figures.read(project)
    last = read | {"utility.verdict": "ELSE", "quality.coverage": read["quality.coverage"] - 0.125}
    picture = "data:image/png;base64,AA=="
    text = report(utility, read, last, {"Samples": picture}, [Link("Report", "http://host/a b", "/a b")])
    lines = text.splitlines()
    assert lines[0].startswith(f"# {utility['verdict']} (was ELSE): ")
    assert lines[0].endswith("+1.25 points, 95 % interval \N{MINUS SIGN}1.00 to +3.00")
    assert "| Images in the set | 1,234 | 1,234 |  |" in lines
    (coverage,) = [line for line in lines if line.startswith("| Coverage, % |")]
    assert coverage.endswith("| +12.50 |")
    assert f"![Samples]({picture})" in lines
    assert "- [Report](http://host/a%20b): `/a b`" in lines
    assert text.index("Coverage") < text.index("![Samples]") < text.index("- [Report]") < text.index("validation")


def test_a_project_without_a_verdict_has_a_report_too() -> None:
    assert report(None, {"quality.kid": 0.5}, {}, {}, []).splitlines()[0] == "# No verdict yet"


@pytest.mark.parametrize(("side", "most"), [THUMBNAIL, LARGE])
def test_pictures_are_small_whatever_they_show(tmp_path: Path, side: int, most: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    plain = np.kron(np.arange(64, dtype=np.uint8).reshape(8, 8), np.ones((60, 60), np.uint8))
    for content in (noise, plain):
        Image.fromarray(content).save(tmp_path / "picture.png", compress_level=1)
        head, data = data_url(tmp_path / "picture.png", side, most).split(",", 1)
        file = base64.b64decode(data, validate=True)
        with Image.open(io.BytesIO(file)) as image:
            assert head == f"data:image/{str(image.format).lower()};base64"
            assert max(image.size) <= side
            assert abs(image.width / image.height - content.shape[1] / content.shape[0]) < 0.01
        assert len(file) <= most
    assert np.array_equal(np.asarray(image := Image.open(io.BytesIO(file))), plain) and image.format == "PNG"
