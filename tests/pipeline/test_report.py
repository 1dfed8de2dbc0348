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

from pipeline.params import Params
from pipeline.report.page import MINUS, NONE, count, number, percent, points, setting, write
from pipeline.workspace import Workspace

HOSTILE = "<script>alert('x')</script> & co"
VOID = {"meta", "img", "br"}


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


def arm(title: str, accuracy: float) -> dict[str, Any]:
    return {
        "title": title,
        "validation": accuracy - 0.01,
        "balanced_accuracy": accuracy,
        "ci95": [accuracy - 0.02, accuracy + 0.02],
        "macro_f1": accuracy,
        "images_seen": 19200,
        "seeds": [{}] * 6,
    }


def utility() -> dict[str, Any]:
    recall = {"control": 0.5, "synthetic": 0.75, "real": 0.25}
    return {
        "verdict": "HELPS",
        "sentence": f"It helps, says {HOSTILE}.",
        "baseline": "control",
        "recipe": "oversampling + affine",
        "delta": 0.0125,
        "ci95": [0.001, 0.0249],
        "warnings": ["few images: tail"],
        "arms": {
            "control": arm("control (copies)", 0.93),
            "real": arm("real", 0.88),
            "synthetic": arm("+ synthetic", 0.9425),
        },
        "comparisons": [{"against": "control", "delta": 0.0125, "ci95": [0.001, 0.0249]}],
        "per_class": [
            {"class": HOSTILE, "train": 110, "synthetic": 0, "test": 5, "recall": recall, "recall_difference": 0.25},
            {
                "class": "tail",
                "train": 4,
                "synthetic": 1106,
                "test": 0,
                "recall": dict.fromkeys(recall),
                "recall_difference": None,
            },
        ],
    }


def quality() -> dict[str, Any]:
    figure = {"synthetic": 0.7, "real": 0.9, "ci95": [0.8, 1.0]}
    copies = {"share": 0.011, "ci95": [0.0055, 0.0196]}
    seen = {"coverage": 0.9, "coverage_real": 0.95, "label_agreement": 0.8, "label_agreement_real": 0.85}
    return {
        "embedder": "domain:89879dca6703",
        "embedder_accuracy": 0.883,
        "images": {"compared": 341, "synthetic": 1000},
        "kid": -0.0102,
        "kid_standard_error": 0.006,
        "label_agreement": 0.951,
        "worst_class": "tail",
        "notes": [],
        "below_floor": ["coverage"],
        "floor": {"coverage": figure, "recall": figure, "a_new_figure": figure},
        "copies": {"exact_duplicates": 3, "pixel": copies, "feature": copies},
        "per_class": [{"class": "tail", "kid": 0.2, "kid_standard_error": 0.1, **seen}],
    }


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
        workspace.metrics("train"): {"kimg": 120.064, "wasserstein": 0.27},
        workspace.metrics("ingest"): ingest,
        workspace.store / "summary.json": {"classes": classes, "counts": counts, "image_size": 8, "channels": 1},
        workspace.models / "generator.json": {"family": "resnet", "kimg": 120.064, "sha256": "ab" * 32},
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    for shade, name in enumerate(("evaluate/grid", "evaluate/nearest", "train/samples", "classify/arms")):
        path = root / "plots" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), shade, np.uint8)).save(path)
    (root / "plots/train/curves.csv").write_text("kimg,wasserstein,penalty\n1,3.6,0.5\n2,2.5,0.3\n")
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
    assert "+1.25 points of balanced accuracy" in said
    assert "interval +0.10 to +2.49" in said
    assert "over 6 paired seeds" in said
    assert "few images: tail" in said
    assert page.row("control") == [
        "control (copies) baseline", "92.0", "93.0", "91.0 to 95.0", "93.0", "19,200", "+1.25 +0.10 to +2.49",
    ]  # fmt: skip
    assert page.row("Coverage")[1:] == ["0.700", "0.900", "0.800 to 1.000", "short of real"]
    assert page.row("Recall")[-1] == ""
    assert page.row("a new figure")[1] == "0.700"
    assert "3 synthetic images equal a training image" in said
    assert f"KID {MINUS}0.010 ± 0.006" in said
    assert "1,797 images found: 1 could not be used" in said
    assert "Not usable, 1: truncated" in said
    assert page.row("together")[1:] == ["114", "3", "7", "2"]  # the manifest's real image is not counted as synthetic
    assert "seed 41" in said
    assert "ab" * 32 in said
    assert page.row("wasserstein")[1] == "0.27"
    assert "Not on this page" not in said


def test_classes_are_joined_and_what_is_unknown_is_a_dash(tmp_path: Path) -> None:
    page = Page(written(make(tmp_path)))
    by_class = [[" ".join(cell.split()) for cell in row] for row in page.rows if len(row) == 10][1:]
    assert by_class == [
        [HOSTILE, "110", "0", "5", "50.0", "75.0", "+25.0", f"{NONE} ({NONE})", f"{NONE} ({NONE})", f"{NONE} ± {NONE}"],
        ["tail", "4", "1,106", "0", NONE, NONE, NONE, "90.0 (95.0)", "80.0 (85.0)", "0.200 ± 0.100"],
    ]


def test_the_arms_stand_in_the_order_of_the_experiment(tmp_path: Path) -> None:
    page = Page(written(make(tmp_path)))
    assert [row[0].split()[0] for row in page.rows if len(row) == 7][1:] == ["real", "control", "+"]


def test_the_page_needs_nothing_outside_itself_and_escapes_names(tmp_path: Path) -> None:
    text = written(make(tmp_path))
    page = Page(text)
    assert "script" not in page.tags
    assert HOSTILE not in text
    assert HOSTILE in page.text
    assert len(page.addresses) == 5
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
    assert len(page.addresses) == 4


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
        (count(1234567), "1,234,567"),
        (setting({"head": 110, "on": True}), "head: 110, on: true"),
        (setting(["a", None, 0.5]), "a, null, 0.5"),
    ],
)
def test_figures_are_written_for_people(shown: str, expected: str) -> None:
    assert shown == expected
