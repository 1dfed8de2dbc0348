"""Sets in the forms of Hugging Face, held against what `datasets` itself reads."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import BusyError, UserError
from pipeline.params import DataParams
from pipeline.sources import huggingface, open_source
from tests.pipeline.projects.conftest import make_folder, picture

datasets = pytest.importorskip("datasets")


def opened(folder: Path, **more: str | bool):
    return open_source(DataParams(source="huggingface", path=folder.name, **more), folder.parent)


def with_metadata(folder: Path, name: str = "metadata.jsonl", **columns: Callable[[int], object]) -> Path:
    """Images in one folder, and a line of ``columns`` each."""
    folder.mkdir()
    lines = []
    for number in range(9):
        picture(number, number).save(folder / f"{number}.png")
        lines.append({"file_name": f"{number}.png"} | {key: make(number) for key, make in columns.items()})
    (folder / name).write_text("\n".join(map(json.dumps, lines)))
    return folder


@pytest.mark.parametrize("splits", [False, True])
def test_what_save_to_disk_wrote(tmp_path: Path, splits: bool) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["b", "a"])})
    rows = {"image": [picture(0, i) for i in range(6)], "label": [0, 1] * 3}
    one = datasets.Dataset.from_dict(rows, features=features)
    (datasets.DatasetDict({"train": one, "test": one}) if splits else one).save_to_disk(tmp_path / "set")
    listing = opened(tmp_path / "set").listing
    assert listing.classes == ("b", "a")
    assert len(listing) == (12 if splits else 6)


def test_an_image_folder_with_metadata(tmp_path: Path) -> None:
    folder = with_metadata(tmp_path / "set", label=lambda i: ["cat", "dog"][i % 2], age=lambda i: i)
    source = opened(folder)
    known = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train", streaming=True)
    assert [source.listing.classes[label] for label in source.listing.labels] == [row["label"] for row in known]
    read = {index: get() for index, get in source.images()}
    assert [read[i] for i in range(9)] == [(folder / f"{i}.png").read_bytes() for i in range(9)]


def test_class_folders_in_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        make_folder(tmp_path / "set" / split, {"apple": 5, "pear": 4})
    (tmp_path / "set" / "metadata").mkdir()  # nothing of it is an image
    listing = opened(tmp_path / "set").listing
    assert listing.classes == ("apple", "pear")
    assert np.bincount(listing.splits).tolist() == [9, 0, 9]


def test_the_column_of_labels_is_found_or_can_be_named(tmp_path: Path) -> None:
    folder = with_metadata(tmp_path / "set", species=lambda i: i % 3, age=lambda i: i % 2)
    assert len(opened(folder).listing.classes) == 3  # the only column that is called as labels are
    assert len(opened(folder, label_column="age").listing.classes) == 2
    with pytest.raises(UserError, match=r"data.label_column: x: no such column .'image', 'species', 'age'"):
        opened(folder, label_column="x")
    shutil.rmtree(folder)
    with_metadata(folder, one=lambda i: i % 3, two=lambda i: i % 2)
    with pytest.raises(UserError, match=r"which column holds the labels is not plain .'one', 'two'.; name it by"):
        opened(folder)


def test_a_column_of_groups_counts_and_another_one_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = opened(with_metadata(tmp_path / "a", label=lambda i: "xy"[i % 2], group=lambda i: i // 3 or None)).listing
    assert listing.groups == ["", "", "", "1", "1", "1", "2", "2", "2"]
    assert "is not read" not in capsys.readouterr().err
    listing = opened(with_metadata(tmp_path / "b", label=lambda i: "xy"[i % 2], patient=lambda i: i // 3)).listing
    assert listing.groups is None
    assert "the column 'patient' is not read; call it 'group' if" in capsys.readouterr().err


def test_splits_that_are_none_of_ours_are_passed_over_and_counted(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("test", 3), ("unsorted", 2)):
        make_folder(tmp_path / "set" / split, {"apple": count, "pear": count})
    front = "".join(f"  - split: {split}\n    path: {split}/**\n" for split in ("train", "test", "unsorted"))
    (tmp_path / "set" / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{front}---\n")
    source = opened(tmp_path / "set")
    assert np.bincount(source.listing.splits).tolist() == [8, 0, 6]
    assert source.listing.ignored == {"images of the split 'unsorted'": 4}
    assert sum(1 for _ in source.images()) == 14


def test_a_missing_label_is_passed_over_and_counted(tmp_path: Path) -> None:
    folder = with_metadata(tmp_path / "set", label=lambda i: None if i == 4 else ["cat", "dog"][i % 2])
    source = opened(folder)
    assert len(source.listing) == 8
    assert source.listing.ignored == {"images without a label": 1}
    assert [index for index, _ in source.images()] == list(range(8))


def test_a_path_out_of_the_folder_is_a_bad_image(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "secret.png")
    folder = with_metadata(tmp_path / "set", label=lambda i: "ab"[i % 2])
    (folder / "0.png").unlink()
    (folder / "0.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(Exception, match="outside of the set's folder"):
        [get() for _, get in opened(folder).images()]


def test_a_set_by_name_is_fetched_into_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, configuration: str | None, revision: str | None):
        asked.append((name, configuration, revision))
        features = datasets.Features({"img": datasets.Image(), "digit": datasets.ClassLabel(names=["0", "1"])})
        rows = {"img": [picture(0, i) for i in range(4)], "digit": [0, 1] * 2}
        return datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features=features)})

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = DataParams(source="huggingface", path="data/mnist", dataset="ylecun/mnist:small@1a2b", download=True)
    assert open_source(data, tmp_path).listing.classes == ("0", "1")
    assert asked == [("ylecun/mnist", "small", "1a2b")]
    open_source(data, tmp_path)
    assert len(asked) == 1  # what is there is not asked for again
    with pytest.raises(UserError, match=r"set data.download: true to fetch a/b"):
        open_source(DataParams(source="huggingface", path="other", dataset="a/b"), tmp_path)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (ConnectionError("no route"), BusyError, "the Hub does not answer"),
        (ValueError("Config name is missing: a, b"), UserError, "Config name is missing"),
    ],
)
def test_a_hub_that_gives_nothing(
    error: Exception, kind: type[UserError], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = DataParams(source="huggingface", path="set", dataset="a/b", download=True)
    with pytest.raises(UserError, match=told) as caught:
        open_source(data, tmp_path)
    assert type(caught.value) is kind
    assert not (tmp_path / "set").exists()


def test_without_the_package_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    folder = with_metadata(tmp_path / "set", label=lambda i: i % 2)
    with pytest.raises(UserError, match=r"takes the package `datasets`; pip install 'augmint\[huggingface\]'"):
        opened(folder)
    assert huggingface.EXTRA
