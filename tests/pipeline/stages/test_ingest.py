import io
import json
import shutil
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.ingest import reading
from pipeline.params import DataParams, LongTail, Params
from pipeline.stages.ingest import run
from pipeline.store import Store
from pipeline.workspace import Workspace

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "data" / "digits.zip"


def picture(seed: int, shape: tuple[int, ...] = (24, 32)) -> np.ndarray:
    """Blocks of noise: no two are near duplicates."""
    coarse = np.random.default_rng(seed).integers(0, 256, (shape[0] // 4, shape[1] // 4, *shape[2:]), np.uint8)
    return coarse.repeat(4, axis=0).repeat(4, axis=1)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of 12 and 8 grey pictures."""
    for label, count in (("cat", 12), ("dog", 8)):
        for index in range(count):
            save(tmp_path / "images" / label / f"{index:02d}.png", picture(100 * len(label + label) * count + index))
    return tmp_path / "images"


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[..., Store]:
    def ingested(seed: int = 0, **fields: Any) -> Store:
        data = DataParams(**{"source": "folder", "path": "images", "image_size": 16, **fields})
        run(Params(seed=seed, data=data), Workspace(tmp_path))
        return Store.open(tmp_path / "data" / "store")

    return ingested


def manifest(store: Store) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in pq.read_table(store.folder / "manifest.parquet").to_pylist()}


def figures(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "metrics" / "ingest.json").read_text())


def outputs(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for d in ("data/store", "metrics") for p in (root / d).rglob("*")}


def test_store_and_manifest_say_the_same(images: Path, ingest: Callable[..., Store], tmp_path: Path) -> None:
    store = ingest()
    assert store.classes == ("cat", "dog")
    assert store.given_splits == () and "given_splits" not in figures(tmp_path)
    assert store.images.shape == (20, 1, 16, 16)
    rows = manifest(store)
    assert list(rows) == sorted(f"{p.parent.name}/{p.name}" for p in images.rglob("*.png"))
    for path, row in rows.items():
        start, stop = store.summary["splits"][row["split"]]
        assert start <= row["row"] < stop
        assert store.classes[store.labels[row["row"]]] == row["label"] == path.split("/")[0]
        expected = Image.open(images / path).resize((16, 16), Image.Resampling.BICUBIC, (4, 0, 28, 24))
        np.testing.assert_array_equal(store.images[row["row"], 0], np.asarray(expected))
        assert (row["width"], row["height"], row["reason"], row["group"]) == (32, 24, None, None)
        assert len(row["sha256"]) == 64
    assert sorted(row["row"] for row in rows.values()) == list(range(20))
    assert sorted(p.name for p in store.folder.iterdir()) == [
        "images.npy",
        "labels.npy",
        "manifest.parquet",
        "summary.json",
    ]
    expected = {"found": 20, "train": 10, "val": 4, "test": 6, "thinned": 0}  # cat 6 + 2 + 4, dog 4 + 2 + 2
    assert figures(tmp_path)["images"] == expected


def test_the_same_again_is_the_same_bytes(images: Path, ingest: Callable[..., Store], tmp_path: Path) -> None:
    ingest()
    first = outputs(tmp_path)
    for path in images.rglob("*.png"):
        path.touch()
    ingest()
    assert outputs(tmp_path) == first
    ingest(seed=1)
    assert outputs(tmp_path) != first


def test_threads_and_archives_leave_the_same_bytes(
    images: Path, ingest: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(60):
        save(images / "cat" / f"{index + 50}.png", picture(9000 + index))
    monkeypatch.setattr(reading, "THREADS_PAY_ABOVE", 1e9)
    ingest()
    first = outputs(tmp_path)
    monkeypatch.setattr(reading, "THREADS_PAY_ABOVE", 0.0)
    ingest()
    assert outputs(tmp_path) == first
    for kind in ("zip", "tar", "xztar"):
        path = shutil.make_archive(str(tmp_path / "packed"), kind, images)
        ingest(source="archive", path=Path(path).name)
        assert outputs(tmp_path) == first


def test_one_colour_image_makes_the_set_colour(images: Path, ingest: Callable[..., Store]) -> None:
    assert ingest().channels == 1
    save(images / "dog" / "red.png", picture(7, (24, 24, 3)))
    store = ingest()
    assert store.channels == 3
    rows = manifest(store)
    for path, row in rows.items():
        channels = store.images[row["row"]]
        assert (channels == channels[:1]).all() == (path != "dog/red.png")
    assert ingest(channels="L").channels == 1
    assert ingest(channels="RGB").channels == 3


def test_bad_images_are_skipped_and_named(images: Path, ingest: Callable[..., Store], tmp_path: Path) -> None:
    (images / "cat" / "00.png").write_bytes((images / "cat" / "00.png").read_bytes()[:70])
    (images / "cat" / "empty.jpg").touch()
    with pytest.raises(
        UserError, match=r"more than 2\.0% of the 21 images .*\n  cat/00\.png: .*\n  cat/empty\.jpg: empty"
    ):
        ingest()
    assert not (tmp_path / "data" / "store").exists()
    store = ingest(max_bad_fraction=0.1)
    rows = manifest(store)
    assert rows["cat/empty.jpg"]["reason"] == "empty file"
    assert [rows["cat/empty.jpg"][key] for key in ("width", "height", "split", "row")] == [None] * 4
    bad = figures(tmp_path)["bad"]
    assert bad["images"] == 2
    assert [entry["path"] for entry in bad["first"]] == ["cat/00.png", "cat/empty.jpg"]
    assert {"reason": "empty file", "images": 1} in bad["reasons"]
    assert len(store.labels) == 19


def test_no_image_at_all_that_can_be_used(images: Path, ingest: Callable[..., Store]) -> None:
    for path in images.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match="none of the 20 images can be used; the first: not an image"):
        ingest(max_bad_fraction=1.0)


def test_a_failure_leaves_the_last_good_store(images: Path, ingest: Callable[..., Store], tmp_path: Path) -> None:
    ingest()
    first = outputs(tmp_path)
    for path in (images / "cat").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(UserError):
        ingest()
    assert outputs(tmp_path) == first
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["store"]


def test_exact_duplicates(images: Path, ingest: Callable[..., Store], tmp_path: Path) -> None:
    Image.open(images / "cat" / "03.png").save(images / "cat" / "copy.bmp")
    Image.open(images / "cat" / "05.png").save(images / "dog" / "05-again.webp", lossless=True)
    store = ingest()
    rows = manifest(store)
    assert rows["cat/copy.bmp"]["reason"] == "exact duplicate of cat/03.png"
    assert rows["cat/03.png"]["row"] is not None
    assert rows["cat/05.png"]["reason"] == "exact duplicate under another label: dog/05-again.webp (dog)"
    assert rows["dog/05-again.webp"]["reason"] == "exact duplicate under another label: cat/05.png (cat)"
    assert rows["dog/05-again.webp"]["split"] is None
    assert len(store.labels) == 19
    duplicates = figures(tmp_path)["duplicates"]
    assert (duplicates["removed"], duplicates["conflicting"]) == (3, 2)
    assert [example["label"] for example in duplicates["first_conflicts"][0]["examples"]] == ["cat", "dog"]
    said = "2 of the exact duplicates are under several labels, such as cat/05.png (cat) and dog/05-again.webp (dog)"
    assert [note.partition(":")[0] for note in figures(tmp_path)["notes"]] == [said]


def test_of_duplicates_across_given_splits_the_held_out_one_stays(tmp_path: Path, ingest: Callable[..., Store]) -> None:
    for index in range(24):
        split = ("train", "train", "val", "test")[index // 2 % 4]
        save(tmp_path / "images" / split / "ab"[index % 2] / f"{index}.png", picture(index))
    source = tmp_path / "images" / "val" / "a" / "4.png"
    shutil.copy(source, tmp_path / "images" / "train" / "a" / "early.png")
    store = ingest()
    rows = manifest(store)
    assert store.given_splits == ("train", "val", "test")
    assert rows["train/a/early.png"]["reason"] == "exact duplicate of val/a/4.png"
    assert all(row["split"] == path.split("/")[0] for path, row in rows.items() if row["row"] is not None)


def png_of_16_bits(path: Path, samples: np.ndarray) -> None:
    """RGB, uint16 (H, W, 3), which Pillow does not write; by the PNG specification."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = samples.shape
    rows = b"".join(b"\0" + row.tobytes() for row in samples.astype(">u2"))
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("kind", ["12 bits in 16-bit colour", "4 bits in bytes", "the whole range"])
def test_a_set_that_uses_few_levels_is_said(
    kind: str, ingest: Callable[..., Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(24):
        path = tmp_path / "images" / "ab"[index % 2] / f"{index}.png"
        pixels = picture(index, (16, 16, 3))
        if kind == "12 bits in 16-bit colour":
            png_of_16_bits(path, pixels.astype(np.uint16) * 16)
        else:
            save(path, pixels // 16 if kind == "4 bits in bytes" else pixels)
    store = ingest()
    said = capsys.readouterr().out
    assert (f"above {store.images.max()}, of 0 to 255" in said) == (store.images.max() == 15)
    assert (kind == "the whole range") == (store.images.max() > 15)


def test_near_duplicates_and_groups_stay_on_one_side(
    images: Path, ingest: Callable[..., Store], tmp_path: Path
) -> None:
    for index in range(6):
        for level in range(3):
            pixels = picture(500 + index, (64, 64)) * (1 - 0.15 * level)
            save(images / "cat" / f"scene{index}-{level}.png", pixels.astype(np.uint8))
    for seed in range(3):
        rows = manifest(ingest(seed=seed))
        for index in range(6):
            members = [rows[f"cat/scene{index}-{level}.png"] for level in range(3)]
            assert len({row["split"] for row in members}) == 1
            assert {row["group"] for row in members} == {f"cat/scene{index}-0.png"}
    near = figures(tmp_path)["near_duplicates"]
    assert (near["groups"], near["images"], near["largest"], near["conflicting"]) == (6, 18, 3, 0)
    by_name = manifest(ingest(near_duplicate_bits=0, group_pattern=r"/0*(\d)\d*\.png$"))
    assert by_name["cat/01.png"]["group"] == by_name["dog/01.png"]["group"] == "cat/01.png"
    assert by_name["cat/01.png"]["split"] == by_name["cat/11.png"]["split"] == by_name["dog/01.png"]["split"]


@pytest.mark.parametrize("pattern", [r"(patient\d+)_", "(patient)?"])
def test_a_group_pattern_that_finds_nothing_stops(
    pattern: str, images: Path, ingest: Callable[..., Store], tmp_path: Path
) -> None:
    first = sorted(images.rglob("*.png"))[0].relative_to(images)
    with pytest.raises(UserError) as error:
        ingest(group_pattern=pattern)
    assert f"data.group_pattern: {pattern!r} finds nothing in any of the 20 paths" in str(error.value)
    assert repr(str(first)) in str(error.value) and not (tmp_path / "data" / "store").exists()


@pytest.mark.usefixtures("images")
def test_a_group_pattern_that_keeps_nothing_together_or_leaves_images_out_says_so(
    ingest: Callable[..., Store], tmp_path: Path
) -> None:
    ingest(group_pattern=r"(.*)", near_duplicate_bits=0)
    alone = "data.group_pattern: all 20 groups are of one image each, so that nothing is kept together"
    assert figures(tmp_path)["notes"] == [alone]
    ingest(group_pattern=r"dog/0([0-3])", near_duplicate_bits=0)
    assert "all 4 groups are of one image each" in figures(tmp_path)["notes"][0]
    ingest(group_pattern=r"(dog/0)[0-3]", near_duplicate_bits=0)
    assert figures(tmp_path)["notes"] == ["data.group_pattern: 16 of 20 images have no group, and are split one by one"]


def test_groups_of_a_table(images: Path, ingest: Callable[..., Store]) -> None:
    paths = sorted(images.rglob("*.png"))
    lines = [f"{p.relative_to(images)},{p.parent.name},{'' if i % 3 else 'patient 1'}" for i, p in enumerate(paths)]
    (images / "table.csv").write_text("\n".join(["path,label,group", *lines]) + "\n")
    rows = manifest(ingest(source="table"))
    assert len({row["split"] for i, row in enumerate(rows.values()) if i % 3 == 0}) == 1
    assert [row["group"] is None for row in rows.values()] == [i % 3 > 0 for i in range(20)]


def test_near_duplicates_under_two_labels_are_reported(
    images: Path, ingest: Callable[..., Store], tmp_path: Path
) -> None:
    save(images / "dog" / "dark.png", (picture(100 * 6 * 12 + 3) * 0.7).astype(np.uint8))
    rows = manifest(ingest())
    near = figures(tmp_path)["near_duplicates"]
    assert (near["groups"], near["conflicting"]) == (1, 1)
    examples = near["first_conflicts"][0]["examples"]
    assert examples == [{"label": "cat", "path": "cat/03.png"}, {"label": "dog", "path": "dog/dark.png"}]
    assert rows["dog/dark.png"]["row"] is not None
    assert rows["dog/dark.png"]["split"] == rows["cat/03.png"]["split"]


def test_the_demo(ingest: Callable[..., Store], tmp_path: Path) -> None:
    tail = LongTail(head=110, tail=4)
    fields = {"source": "digits", "path": str(DIGITS), "image_size": 8, "val_fraction": 0.08, "test_fraction": 0.3}
    store = ingest(**fields, long_tail=tail)
    train = store.split("train").counts(10)
    assert train.tolist() == [round(110 * (4 / 110) ** (k / 9)) for k in range(10)]
    assert store.split("test").counts(10).min() >= 52
    assert figures(tmp_path)["imbalance_ratio"] == 27.5
    rows = manifest(store).values()
    assert all(row["row"] is None and row["reason"] is None for row in rows if row["split"] == "thinned")
    whole = ingest(**fields)
    for name in ("val", "test"):
        np.testing.assert_array_equal(whole.split(name).images, store.split(name).images)
    assert set(map(bytes, store.split("train").images)) < set(map(bytes, whole.split("train").images))


def test_a_class_that_cannot_be_tested(images: Path, ingest: Callable[..., Store]) -> None:
    save(images / "owl" / "1.png", picture(1))
    with pytest.raises(UserError, match="class 'owl' has no image in test"):
        ingest()


def test_memory_does_not_grow_with_the_pixels(ingest: Callable[..., Store], tmp_path: Path) -> None:
    """What Python and numpy allocate at three times the images: columns grow, images do not."""
    peaks = []
    for count in (200, 600):
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for index in range(count):
                file = io.BytesIO()
                Image.fromarray(picture(index, (64, 64, 3))).save(file, "BMP")
                archive.writestr(f"{'ab'[index % 2]}/{index}.bmp", file.getvalue())
        tracemalloc.start()
        ingest(source="archive", path="set.zip", image_size=128)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 0.1 * 400 * 3 * 128 * 128
