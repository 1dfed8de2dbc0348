"""What ingest prints and writes of what it left out, and the messages of whole runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.params import DataParams, Params
from pipeline.stages.ingest import run
from pipeline.store import Store
from pipeline.workspace import Workspace

Ingest = Callable[..., Store]


def save(path: Path, seed: int) -> None:
    """Blocks of noise: no two are near duplicates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)
    Image.fromarray(coarse.repeat(4, axis=0).repeat(4, axis=1)).save(path)


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    def ingested(**fields: Any) -> Store:
        data = DataParams(**{"source": "folder", "path": "images", "image_size": 16, **fields})
        run(Params(data=data), Workspace(tmp_path))
        return Store.open(tmp_path / "data" / "store")

    return ingested


def fill(root: Path, counts: dict[str, int]) -> Path:
    for number, (folder, count) in enumerate(counts.items()):
        for index in range(count):
            save(root / folder / f"{index}.png", 1000 * number + index)
    return root


SPLITS = {f"{name}/{label}": n for name, n in (("train", 8), ("val", 3), ("test", 5)) for label in ("a", "b")}


def test_what_is_left_out_is_printed_and_written(
    tmp_path: Path, ingest: Ingest, capsys: pytest.CaptureFixture[str]
) -> None:
    images = fill(tmp_path / "images", {**SPLITS, "pred": 3})
    (images / "train" / "a" / ".DS_Store").write_bytes(b"\0")
    (images / "readme.txt").write_text("hello", encoding="utf-8")
    store = ingest()
    assert {name: len(store.split(name)) for name in ("train", "val", "test")} == {"train": 16, "val": 6, "test": 10}
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["ingest: passed over: 3 in 'pred', beside the split folders, 1 hidden, 1 text"]
    expected = [
        {"reason": "hidden", "files": 1},
        {"reason": "in 'pred', beside the split folders", "files": 3},
        {"reason": "text", "files": 1},
    ]
    figures = json.loads((tmp_path / "metrics" / "ingest.json").read_text(encoding="utf-8"))
    assert figures["passed_over"] == store.summary["ingest"]["passed_over"] == expected


def test_nothing_left_out_prints_nothing_more(
    tmp_path: Path, ingest: Ingest, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "images", SPLITS)
    ingest()
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_notes_are_printed_and_written(tmp_path: Path, ingest: Ingest, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "images", {"Cat": 8, "cat": 8, "train": 8})
    store = ingest()
    if len(store.classes) < 3:
        pytest.skip("this file system takes Cat and cat for one")
    notes = store.summary["ingest"]["notes"]
    assert [line.removeprefix("ingest: note: ") for line in capsys.readouterr().out.splitlines()[1:]] == notes
    assert "'train' is read as a class" in notes[0] and "differ in case" in notes[1]


def test_one_camera(tmp_path: Path, ingest: Ingest) -> None:
    """Every image shows the same part; of one class some have a scratch."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:32, 0:32] / 32
    part = 60 + 120 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.14)
    for label, count in (("good", 20), ("scratch", 10)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(count):
            image = part + 8 * rng.normal() + rng.normal(0, 3, part.shape)
            if label == "scratch":
                image[rng.integers(8, 24), 10:20] = 20
            pixels = np.clip(image, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{index}.png")
    with pytest.raises(UserError, match=r"20 of 20 usable images count as near duplicates.*data\.near_duplicate_bits"):
        ingest()
    assert len(ingest(near_duplicate_bits=0).split("test")) == 9


def test_a_copy_of_the_set_under_other_names(tmp_path: Path, ingest: Ingest) -> None:
    images = fill(tmp_path / "images", {"a": 6, "b": 6})
    shutil.copytree(images, tmp_path / "copy")
    shutil.move(tmp_path / "copy", images / "backup" / "of" / "it")
    with pytest.raises(UserError, match=r"class 'a' keeps 0 of its 6 images: 6 exact duplicates .*backup/of/it/a/"):
        ingest()


def test_a_given_test_that_lacks_a_class(tmp_path: Path, ingest: Ingest) -> None:
    fill(tmp_path / "images", {**SPLITS, "train/c": 4})
    with pytest.raises(UserError, match=r"class 'c' has no image in test: .* has 4 in train; give test some"):
        ingest()
    shutil.rmtree(tmp_path / "images")
    fill(tmp_path / "images", {**SPLITS, "test/c": 4})
    with pytest.raises(UserError, match=r"class 'c' has no image in train: .* has 4 in test; give train some"):
        ingest()


def test_a_class_of_damaged_images(tmp_path: Path, ingest: Ingest) -> None:
    """Three of a hundred images are within max_bad_fraction, but they are a class."""
    images = fill(tmp_path / "images", {"a": 60, "b": 40, "c": 5})
    for index in range(3):
        (images / "c" / f"{index}.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(UserError, match="class 'c' keeps 2 of its 5 images: 3 "):
        ingest(max_bad_fraction=0.05)
