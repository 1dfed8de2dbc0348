import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.store import Store, set_files, write_store

LABELS = {"train": np.array([0, 1, 1]), "val": np.array([1]), "test": np.array([0, 1])}
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), np.uint8)


def write(folder: Path, blocks: list[np.ndarray]) -> None:
    write_store(folder, blocks, LABELS, ["cat", "dog"], (3, 8, 8), {"note": "hello"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path, [IMAGES[:2], IMAGES[2:]])
    store = Store.open(tmp_path)
    assert store.classes == ("cat", "dog")
    assert (store.channels, store.image_size) == (3, 8)
    np.testing.assert_array_equal(store.images, IMAGES)
    assert store.images.dtype == np.uint8
    assert isinstance(store.images, np.memmap)
    np.testing.assert_array_equal(store.split("test").images, IMAGES[4:])
    for name, labels in LABELS.items():
        np.testing.assert_array_equal(store.split(name).labels, labels)
    assert store.summary["splits"] == {"train": [0, 3], "val": [3, 4], "test": [4, 6]}
    assert store.summary["counts"]["train"] == {"cat": 1, "dog": 2}
    assert store.summary["counts"]["val"] == {"cat": 0, "dog": 1}
    assert store.summary["note"] == "hello"


def test_the_blocks_do_not_show_in_the_bytes(tmp_path: Path) -> None:
    files = []
    for name, blocks in (("one", [IMAGES]), ("many", list(IMAGES[:, None]))):
        (tmp_path / name).mkdir()
        write(tmp_path / name, blocks)
        files.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert files[0] == files[1]


@pytest.mark.parametrize("blocks", [[IMAGES[:5]], [IMAGES, IMAGES[:1]], [IMAGES[:, :1]], [IMAGES.astype(np.float32)]])
def test_images_that_do_not_match_are_refused(tmp_path: Path, blocks: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="images"):
        write(tmp_path, blocks)


def test_a_store_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro ingest"):
        Store.open(tmp_path)


def test_a_damaged_summary_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"classes": []})[:-2])
    with pytest.raises(UserError, match="dvc repro --force ingest"):
        Store.open(tmp_path)


@pytest.mark.parametrize("found", [[0, 4095], {"low": 0}, {"low": "a", "high": 1}, {"low": 4095, "high": 0}])
def test_an_edited_range_of_grey_says_what_to_run(tmp_path: Path, found: object) -> None:
    write_store(tmp_path, [IMAGES], LABELS, ["cat", "dog"], (3, 8, 8), {"ingest": {"grey_range": found}})
    with pytest.raises(UserError, match=r"grey_range(.*\n?)*dvc repro"):
        Store.open(tmp_path)


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.SHARD_BYTES", 2 * IMAGES[0].nbytes + 1)


@pytest.mark.usefixtures("small_files")
def test_images_that_are_too_many_for_a_file_lie_in_several(tmp_path: Path) -> None:
    write(tmp_path, [IMAGES[:3], IMAGES[3:3], IMAGES[3:]])
    names = [f"images-0000{number}.npy" for number in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, "labels.npy", "summary.json"]
    joined = np.concatenate([np.load(tmp_path / name) for name in names])  # by NumPy alone
    np.testing.assert_array_equal(joined, IMAGES)
    store = Store.open(tmp_path)
    assert store.summary["shards"] == [2, 2, 2] and len(store.images) == 6
    for name, start, stop in (("train", 0, 3), ("val", 3, 4), ("test", 4, 6)):
        np.testing.assert_array_equal(np.asarray(store.split(name).images), IMAGES[start:stop])
    assert [path.name for path in set_files(tmp_path)] == [*names, "labels.npy", "summary.json"]


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("blocks", [[IMAGES[:5]], [IMAGES, IMAGES[:1]], [IMAGES[:, :1]], [IMAGES.astype(np.float32)]])
def test_images_that_do_not_match_are_refused_in_several_files_too(tmp_path: Path, blocks: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="images"):
        write(tmp_path, blocks)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("damage", ["gone", "cut", "other rows"])
def test_a_damaged_file_of_several_is_named(tmp_path: Path, damage: str) -> None:
    write(tmp_path, [IMAGES])
    file = tmp_path / "images-00001.npy"
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        summary = json.loads((tmp_path / "summary.json").read_text())
        (tmp_path / "summary.json").write_text(json.dumps(summary | {"shards": [2, 2, 1]}))
    with pytest.raises(UserError, match=r"dvc repro --force ingest") as raised:
        Store.open(tmp_path).images  # noqa: B018
    assert ("summary.json" if damage == "other rows" else "images-00001.npy") in str(raised.value)


def test_a_set_of_one_file_has_the_name_that_it_always_had(tmp_path: Path) -> None:
    write(tmp_path, [IMAGES])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.npy", "labels.npy", "summary.json"]
    assert "shards" not in json.loads((tmp_path / "summary.json").read_text())
