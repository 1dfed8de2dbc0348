import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.store import Store, write_store

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
