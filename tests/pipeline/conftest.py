"""An ingested set of real images, small enough for every test."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pipeline.store import SPLITS, Store
from pipeline.workspace import Workspace

FRACTIONS = {"train": 0.5, "val": 0.15, "test": 0.35}


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's handwritten digits: uint8 (1797, 1, 8, 8) and int64 (1797,), in a random order."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    pixels = np.round(images * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return pixels[order], labels[order].astype(np.int64)


@pytest.fixture(scope="session")
def digits_store(digits: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The digits as ``ingest`` leaves them: half for training. Shared by all tests: read it, do not write to it."""
    images, labels = digits
    root = Workspace(tmp_path_factory.mktemp("digits"))
    root.store.mkdir(parents=True)
    np.save(root.store / "images.npy", images)
    np.save(root.store / "labels.npy", labels)
    bounds = np.round(np.cumsum([0.0, *FRACTIONS.values()]) * len(labels)).astype(int).tolist()
    splits = {name: [bounds[i], bounds[i + 1]] for i, name in enumerate(SPLITS)}
    classes = [str(digit) for digit in range(10)]
    counts = {
        name: {c: int((labels[start:stop] == int(c)).sum()) for c in classes} for name, (start, stop) in splits.items()
    }
    summary = {"classes": classes, "channels": 1, "image_size": 8, "splits": splits, "counts": counts}
    (root.store / "summary.json").write_text(json.dumps(summary))
    return Store.open(root.store)


@pytest.fixture
def digits_workspace(digits_store: Store, tmp_path: Path) -> Workspace:
    """A workspace of one's own that holds the ingested digits and nothing else."""
    workspace = Workspace(tmp_path)
    shutil.copytree(digits_store.folder, workspace.store)
    return workspace
