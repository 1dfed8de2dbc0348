"""Sets in every format, read by those whose formats they are, and by ourselves."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from datasets import ClassLabel, config, load_dataset
from PIL import Image
from torchvision.datasets import ImageFolder

from pipeline.errors import UserError
from pipeline.formats import FORMATS, open_reader
from pipeline.formats.encoding import decode
from pipeline.formats.manifest import MANIFEST, read_about
from pipeline.formats.names import class_name
from tests.pipeline.made_set import CLASSES, MadeSet, make_set

ALL = ("train", "val", "test")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)


def array(picture: Image.Image) -> np.ndarray:
    """A picture as (C, H, W)."""
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def load(made: MadeSet, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """What ``load_dataset`` makes of the folder, by the card's front matter."""
    found = load_dataset(str(made.root), cache_dir=str(cache))
    return {{"validation": "val"}.get(name, name): list(split) for name, split in found.items()}


@pytest.mark.parametrize("splits", [("train",), ALL])
def test_torchvision_reads_the_image_folder(tmp_path: Path, splits: tuple[str, ...]) -> None:
    made = make_set(tmp_path / "set", splits)
    for split in splits:
        root = made.root / "images" / (split if len(splits) > 1 else "")
        read = ImageFolder(str(root), allow_empty=True)
        assert tuple(class_name(folder) for folder in read.classes) == CLASSES
        expected = {name: item for name, item in made.items.items() if item.split == split}
        assert {Path(path).stem for path, _ in read.samples} == set(expected)
        for (path, label), (picture, _) in zip(read.samples, read, strict=True):
            assert label == expected[Path(path).stem].label
            np.testing.assert_array_equal(array(picture), expected[Path(path).stem].image)


@pytest.mark.parametrize("splits", [("train",), ALL])
def test_hugging_face_reads_the_image_folder_with_labels_and_provenance(
    tmp_path: Path, splits: tuple[str, ...]
) -> None:
    made = make_set(tmp_path / "set", splits)
    rows = {row.sha256: row for row in made.rows}
    found = load(made, tmp_path / "cache")
    assert set(found) == set(splits)
    for split, examples in found.items():
        assert len(examples) == 10
        for example in examples:
            row = rows[example["sha256"]]
            assert (example["label"], example["label_index"], split) == (row.label, row.label_index, row.split)
            assert (example["synthetic"], example["index"]) == (row.synthetic, row.index)
            assert example["generator"] == (row.generator or "")
            np.testing.assert_array_equal(array(example["image"]), made.items[row.name].image)


@pytest.mark.parametrize("splits", [("train",), ALL])
def test_hugging_face_reads_parquet_with_the_names_of_classes(tmp_path: Path, splits: tuple[str, ...]) -> None:
    made = make_set(tmp_path / "set", splits, channels=1, format="parquet")
    found = load_dataset(str(made.root), cache_dir=str(tmp_path / "cache"))
    assert found["train"].features["label"] == ClassLabel(names=list(CLASSES))
    for split, examples in load(made, tmp_path / "cache").items():
        rows = [row for row in made.rows if row.split == split]
        for row, example in zip(rows, examples, strict=True):
            assert example["label"] == row.label_index
            np.testing.assert_array_equal(array(example["image"]), made.items[row.name].image)


@pytest.mark.parametrize("splits", [("train",), ALL])
def test_hugging_face_reads_webdataset_with_the_names_of_classes(tmp_path: Path, splits: tuple[str, ...]) -> None:
    made = make_set(tmp_path / "set", splits, format="webdataset")
    found = load_dataset(str(made.root), cache_dir=str(tmp_path / "cache"))
    assert found["train"].features["cls"] == ClassLabel(names=list(CLASSES))
    for split, examples in load(made, tmp_path / "cache").items():
        assert [example["__key__"] for example in examples] == [row.name for row in made.rows if row.split == split]
        for example in examples:
            assert example["cls"] == made.items[example["__key__"]].label
            np.testing.assert_array_equal(array(example["png"]), made.items[example["__key__"]].image)


@pytest.mark.parametrize(("encoding", "ending"), [("png", "png"), ("webp-lossless", "webp"), ("jpeg", "jpg")])
def test_webdataset_reads_its_shards(tmp_path: Path, encoding: str, ending: str) -> None:
    made = make_set(tmp_path / "set", format="webdataset", encoding=encoding, quality=100)
    shards = sorted(str(path) for path in (made.root / "data").iterdir())
    samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode("pil"))
    assert [sample["__key__"] for sample in samples] == list(made.items)
    for sample in samples:
        item = made.items[sample["__key__"]]
        assert sample["cls"] == item.label
        off = np.abs(array(sample[ending]).astype(int) - item.image)
        assert off.max() == 0 if encoding != "jpeg" else off.mean() < 4


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("splits", [("train",), ALL])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_reader_finds_what_was_written(tmp_path: Path, name: str, splits: tuple[str, ...], channels: int) -> None:
    made = make_set(tmp_path / "set", splits, channels, format=name)
    reader = open_reader(made.root, read_about(made.root / MANIFEST))
    rows = {row.name: row for row in made.rows}
    found = list(reader)
    assert len(found) == len(rows) and {image.name for image in found} == set(rows)
    for image in found:
        row = rows[image.name]
        assert (image.file, image.label) == (row.file, row.label_index)
        assert hashlib.sha256(image.data).hexdigest() == row.sha256
        np.testing.assert_array_equal(decode(image.data, channels), made.items[image.name].image)
    files = [file.as_posix() for file in reader.files()]
    assert files == sorted(files) and set(files) == {row.file for row in made.rows}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("encoding", ["png", "jpeg", "webp", "webp-lossless"])
def test_a_set_is_the_same_bytes_twice(tmp_path: Path, name: str, encoding: str) -> None:
    one, two = (make_set(tmp_path / folder, ALL, format=name, encoding=encoding).root for folder in ("first", "second"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert [file for file in files if (one / file).read_bytes() != (two / file).read_bytes()] == []


def test_an_image_is_the_same_bytes_in_every_format(tmp_path: Path) -> None:
    digests = [[row.sha256 for row in make_set(tmp_path / name, format=name).rows] for name in FORMATS]
    assert digests[0] == digests[1] == digests[2]


def test_a_class_without_images_keeps_its_folder(tmp_path: Path) -> None:
    made = make_set(tmp_path / "set")
    assert [path.parent.name for path in made.root.rglob(".keep")] == ["empty"]


def test_the_image_folder_reader_sees_what_does_not_belong(tmp_path: Path) -> None:
    made = make_set(tmp_path / "set")
    (made.root / "images" / "new").mkdir()
    for file in ("images/new/x.png", "images/stray.txt", "images/empty/synthetic-2-000000.png"):
        (made.root / file).write_bytes(b"x")
    found = {image.file: image.label for image in open_reader(made.root, made.about)}
    assert found["images/new/x.png"] == found["images/stray.txt"] == -1
    assert found["images/empty/synthetic-2-000000.png"] == 2


@pytest.mark.parametrize("name", ["webdataset", "parquet"])
def test_a_damaged_shard_is_named(tmp_path: Path, name: str) -> None:
    made = make_set(tmp_path / "set", format=name)
    reader = open_reader(made.root, made.about)
    first, second = reader.files()
    (made.root / first).write_bytes((made.root / first).read_bytes()[:700])
    with pytest.raises(UserError, match=first.name):
        list(reader.read(first))
    assert len(list(reader.read(second))) == 5


def test_metadata_is_one_object_a_line_with_paths_below_its_folder(tmp_path: Path) -> None:
    made = make_set(tmp_path / "set", ALL)
    for split in ALL:
        folder = made.root / "images" / split
        lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
        assert len(lines) == 10
        assert all((folder / line["file_name"]).is_file() for line in lines)
