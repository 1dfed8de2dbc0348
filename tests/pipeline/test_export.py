"""The export stage on a real generator (untrained: what it draws does not matter here) and a small store."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder

from gan.checkpoint import load_generator, save_network
from gan.networks import Shape, build
from gan.sampler import Sampler
from gan.seeds import derive
from pipeline.errors import UserError
from pipeline.formats.imagefolder import ImageFolder as Writer
from pipeline.formats.names import class_name
from pipeline.params import ExportParams, Params
from pipeline.provenance import Mark, read_mark
from pipeline.export.plan import wanted
from pipeline.stages.export import run
from pipeline.workspace import Workspace

CLASSES = ("a/b", "cup", "tail")
COUNTS = (5, 3, 1)


def make_store(folder: Path, channels: int, classes: tuple[str, ...] = CLASSES) -> np.ndarray:
    """A store whose train rows have the classes mixed; returns its images."""
    folder.mkdir(parents=True)
    images = np.random.default_rng(1).integers(0, 256, (12, channels, 8, 8), dtype=np.uint8)
    labels = np.array([1, 0, 0, 2, 1, 0, 0, 1, 0, 0, 1, 2], dtype=np.int64)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    splits = {"train": [0, 9], "val": [9, 9], "test": [9, 12]}
    summary = {"classes": classes, "channels": channels, "image_size": 8, "splits": splits}
    (folder / "summary.json").write_text(json.dumps(summary))
    return images


def make_model(folder: Path, channels: int, classes: tuple[str, ...] = CLASSES) -> None:
    torch.manual_seed(0)
    generator = build("resnet", "generator", Shape(8, channels, len(classes), 8, 8))
    save_network(folder, "generator", generator, {"family": "resnet", "classes": list(classes)})


def make(root: Path, channels: int = 3) -> Workspace:
    workspace = Workspace(root)
    make_store(workspace.store, channels)
    make_model(workspace.models, channels)
    return workspace


def params(**export: Any) -> Params:
    return Params(seed=3, export=ExportParams(**export))


def rows(workspace: Workspace) -> list[dict[str, Any]]:
    return pq.read_table(workspace.synthetic / "manifest.parquet").to_pylist()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        ("max", [0, 60, 109]),
        (100, [0, 50, 99]),
        (1, [0, 0, 0]),
        (1000, [890, 950, 999]),
        (2.0, [220, 100, 2]),
        (0.5, [55, 25, 1]),  # half of one is rounded up
        (0.1, [11, 5, 0]),
    ],
)
def test_plan_by_hand(balance: str | int | float, expected: list[int]) -> None:
    assert wanted([110, 50, 1], [balance] * 3) == expected


@given(st.lists(st.integers(0, 10_000), min_size=1), st.integers(1, 20_000))
def test_plan_never_takes_away_and_reaches_its_number(counts: list[int], number: int) -> None:
    for target, balance in ((max(counts), "max"), (number, number)):
        made = wanted(counts, [balance] * len(counts))
        assert all(want >= 0 for want in made)
        assert [count + want for count, want in zip(counts, made, strict=True)] == [max(c, target) for c in counts]


def test_torchvision_reads_the_set_and_the_manifest_describes_it(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    run(params(balance=7), workspace)
    read = ImageFolder(str(workspace.synthetic / "images"))
    assert tuple(class_name(folder) for folder in read.classes) == CLASSES
    assert [read.targets.count(label) for label in range(3)] == [2, 4, 6]
    card = json.loads((workspace.models / "generator.json").read_text())
    assert [(row["label"], row["index"]) for row in rows(workspace)] == [
        (name, index) for name, count in zip(CLASSES, (2, 4, 6), strict=True) for index in range(count)
    ]
    for row in rows(workspace):
        path = workspace.synthetic / row["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        assert class_name(path.parent.name) == row["label"] == CLASSES[row["label_index"]]
        assert row["synthetic"]
        assert row["generator"] == card["sha256"]
        assert read_mark(path) == Mark(row["generator"], row["label"], row["index"], row["seed"])
    assert {str(path) for path, _ in read.samples} == {
        str(workspace.synthetic / row["file"]) for row in rows(workspace)
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_can_be_made_again_from_its_row(tmp_path: Path, channels: int) -> None:
    workspace = make(tmp_path, channels)
    run(params(balance=80), workspace)  # more than one block of the sampler
    generator, _ = load_generator(workspace.models)
    written = rows(workspace)
    assert {row["seed"] for row in written} == {derive(3, "export.latent")}
    for row in written[::9]:
        image = Sampler(generator, row["seed"]).draw(row["label_index"], row["index"], 1).numpy()[0]
        with Image.open(workspace.synthetic / row["file"]) as file:
            pixels = np.asarray(file).reshape(8, 8, channels).transpose(2, 0, 1)
        np.testing.assert_array_equal(pixels, image)


def test_a_second_run_gives_the_same_bytes_and_a_larger_one_the_same_first_images(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    run(params(balance=300), workspace)
    first = contents(workspace.synthetic)
    run(params(balance=300), workspace)
    assert contents(workspace.synthetic) == first
    run(params(balance=600), workspace)
    larger = contents(workspace.synthetic)
    images = {name: content for name, content in first.items() if name.endswith(".png")}
    assert len(images) == 891
    assert images.items() <= larger.items()


def test_max_leaves_the_largest_class_an_empty_folder_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = make(tmp_path)
    run(params(), workspace)
    assert [row["label"] for row in rows(workspace)] == ["cup"] * 2 + ["tail"] * 4
    said = capsys.readouterr().err
    assert "no image in the folder of class a/b" in said
    assert "allow_empty=True" in said
    read = ImageFolder(str(workspace.synthetic / "images"), allow_empty=True)
    assert read.targets == [1] * 2 + [2] * 4  # the labels do not shift


def test_a_set_of_no_image_is_legal_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = make(tmp_path)
    run(params(balance=1), workspace)
    assert rows(workspace) == []
    assert "no synthetic image to make" in capsys.readouterr().err


def test_real_images_come_along_unmarked(tmp_path: Path) -> None:
    workspace = make(tmp_path, channels=1)
    run(params(include_real=True), workspace)
    images, labels = np.load(workspace.store / "images.npy"), np.load(workspace.store / "labels.npy")
    real = [row for row in rows(workspace) if not row["synthetic"]]
    assert sorted(row["index"] for row in real) == list(range(9))  # the train split alone, each image once
    for row in real:
        path = workspace.synthetic / row["file"]
        assert row["seed"] is None
        assert row["generator"] is None
        assert read_mark(path) is None
        assert row["label_index"] == labels[row["index"]]
        with Image.open(path) as file:
            np.testing.assert_array_equal(np.asarray(file), images[row["index"], 0])
    read = ImageFolder(str(workspace.synthetic / "images"))
    assert [read.targets.count(label) for label in range(3)] == [5, 5, 5]


def test_a_generator_of_another_set_is_refused(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    make_model(workspace.models, channels=1)
    with pytest.raises(UserError, match=r"8x8 grey images .* holds 8x8 colour images"):
        run(params(), workspace)
    make_model(workspace.models, channels=3, classes=("cup", "a/b", "tail"))
    with pytest.raises(UserError, match="cup, a/b, tail"):
        run(params(), workspace)


def test_a_missing_generator_is_a_clear_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    make_store(workspace.store, 3)
    with pytest.raises(UserError, match="dvc repro train"):
        run(params(), workspace)


def test_a_full_disk_leaves_the_old_set_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make(tmp_path)
    run(params(), workspace)
    before = contents(workspace.synthetic)
    add = Writer.add

    def full(self: Writer, name: str, *rest: Any, **named: Any) -> tuple[str, str]:
        if name.endswith("40"):
            raise OSError(28, "No space left on device")
        return add(self, name, *rest, **named)

    monkeypatch.setattr(Writer, "add", full)
    with pytest.raises(UserError, match="No space left"):
        run(params(balance=100), workspace)
    assert contents(workspace.synthetic) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "models", "synthetic"]


def test_a_class_name_that_no_folder_can_have_is_refused_before_drawing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    classes = ("a\nb", "cup", "tail")
    make_store(workspace.store, 3, classes)
    make_model(workspace.models, 3, classes)
    with pytest.raises(UserError, match="rename the class"):
        run(params(), workspace)
    assert not workspace.synthetic.exists()
