"""The report page: what it says, that it needs nothing outside itself, and what it does when parts are missing."""

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from pipeline.binding import write_figures
from pipeline.params import Params
from pipeline.report.page import write
from pipeline.report.wording import MINUS, NONE
from pipeline.workspace import Workspace
from tests.pipeline.report.made_project import (
    HOSTILE,
    PICTURES,
    TONES,
    Page,
    export,
    make,
    rows_of,
    trained,
    utility,
    written,
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Of a project that has everything."""
    return Page(written(make(tmp_path_factory.mktemp("whole"))))


def test_the_page_says_what_was_found(page: Page) -> None:
    said = " ".join(page.text.split())
    assert "HELPS Use it, says" in said and "It helps, says" in said
    assert "over 6 paired seeds and 2 draws of the generator" in said
    assert "Dose of synthetic images 2.0 2,212 images" in said
    assert "Smallest effect 2.4 points" in said
    assert "Seeds to settle it" not in said
    assert "85.2 % balanced accuracy of the best classical training on 500 synthetic images" in said
    assert "interval 84.0 to 86.4" in said
    assert "few images: tail" in said
    assert page.row("control") == [
        "control (copies) baseline", "92.0", "93.0", "91.0 to 95.0", "93.0", "4.0", "0.007, 0.05", "19,200",
        "+1.25 +0.10 to +2.49",
    ]  # fmt: skip
    assert page.row("Coverage worse than real")[1:] == ["0.700", "0.900", "0.800 to 1.000"]
    assert "worse" not in page.row("Recall")[0]
    assert page.row("FID")[1] == "0.700"
    assert page.row("a new figure")[1] == "0.700"
    assert "3 synthetic images equal a training image" in said
    assert f"KID {MINUS}0.010 ± 0.006" in said
    assert "1,797 images found: 1 could not be used" in said
    assert "Not usable, 1: truncated" in said
    assert page.row("together")[1:] == ["114", "3", "7", "2"]  # the manifest's real image is not counted as synthetic
    assert "seed 41" in said
    assert "recipe wgan-gp and the family resnet, 110.0 thousand real images" in said
    assert f"{'ab' * 32}, {'cd' * 32}." in said
    assert page.row("score_gap")[1:] == ["0.27", "0.27"]
    assert "Not on this page" not in said


def test_gates_copies_and_bias_are_shown(page: Page) -> None:
    said = " ".join(page.text.split())
    assert page.row("coverage train longer")[1:] == [">= 0.9 floor", "0.720", "0.700", "failed"]
    assert page.row("kid") == ["kid", "<= 1", "1.000", f"{MINUS}0.010", "passed"]
    assert page.row("frechet_distance")[3:] == [NONE, "not measured"]
    assert page.row("pixels") == ["pixels", "1.1", "0.5 to 2.0", "PASS", NONE]
    assert page.row("features")[3:] == ["WARN", f"{MINUS}3.50 ± 0.30"]
    assert "Weakest class: tail, which falls 25.0 points short" in said
    assert "Missing, or drawn as something else: tail." in said
    assert f"tail seen as {HOSTILE} (50.0 %, real 1.0 %)." in said
    assert f"{HOSTILE} seen as tail" not in said  # real images are confused more
    tones = [row for row in rows_of(page, 7) if row[1] in TONES]
    assert tones == [
        ["all classes", "brightness", "100.0", "90.0", f"{MINUS}10.0", f"{MINUS}1.0 to 1.0", "outside"],
        ["all classes", "contrast", "100.0", "90.0", f"{MINUS}10.0", f"{MINUS}20.0 to 20.0", ""],
        ["tail", "brightness", "100.0", NONE, NONE, NONE, ""],
        ["tail", "contrast", "100.0", NONE, NONE, NONE, ""],
    ]


def test_seeds_that_would_settle_it_are_named_where_there_is_no_verdict(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    write_figures(workspace.metrics("utility"), utility() | {"seeds_to_settle": 1400})
    assert "Seeds to settle it1,400" in " ".join(Page(written(workspace)).text.split())


def test_what_training_says_is_shown_generator_by_generator(page: Page) -> None:
    said = " ".join(page.text.split())
    assert "Recipe wgan-gp: family resnet, loss wasserstein, penalty two_sided. 2 generators" in said
    assert "Nothing went wrong" not in said
    shipped = ["120.1 kimg", "110.0 kimg", "0.018 ± 0.004", "86.0", "2", "1"]
    assert [row for row in rows_of(page, 7) if row[0] in ("1", "2")] == [["1", *shipped], ["2", *shipped]]
    assert page.row("mode collapse") == ["mode collapse", "1", "80.0 to 90.0", "0.031", "mend mode collapse"]
    assert page.row("divergence") == ["divergence", "1", "80.0 to the end", "not finite", "mend divergence"]
    assert page.row("memorising")[1] == "2"
    assert ["2", "60.0", "0.500 ± 0.020", "25.0", ""] in rows_of(page, 5)
    assert ["2", "110.0", "0.018 ± 0.004", "86.0", "ships"] in rows_of(page, 5)


def test_the_page_calls_the_recipe_by_its_name(tmp_path: Path) -> None:
    params = Params.model_validate({"train": {"recipe": "r3"}})
    write(params, make(tmp_path), tmp_path / "page.html")
    said = " ".join(Page((tmp_path / "page.html").read_text()).text.split())
    assert "Recipe r3: family r3, loss relativistic, penalty r1_r2." in said
    assert "recipe r3" in said
    assert "WGAN" not in said


def test_what_filters_and_force_did_is_shown(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    page = Page(written(workspace))
    assert "Exported although these gates failed: coverage." in page.text
    assert "copies: 0.01; critic: 0.1." in page.text
    (accepted,) = [row for row in rows_of(page, 7) if "1,400" in row]
    assert accepted == ["tail", "1,106", "1,400", "94", "200", "1,106", "79.0"]
    rows = [row | {"rejected": {}} for row in export()["classes"]]
    write_figures(workspace.metrics("export"), export() | {"classes": rows})
    assert "No filter was on" in written(workspace)


def test_a_training_without_trouble_and_without_snapshots_is_told_apart(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    none = dict.fromkeys(("kid", "standard_error", "coverage")) | {"kimg": 120.064, "of": []}
    write_figures(workspace.metrics("train"), trained() | {"snapshot": none})
    page = Page(written(workspace))
    assert "Nothing went wrong." in page.text
    assert "The last generator ships" in page.text
    assert "Snapshots" not in page.text


def test_classes_are_joined_and_what_is_unknown_is_a_dash(page: Page) -> None:
    by_class = rows_of(page, 10)[1:]
    assert by_class == [
        [
            *(HOSTILE, "110", "0", "5", "50.0 37.5 to 62.5", "75.0 62.5 to 87.5", f"+25.0 {MINUS}12.5 to +62.5"),
            *(f"{NONE} ({NONE})", f"{NONE} ({NONE})", NONE),
        ],
        ["tail", "4", "1,106", "0", NONE, NONE, NONE, "90.0 (95.0)", "80.0 (85.0)", "0.200 ± 0.100"],
    ]


def test_the_arms_stand_in_the_order_of_the_experiment(page: Page) -> None:
    first = page.rows.index(next(row for row in page.rows if row[0] == "arm")) + 1
    assert [row[0].split()[0] for row in page.rows[first : first + 3]] == ["real", "control", "+"]


def test_what_to_do_comes_first_with_its_commands(page: Page, tmp_path: Path) -> None:
    said = " ".join(page.text.split())
    first, second, third = (said.index(words) for words in ("HELPS Use it", "What to do now", "What was compared"))
    assert first < second < third
    assert "Train with the synthetic images: 2,212 of them, recipe oversampling + affine." in said[second:third]
    assert "run <code>dvc repro</code>." in written(make(tmp_path))


def test_the_page_needs_nothing_outside_itself_and_escapes_names(tmp_path: Path) -> None:
    text = written(make(tmp_path))
    page = Page(text)
    assert "script" not in page.tags
    assert HOSTILE not in text
    assert HOSTILE in page.text
    assert len(page.addresses) == len(PICTURES)
    for address in page.addresses:
        head, content = address.split(",")
        assert head == "data:image/png;base64"
        Image.open(io.BytesIO(base64.b64decode(content))).verify()
    assert not re.search(r"url\((?!#)|@import|https?://", text)


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    assert written(workspace) == written(workspace)


def test_a_missing_or_damaged_part_is_left_out_and_named(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    workspace.metrics("quality").unlink()
    (tmp_path / "plots/evaluate/grid.png").unlink()
    workspace.metrics("train").write_text("{half")
    write_figures(workspace.metrics("ingest"), {"images": {}})
    (workspace.synthetic / "manifest.parquet").write_bytes(b"no parquet")
    page = Page(written(workspace))
    said = " ".join(page.text.split())
    assert "How good the synthetic images are" not in said
    assert "HELPS" in said
    assert "metrics/quality.json: not there" in said
    assert "plots/evaluate/grid.png: not there" in said
    assert "metrics/train.json: not what train writes" in said
    assert "metrics/ingest.json: lacks 'bad'" in said
    assert "synthetic/manifest.parquet: no manifest that can be read" in said
    assert len(page.addresses) == len(PICTURES) - 1


def test_an_empty_workspace_still_gives_a_page(tmp_path: Path) -> None:
    page = Page(written(Workspace(tmp_path)))
    assert "No verdict" in page.text
    assert "metrics/utility.json: not there" in page.text
