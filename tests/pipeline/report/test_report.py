"""The report page: what it says, that it needs nothing outside itself, and what it does when parts are missing."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from pipeline.experiment.plots import axis_limits
from pipeline.params import Params
from pipeline.report.curves import CURVES, plot_curves
from pipeline.report.page import write
from pipeline.report.parts import FIGURES
from pipeline.report.terminal.acceptance import acceptance_table
from pipeline.report.terminal.results import print_results
from pipeline.report.wording import MINUS, NONE, between, count, number, percent, points, setting
from pipeline.workspace import Workspace

HOSTILE = "<script>alert('x')</script> & co"
VOID = {"meta", "img", "br"}
EVALUATED = ("grid", "nearest", "extremes", "interpolation", "confusion", "spectrum")
TONES = ("brightness", "contrast")
PICTURES = (*(f"evaluate/{name}" for name in EVALUATED), "train/samples", "classify/arms", "classify/dose")


class Page(HTMLParser):
    """Collects text, addresses and tables, and checks that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.addresses, self.tags = "", [], set()
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        """The cells, spaces made single, of the one row that begins with ``first``."""
        rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]
        (found,) = [row for row in rows if row and row[0].startswith(first)]
        return found


def rows_of(page: Page, columns: int) -> list[list[str]]:
    """The rows of so many cells, spaces made single."""
    return [[" ".join(cell.split()) for cell in row] for row in page.rows if len(row) == columns]


def arm(title: str, accuracy: float) -> dict[str, Any]:
    return {
        "title": title,
        "validation": accuracy - 0.01,
        "balanced_accuracy": accuracy,
        "ci95": [accuracy - 0.02, accuracy + 0.02],
        "macro_f1": accuracy,
        "calibration_error": 0.04,
        "spread": 0.01,
        "lr": 0.007,
        "weight_decay": 0.05,
        "images_seen": 19200,
        "seeds": [{"seed": seed, "draw": draw} for seed in range(6) for draw in range(2)],
    }


def utility() -> dict[str, Any]:
    recall = {"control": 0.5, "synthetic": 0.75, "real": 0.25}
    recall_ci95 = {"control": [0.375, 0.625], "synthetic": [0.625, 0.875]}
    return {
        "verdict": "HELPS",
        "sentence": f"It helps, says {HOSTILE}.",
        "baseline": "control",
        "recipe": "oversampling + affine",
        "dose": 2.0,
        "draws": 2,
        "smallest_effect": 0.0241,
        "seeds_to_settle": None,
        "train_real_test_synthetic": {"balanced_accuracy": 0.852, "images": 500, "seeds_ci95": [0.84, 0.864]},
        "warnings": ["few images: tail"],
        "arms": {
            "control": arm("control (copies)", 0.93),
            "real": arm("real", 0.88),
            "synthetic": arm("+ synthetic", 0.9425),
        },
        "comparisons": [{"against": "control", "delta": 0.0125, "ci95": [0.001, 0.0249]}],
        "doses": [{"dose": 1.0, "images": 1106, "picked": False}, {"dose": 2.0, "images": 2212, "picked": True}],
        "per_class": [
            {
                "class": HOSTILE,
                "train": 110,
                "synthetic": 0,
                "test": 5,
                "recall": recall,
                "recall_ci95": recall_ci95,
                "recall_difference": 0.25,
                "recall_difference_ci95": [-0.125, 0.625],
            },
            {
                "class": "tail",
                "train": 4,
                "synthetic": 1106,
                "test": 0,
                "recall": dict.fromkeys(recall),
                "recall_ci95": None,
                "recall_difference": None,
                "recall_difference_ci95": None,
            },
        ],
    }


def quality() -> dict[str, Any]:
    figure = {"synthetic": 0.7, "real": 0.9, "ci95": [0.8, 1.0]}
    copies = {"share": 0.011, "ci95": [0.0055, 0.0196], "status": "PASS", "c_t": None}
    copied = copies | {"status": "WARN", "c_t": {"value": -3.5, "deviation": 0.3, "cells": 10}}
    tone = {"real": [100.0], "synthetic": [90.0], "drift": [-10.0], "ci95": [[-1.0, 1.0]]}
    unknown = {"real": [100.0], "synthetic": [None], "drift": [None], "ci95": [None]}
    seen = {"coverage": 0.9, "coverage_real": 0.95, "label_agreement": 0.8, "label_agreement_real": 0.85}
    return {
        "embedder": "domain:89879dca6703",
        "embedder_accuracy": 0.883,
        "images": {"compared": 341, "synthetic": 1000},
        "kid": -0.0102,
        "kid_standard_error": 0.006,
        "label_agreement": 0.951,
        "worst_class": "tail",
        "worst_class_shortfall": 0.25,
        "missing_classes": ["tail"],
        "notes": [],
        "gates": [
            {"figure": "coverage", "gate": ">= 0.9 floor", "limit": 0.72, "value": 0.7, "passed": False},
            {"figure": "kid", "gate": "<= 1", "limit": 1.0, "value": -0.0102, "passed": True},
            {"figure": "frechet_distance", "gate": "<= 9", "limit": 9.0, "value": None, "passed": False},
        ],
        "embedders": {"inception:0123": {"floor": {"fid": figure}, "below_floor": []}},
        "bias": {
            "confusion": {"synthetic": [[90, 10], [50, 50]], "real": [[80, 20], [1, 99]]},
            "intensity": {
                "mean": tone,
                "contrast": tone | {"ci95": [[-20.0, 20.0]]},
                "per_class": [{"class": "tail", "mean": unknown, "contrast": unknown}],
                "worst_class": "tail",
            },
        },
        "below_floor": ["coverage"],
        "floor": {"coverage": figure, "recall": figure, "a_new_figure": figure},
        "copies": {"exact_duplicates": 3, "pixel": copies, "feature": copied},
        "per_class": [
            {"class": HOSTILE, "kid": None, "kid_standard_error": None, **dict.fromkeys(seen)},
            {"class": "tail", "kid": 0.2, "kid_standard_error": 0.1, **seen},
        ],
    }


def export() -> dict[str, Any]:
    rows = [
        {"class": HOSTILE, "wanted": 0, "drawn": 0, "accepted": 0, "rejected": {}},
        {"class": "tail", "wanted": 1106, "drawn": 1400, "accepted": 1106, "rejected": {"critic": 200, "copies": 94}},
    ]
    filters = {"critic": 0.1, "copies": 0.01, "manifold": 0}
    return {"classes": rows, "filters": filters, "forced": True, "overridden": ["coverage"]}


def trained(*health: dict[str, Any]) -> dict[str, Any]:
    """What ``train`` says of one generator."""
    first = {"kimg": 60.0, "kid": 0.5, "standard_error": 0.02, "coverage": 0.25}
    best = {"kimg": 110.0, "kid": 0.018, "standard_error": 0.004, "coverage": 0.86}
    return {
        **dict.fromkeys(FIGURES, 0.27),
        "generator": "ab" * 32,
        "kimg": 120.064,
        "rollbacks": 1,
        "health": list(health),
        "snapshot": best | {"of": [first, best]},
    }


def alarm(signal: str, until: float | None, value: float | None) -> dict[str, Any]:
    return {"signal": signal, "kimg": 80.0, "until": until, "value": value, "remedy": f"mend {signal}"}


def training() -> dict[str, Any]:
    sick = trained(alarm("mode collapse", 90.0, 0.031), alarm("divergence", None, None))
    return sick | {"members": [trained(alarm("memorising", None, 0.9))]}


def write_curves(path: Path, penalty: list[float], overfitting: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{i},{3 - i},{values[0]},{values[1]},1" for i, values in enumerate(zip(penalty, overfitting, strict=True))]
    path.write_text("\n".join([",".join(("kimg", *CURVES)), *rows]) + "\n")


def make(root: Path) -> Workspace:
    """Everything that the page shows, at the smallest."""
    workspace = Workspace(root)
    classes = [HOSTILE, "tail"]
    counts = {"train": {HOSTILE: 110, "tail": 4}, "val": {HOSTILE: 3}, "test": {HOSTILE: 5, "tail": 2}}
    ingest = {
        "images": {"found": 1797, "thinned": 768},
        "bad": {"images": 1, "reasons": [{"reason": "truncated", "images": 1}]},
        "duplicates": {"removed": 2, "conflicting": 0},
        "near_duplicates": {"images": 4, "groups": 2, "conflicting": 0},
        "passed_over": [],
    }
    files = {
        workspace.metrics("utility"): utility(),
        workspace.metrics("quality"): quality(),
        workspace.metrics("train"): training(),
        workspace.metrics("export"): export(),
        workspace.metrics("ingest"): ingest,
        workspace.store / "summary.json": {"classes": classes, "counts": counts, "image_size": 8, "channels": 1},
        workspace.models / "generator.json": {
            "family": "resnet",
            "kimg": 110.0,
            "sha256": "ab" * 32,
            "members": ["cd" * 32],
        },
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    for shade, name in enumerate(PICTURES):
        path = root / "plots" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), shade, np.uint8)).save(path)
    write_curves(root / "plots/train/curves.csv", [0.5, 0.3], ["", ""])
    workspace.synthetic.mkdir()
    rows = {"label": ["tail"] * 3, "synthetic": [True, True, False]}
    pq.write_table(pa.table(rows), workspace.synthetic / "manifest.parquet")
    return workspace


def written(workspace: Workspace) -> str:
    write(Params(seed=41), workspace, workspace.report / "index.html")
    return (workspace.report / "index.html").read_text()


def test_the_page_says_what_was_found(tmp_path: Path) -> None:
    page = Page(written(make(tmp_path)))
    said = " ".join(page.text.split())
    assert "HELPS It helps, says" in said
    assert "over 6 paired seeds and 2 draws of the generator" in said
    assert page.row("Dose of synthetic images")[1].startswith("2.0 2,212 images")
    assert page.row("Smallest effect")[1].startswith("2.4 points")
    assert "Seeds to settle it" not in said
    assert "85.2 % balanced accuracy of the best classical training on 500 synthetic images" in said
    assert "interval 84.0 to 86.4" in said
    assert "few images: tail" in said
    assert page.row("control") == [
        "control (copies) baseline", "92.0", "93.0", "91.0 to 95.0", "93.0", "4.0", "0.007, 0.05", "19,200",
        "+1.25 +0.10 to +2.49",
    ]  # fmt: skip
    assert page.row("Coverage")[1:] == ["0.700", "0.900", "0.800 to 1.000", "worse than real"]
    assert page.row("Recall")[-1] == ""
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


def test_gates_copies_and_bias_are_shown(tmp_path: Path) -> None:
    page = Page(written(make(tmp_path)))
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
    workspace.metrics("utility").write_text(json.dumps(utility() | {"seeds_to_settle": 1400}))
    assert Page(written(workspace)).row("Seeds to settle it")[1].startswith("1,400")


def test_what_training_says_is_shown_generator_by_generator(tmp_path: Path) -> None:
    page = Page(written(make(tmp_path)))
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
    assert "Recipe r3: family resnet, loss relativistic, penalty r1_r2." in said
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
    workspace.metrics("export").write_text(json.dumps(export() | {"classes": rows}))
    assert "No filter was on" in written(workspace)


def test_a_training_without_trouble_and_without_snapshots_is_told_apart(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    none = dict.fromkeys(("kid", "standard_error", "coverage")) | {"kimg": 120.064, "of": []}
    workspace.metrics("train").write_text(json.dumps(trained() | {"snapshot": none}))
    page = Page(written(workspace))
    assert "Nothing went wrong." in page.text
    assert "The last generator ships" in page.text
    assert "Snapshots" not in page.text


def test_curves_show_what_was_measured_or_used_of_every_generator(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"

    def height(penalty: list[float], overfitting: list[Any]) -> int:
        write_curves(path, penalty, overfitting)
        return Image.open(io.BytesIO(plot_curves(path))).height

    one_row = height([0, 0], ["", ""])
    assert height([0.5, 0.5], ["", ""]) == height([0, 0], ["", 0.4]) == one_row
    assert height([0.5, 0.3], ["", 0.4]) > one_row
    alone = plot_curves(path)
    write_curves(tmp_path / "member_1" / "curves.csv", [3, 4], [0.2, 0.3])
    assert plot_curves(path) != alone


def test_synthetic_images_alone_do_not_press_the_other_arms_together() -> None:
    arms = {"real": arm("real", 0.9), "synthetic": arm("+ synthetic", 0.92), "synthetic_only": arm("only", 0.2)}
    for each in arms.values():
        each["seeds"] = [{"balanced_accuracy": each["balanced_accuracy"]}]
    assert axis_limits(arms) == pytest.approx((88 - 0.3, 94 + 0.3))
    arms["synthetic_only"] |= {"ci95": [0.86, 0.9], "seeds": [{"balanced_accuracy": 0.88}]}
    assert axis_limits(arms)[0] == pytest.approx(86 - 0.3)


def test_the_acceptance_table_leaves_out_classes_without_draws(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=100).print(acceptance_table(export()))
    cells = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert cells == [["tail", "1,400", "94", "200", "1,106", "79.0"]]


def test_results_tell_of_gates_copies_filters_and_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    workspace = make(tmp_path)
    print_results(workspace)
    said = capsys.readouterr().out
    assert "gates: 1 of 3 passed" in said
    assert "copies of train images: 3 exact; suspected 1.1% by pixels (PASS), 1.1% by features (WARN)" in said
    assert "filters (copies, critic): 79.0% of 1,400 candidates kept; least of class tail: 79.0%" in said
    assert said.index("filters") < said.index("HELPS: It helps") < said.index("report: ")
    workspace.metrics("quality").unlink()
    workspace.metrics("export").unlink()
    print_results(workspace)
    said = capsys.readouterr().out
    assert "gates:" not in said
    assert "HELPS" in said


def test_classes_are_joined_and_what_is_unknown_is_a_dash(tmp_path: Path) -> None:
    page = Page(written(make(tmp_path)))
    by_class = rows_of(page, 10)[1:]
    assert by_class == [
        [
            *(HOSTILE, "110", "0", "5", "50.0 37.5 to 62.5", "75.0 62.5 to 87.5", f"+25.0 {MINUS}12.5 to +62.5"),
            *(f"{NONE} ({NONE})", f"{NONE} ({NONE})", f"{NONE} ± {NONE}"),
        ],
        ["tail", "4", "1,106", "0", NONE, NONE, NONE, "90.0 (95.0)", "80.0 (85.0)", "0.200 ± 0.100"],
    ]


def test_the_arms_stand_in_the_order_of_the_experiment(tmp_path: Path) -> None:
    page = Page(written(make(tmp_path)))
    first = page.rows.index(next(row for row in page.rows if row[0] == "arm")) + 1
    assert [row[0].split()[0] for row in page.rows[first : first + 3]] == ["real", "control", "+"]


def test_the_page_needs_nothing_outside_itself_and_escapes_names(tmp_path: Path) -> None:
    text = written(make(tmp_path))
    page = Page(text)
    assert "script" not in page.tags
    assert HOSTILE not in text
    assert HOSTILE in page.text
    assert len(page.addresses) == len(PICTURES) + 1
    for address in page.addresses:
        head, content = address.split(",")
        assert head == "data:image/png;base64"
        Image.open(io.BytesIO(base64.b64decode(content))).verify()
    assert not re.search(r"url\(|@import|https?://", text)


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    assert written(workspace) == written(workspace)


def test_a_missing_or_damaged_part_is_left_out_and_named(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    workspace.metrics("quality").unlink()
    (tmp_path / "plots/classify/arms.png").unlink()
    workspace.metrics("train").write_text("{half")
    workspace.metrics("ingest").write_text('{"images": {}}')
    (workspace.synthetic / "manifest.parquet").write_bytes(b"no parquet")
    page = Page(written(workspace))
    said = " ".join(page.text.split())
    assert "How good the synthetic images are" not in said
    assert "HELPS" in said
    assert "metrics/quality.json: not there" in said
    assert "plots/classify/arms.png: not there" in said
    assert "metrics/train.json: not readable" in said
    assert "metrics/ingest.json: lacks 'bad'" in said
    assert "synthetic/manifest.parquet: not readable" in said
    assert len(page.addresses) == len(PICTURES)


def test_an_empty_workspace_still_gives_a_page(tmp_path: Path) -> None:
    page = Page(written(Workspace(tmp_path)))
    assert "No verdict" in page.text
    assert "metrics/utility.json: not there" in page.text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.9364), "93.6"),
        (percent(None), NONE),
        (points(-0.0159), f"{MINUS}1.59"),
        (points(-0.000001), "+0.00"),
        (points(None), NONE),
        (number(-0.01024), f"{MINUS}0.010"),
        (between([0.91, 0.95]), "91.0 to 95.0"),
        (between([-0.001, 0.02], "points", 1), f"{MINUS}0.1 to +2.0"),
        (between(None, "number"), NONE),
        (count(1234567), "1,234,567"),
        (setting({"head": 110, "on": True}), "head: 110, on: true"),
        (setting(["a", None, 0.5]), "a, null, 0.5"),
    ],
)
def test_figures_are_written_for_people(shown: str, expected: str) -> None:
    assert shown == expected
