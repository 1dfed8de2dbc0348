"""What all stages leave, made up, for the page and the terminal to tell of; and a reader of the page."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.binding import write_figures
from pipeline.params import Params
from pipeline.report.curves import CURVES
from pipeline.report.page import write
from pipeline.report.parts import FIGURES
from pipeline.tables import write_csv
from pipeline.workspace import Workspace

HOSTILE = "<script>alert('x')</script> & co"
VOID = {"meta", "img", "br"}
EVALUATED = ("grid", "nearest", "extremes", "interpolation")
TONES = ("brightness", "contrast")
PICTURES = (*(f"evaluate/{name}" for name in EVALUATED), "train/samples")
CHARTS = (
    "effect",
    "arms",
    "dose",
    "confusion-synthetic",
    "confusion-real",
    "spectrum",
    "curve-score-gap",
    "curve-penalty",
)


class Page(HTMLParser):
    """Collects text, addresses and tables, and checks that every element is closed; what charts say is apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.addresses, self.tags = "", [], set()
        self.drawn: list[str] = []  # texts and labels in charts
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action") and tag != "use"]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.drawn += [value or "" for name, value in attrs if name == "aria-label"]
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
        if "svg" in self._open:
            self.drawn.append(data)
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
        "recipe": "oversampling + affine",
        "head": "joint",
        "tau": 0.5 if title == "real" else None,
        "validation": accuracy - 0.01,
        "balanced_accuracy": accuracy,
        "ci95": [accuracy - 0.02, accuracy + 0.02],
        "macro_f1": accuracy,
        "calibration_error": 0.04,
        "spread": 0.01,
        "lr": 0.007,
        "weight_decay": 0.05,
        "images_seen": 19200,
        "seeds": [{"seed": i // 2, "draw": i % 2, "balanced_accuracy": accuracy} for i in range(12)],
    }


def utility() -> dict[str, Any]:
    recall = {"control": 0.5, "synthetic": 0.75, "real": 0.25}
    recall_ci95 = {"control": [0.375, 0.625], "synthetic": [0.625, 0.875]}
    return {
        "verdict": "HELPS",
        "delta": 0.0125,
        "ci95": [0.001, 0.0249],
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
        "candidates": [],
        "doses": [
            {"dose": 1.0, "images": 1106, "picked": False, "validation": 0.91, "seeds": [0.9, 0.92]},
            {"dose": 2.0, "images": 2212, "picked": True, "validation": 0.93, "seeds": [0.93, 0.93]},
        ],
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
            "spectrum": {"frequencies": [0.25, 0.5], "real": [40.0, 30.0], "synthetic": [40.5, 28.0]},
            "confused": [{"asked": "tail", "seen": HOSTILE, "share": 0.5, "share_real": 0.01}],
            "intensity": {
                "mean": tone,
                "contrast": tone | {"ci95": [[-20.0, 20.0]]},
                "worst": {"class": "tail", "mean": unknown, "contrast": unknown},
                "worst_class": "tail",
            },
        },
        "below_floor": ["coverage"],
        "floor": {"coverage": figure, "recall": figure, "a_new_figure": figure},
        "copies": {"exact_duplicates": 3, "pixel": copies, "feature": copied},
    }


def quality_by_class() -> list[dict[str, Any]]:
    seen = {"coverage": 0.9, "coverage_real": 0.95, "label_agreement": 0.8, "label_agreement_real": 0.85}
    return [
        {"class": HOSTILE, "kid": None, "kid_standard_error": None, **dict.fromkeys(seen)},
        {"class": "tail", "kid": 0.2, "kid_standard_error": 0.1, **seen},
    ]


def export() -> dict[str, Any]:
    rows = [
        {"class": HOSTILE, "wanted": 0, "drawn": 0, "accepted": 0, "rejected": {}},
        {"class": "tail", "wanted": 1106, "drawn": 1400, "accepted": 1106, "rejected": {"critic": 200, "copies": 94}},
    ]
    filters = {"critic": 0.1, "copies": 0.01, "manifold": 0}
    return {"classes": rows, "filters": filters, "images": 1106, "forced": True, "overridden": ["coverage"]}


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
    path.write_text("\n".join([",".join(("kimg", *CURVES)), *rows]) + "\n", encoding="utf-8")


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
        workspace.store / "summary.json": {"classes": classes, "counts": counts, "image_size": 8, "channels": 1}
        | {"splits": {"train": [0, 114], "val": [114, 117], "test": [117, 124]}},
        workspace.models / "generator.json": {
            "family": "resnet",
            "kimg": 110.0,
            "sha256": "ab" * 32,
            "members": ["cd" * 32],
        },
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent == workspace.metrics("").parent:
            write_figures(path, content)
        else:
            path.write_text(json.dumps(content))
    seen = root / "plots" / "evaluate" / "per_class.csv"
    seen.parent.mkdir(parents=True)
    write_csv(seen, list(quality_by_class()[0]), (row.values() for row in quality_by_class()))
    confusions = [[HOSTILE, HOSTILE, 9, 8], [HOSTILE, "tail", 1, 0], ["tail", "tail", 3, 4]]
    write_csv(seen.with_name("confusions.csv"), ["asked", "seen", "synthetic", "real"], confusions)
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
