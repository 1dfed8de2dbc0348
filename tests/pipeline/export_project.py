"""A project that can be exported: a small store, and a generator and critic that were never trained.

What they draw does not matter here; that it is drawn, judged, written and found again does.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from gan.checkpoint import save_network
from gan.networks import Shape, build
from pipeline.params import ExportParams, Params
from pipeline.workspace import Workspace

CLASSES = ("a/b", "cup", "tail")


def make_store(folder: Path, channels: int, classes: tuple[str, ...] = CLASSES) -> np.ndarray:
    """A store of 14 images whose train rows have the classes mixed; returns its images."""
    folder.mkdir(parents=True)
    images = np.random.default_rng(1).integers(120, 137, (14, channels, 8, 8), dtype=np.uint8)
    labels = np.array([1, 0, 0, 2, 1, 0, 0, 1, 0, 2, 1, 0, 1, 2], dtype=np.int64)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    splits = {"train": [0, 10], "val": [10, 11], "test": [11, 14]}
    summary = {"classes": classes, "channels": channels, "image_size": 8, "splits": splits}
    (folder / "summary.json").write_text(json.dumps(summary))
    return images


def make_models(folder: Path, channels: int, classes: tuple[str, ...] = CLASSES) -> None:
    torch.manual_seed(0)
    for part in ("generator", "critic"):
        network = build("resnet", part, Shape(8, channels, len(classes), 8, 8))
        save_network(folder, part, network, {"family": "resnet", "classes": list(classes)})


def make(root: Path, channels: int = 3) -> Workspace:
    workspace = Workspace(root)
    make_store(workspace.store, channels)
    make_models(workspace.models, channels)
    return workspace


def params(**export: Any) -> Params:
    return Params(seed=3, export=ExportParams(**export))


def rows(workspace: Workspace) -> list[dict[str, Any]]:
    return pq.read_table(workspace.synthetic / "manifest.parquet").to_pylist()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
