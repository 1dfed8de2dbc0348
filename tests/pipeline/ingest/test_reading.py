"""What happens to a whole set: one range for its deep grey images, bounded memory, and nothing said by Pillow."""

import gc
import json
import sys
import weakref
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.ingest import memory, reading
from pipeline.ingest import pixels as pixels_module
from pipeline.ingest.decode import FURTHER, Target
from pipeline.ingest.memory import Budget
from pipeline.ingest.reading import Pixels, read_all
from pipeline.params import DataParams, Params
from pipeline.sources.archives import open_archive
from pipeline.sources.files import FolderSource
from pipeline.stages.ingest import run
from pipeline.store import Store
from pipeline.workspace import Workspace
from tests.pipeline.image_files import bits, layout, png, profile, saved, tiff

SIZE = 16
STAGES = ("ingest: ", "train: ", "evaluate: ", "export: ", "classify: ")
RNG = np.random.default_rng(0)


def blocks(seed: int, low: float, high: float, side: int = 32) -> np.ndarray:
    """Blocks of noise from ``low`` to ``high``, both included: no two are near duplicates."""
    coarse = np.random.default_rng(seed).uniform(low, high, (side // 4, side // 4))
    coarse[0, 0], coarse[-1, -1] = low, high
    return coarse.repeat(4, axis=0).repeat(4, axis=1)


@pytest.fixture
def ingest(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[Store, str]]:
    """Writes images, one (path, content) each, and ingests them; gives the store and what was printed.

    Nothing else is printed, by Pillow or by a library that it calls.
    """

    def ingested(images: dict[str, np.ndarray | bytes], **fields: Any) -> tuple[Store, str]:
        for name, image in images.items():
            path = tmp_path / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                image if isinstance(image, bytes) else saved(image, path.suffix[1:].replace("tif", "tiff"))
            )
        data = DataParams(**{"source": "folder", "path": "images", "image_size": SIZE, **fields})
        run(Params(data=data), Workspace(tmp_path))
        out, errors = capfd.readouterr()
        assert [line for line in errors.splitlines() if not line.startswith(STAGES)] == []
        return Store.open(Workspace(tmp_path).store), out

    return ingested


def rows(store: Store) -> dict[str, np.ndarray]:
    """The pixels of each image by its path."""
    table = pq.read_table(store.folder / "manifest.parquet").to_pylist()
    return {row["path"]: store.images[row["row"]] for row in table if row["row"] >= 0}


def named(make: Callable[[int], np.ndarray | bytes], suffix: str = "png", count: int = 12) -> dict[str, Any]:
    return {f"{label}/{index:02}.{suffix}": make(100 * ord(label) + index) for label in "ab" for index in range(count)}


def resized(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """By Pillow alone: the values as they are, then their range."""
    small = Image.fromarray(values.astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BICUBIC, reducing_gap=2)
    return np.clip((np.asarray(small, float) - low) / (high - low), 0, 1) * 255


def check(store: Store, images: dict[str, np.ndarray], low: float, high: float) -> None:
    found = rows(store)
    assert set(found) == set(images)
    for name, values in images.items():
        assert np.abs(found[name][0] - resized(values, low, high)).max() <= 0.51, name


@pytest.mark.parametrize("bits_used", [8, 9, 12, 15, 16])
def test_auto_takes_the_bits_that_hold_the_set(ingest: Callable[..., tuple[Store, str]], bits_used: int) -> None:
    top = 2**bits_used - 1
    images = named(lambda seed: blocks(seed, 0, top * (0.6 if seed % 7 else 0.95)).round().astype(np.uint16))
    store, said = ingest(images)
    check(store, images, 0, top)
    assert store.grey_range == (0, top)
    largest = max(image.max() for image in images.values())
    assert f"24 grey images of more than 8 bits: 0 became black and {top} white" in said
    assert f"({bits_used} bits hold the largest value, {largest})" in said
    assert "warning" not in said


def test_the_range_is_that_of_the_set_and_not_of_an_image(ingest: Callable[..., tuple[Store, str]]) -> None:
    images = named(lambda seed: blocks(seed, 0, 100).round().astype(np.uint16))
    images["b/11.png"] = blocks(7, 0, 4000).round().astype(np.uint16)
    store, _ = ingest(images)
    assert max(rows(store)[name].max() for name in images if name != "b/11.png") <= 100 * 255 // 4095 + 1
    check(store, images, 0, 4095)


def test_type_takes_the_range_of_the_type_and_warns(ingest: Callable[..., tuple[Store, str]]) -> None:
    images = named(lambda seed: blocks(seed, 0, 4095).round().astype(np.uint16))
    store, said = ingest(images, grey_range="type")
    check(store, images, 0, 65535)
    assert store.grey_range == (0, 65535)
    used = len(np.unique(np.concatenate([image.ravel() for image in rows(store).values()])))
    assert f"{used} of 256 levels are used" in said
    assert "warning: less than half of the levels are used" in said
    figures = store.summary["ingest"]["grey_range"]
    assert (figures["images"], figures["levels"], figures["clipped"]) == (24, used, 0)


def test_a_range_of_the_users_own_clips_and_counts(ingest: Callable[..., tuple[Store, str]]) -> None:
    images = named(lambda seed: blocks(seed, 0, 900).round().astype(np.uint16))
    images["a/03.png"] = blocks(3, 50, 3000).round().astype(np.uint16)
    images["b/04.png"] = blocks(4, 0, 1001).round().astype(np.uint16)
    store, said = ingest(images, grey_range=(0.0, 1000.0))
    check(store, images, 0, 1000)
    assert store.grey_range == (0, 1000)
    assert "2 of them have values outside of that" in said
    assert json.loads((store.folder / "summary.json").read_text())["ingest"]["grey_range"]["clipped"] == 2


def test_values_below_zero_are_counted_from_the_smallest(ingest: Callable[..., tuple[Store, str]]) -> None:
    images = named(lambda seed: blocks(seed, -1000, 2000).round().astype("<i2"), "tif")
    files = {name: tiff(layout(image.shape, 1, 16, sample=2), [image.tobytes()]) for name, image in images.items()}
    store, said = ingest(files)
    check(store, images, -1000, 3095)
    assert "the smallest value is -1000" in said


@pytest.mark.parametrize(("low", "high", "expected"), [(0.1, 0.9, (0, 1)), (-2, 5, (-2, 5)), (0, 300, (0, 300))])
def test_floats(
    ingest: Callable[..., tuple[Store, str]], low: float, high: float, expected: tuple[float, float]
) -> None:
    images = named(lambda seed: blocks(seed, low, high).astype(np.float32), "tif")
    store, _ = ingest(images)
    check(store, images, *expected)
    assert store.grey_range == pytest.approx(expected)


def test_floats_and_integers_in_one_set_have_no_range(ingest: Callable[..., tuple[Store, str]]) -> None:
    images = named(lambda seed: blocks(seed, 0, 1).astype(np.float32), "tif")
    images["a/x.png"] = blocks(1, 0, 4000).astype(np.uint16)
    with pytest.raises(UserError, match=r"24 of 25 grey images of more than 8 bits hold floats"):
        ingest(images)


@pytest.mark.parametrize(
    ("declared", "values", "expected"),
    [((0, 4095), (0, 900), (0, 4095)), ((100, 4095), (50, 900), (0, 1023)), ((0, 800), (0, 900), (0, 1023))],
)
def test_what_all_files_declare_is_taken_if_it_holds(
    ingest: Callable[..., tuple[Store, str]],
    declared: tuple[int, int],
    values: tuple[int, int],
    expected: tuple[int, int],
) -> None:
    images = named(lambda seed: blocks(seed, *values).round().astype("<u2"), "tif")
    tags = layout((32, 32), 1, 16) | {340: (3, [declared[0]]), 341: (3, [declared[1]])}
    store, said = ingest({name: tiff(tags, [image.tobytes()]) for name, image in images.items()})
    check(store, images, *expected)
    assert ("what the files declare" in said) == (expected == declared)


def test_declarations_that_differ_are_not_taken(ingest: Callable[..., tuple[Store, str]]) -> None:
    images = named(lambda seed: blocks(seed, 0, 900).round().astype("<u2"), "tif")
    tags = layout((32, 32), 1, 16)
    files = {
        name: tiff(tags | {341: (3, [4000 + index])}, [image.tobytes()])
        for index, (name, image) in enumerate(images.items())
    }
    store, _ = ingest(files)
    check(store, images, 0, 1023)


def test_a_pgm_has_the_range_of_its_maximum(ingest: Callable[..., tuple[Store, str]]) -> None:
    images = named(lambda seed: blocks(seed, 0, 700).round().astype(">u2"), "pgm")
    store, _ = ingest({name: b"P5 32 32 1000\n" + image.tobytes() for name, image in images.items()})
    check(store, images, 0, 1000)


def test_white_is_zero_within_the_range_of_the_set(ingest: Callable[..., tuple[Store, str]]) -> None:
    images = named(lambda seed: blocks(seed, 0, 4000).round().astype("<u2"), "tif")
    tags = {"a": layout((32, 32), 1, 16), "b": layout((32, 32), 0, 16)}
    store, _ = ingest({name: tiff(tags[name[0]], [image.tobytes()]) for name, image in images.items()}, fit="pad")
    check(store, {name: image if name[0] == "a" else 4095 - image for name, image in images.items()}, 0, 4095)


def test_shallow_images_beside_deep_ones_stay_as_they_are_and_are_said(
    ingest: Callable[..., tuple[Store, str]],
) -> None:
    deep = named(lambda seed: blocks(seed, 0, 4000).round().astype(np.uint16), count=8)
    shallow = named(lambda seed: blocks(5000 + seed, 0, 255).round().astype(np.uint8), "tif", count=6)
    store, said = ingest(deep | shallow)
    assert "12 other images" in said
    found = rows(store)
    for name, values in shallow.items():
        small = Image.fromarray(values).resize((SIZE, SIZE), Image.Resampling.BICUBIC, reducing_gap=2)
        np.testing.assert_array_equal(found[name][0], np.asarray(small))


def test_a_set_of_8_bits_says_nothing_and_is_the_same_under_every_range(
    ingest: Callable[..., tuple[Store, str]],
) -> None:
    images = named(lambda seed: blocks(seed, 0, 100).round().astype(np.uint8))
    seen = []
    for grey_range in ("auto", "type", (0.0, 4095.0)):
        store, said = ingest(images, grey_range=grey_range)
        seen.append((np.array(store.images), said, store.summary))
        assert "bits" not in said
        assert store.grey_range is None
        assert "grey_range" not in store.summary["ingest"]
    for other in seen[1:]:
        np.testing.assert_array_equal(other[0], seen[0][0])
        assert other[1:] == seen[0][1:]


def test_threads_and_colour_leave_the_same(
    ingest: Callable[..., tuple[Store, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = named(lambda seed: blocks(seed, 0, 4000).round().astype(np.uint16), count=40)
    images["a/00.png"] = RNG.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    alone, _ = ingest(images)
    expected = np.array(alone.images)
    monkeypatch.setattr(reading, "usable_cores", lambda: 4)
    monkeypatch.setattr(reading, "THREADS_PAY_ABOVE", 0)
    monkeypatch.setattr(reading, "AT_ONCE", 3)
    store, _ = ingest(images)
    np.testing.assert_array_equal(store.images, expected)
    assert store.channels == 3
    assert not list(store.folder.glob("*.raw*"))
    grey, _ = ingest(images, channels="L")
    assert grey.channels == 1


def test_exact_and_near_duplicates_of_deep_images_are_found(ingest: Callable[..., tuple[Store, str]]) -> None:
    images = named(lambda seed: blocks(seed, 0, 4000).round().astype(np.uint16))
    images["a/copy.tif"] = images["a/00.png"]
    images["a/near.tif"] = images["a/01.png"] + 3
    store, _ = ingest(images)
    figures = store.summary["ingest"]
    assert figures["duplicates"]["removed"] == 1
    assert figures["near_duplicates"]["groups"] == 1


def test_what_is_passed_over_in_files_is_in_the_summary(ingest: Callable[..., tuple[Store, str]]) -> None:
    images: dict[str, Any] = named(lambda seed: blocks(seed, 0, 255).round().astype(np.uint8))
    frames = [Image.fromarray(blocks(seed, 0, 255).round().astype(np.uint8)) for seed in (901, 902, 903)]
    images["a/x.gif"] = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    images["a/y.tif"] = saved(frames[1], "TIFF", save_all=True, append_images=frames[1:])
    images["b/z.png"] = saved(frames[2], icc_profile=profile(2.2, None)[:200])
    store, _ = ingest(images)
    passed = {entry["reason"]: entry["files"] for entry in store.summary["ingest"]["passed_over"]}
    assert passed[FURTHER] == 4
    assert [count for reason, count in passed.items() if "profile" in reason] == [1]


@pytest.mark.parametrize("bad", ["truncated", "text", "deep"])
def test_a_bad_image_leaves_words_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    """Nothing of it, its file or its pixels, is alive after it was read; the garbage collector need not run."""
    content = {
        "truncated": saved(RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8))[:-200],
        "text": b"no image" * 1000,
        "deep": saved(np.full((8, 8), np.nan, np.float32), "TIFF"),
    }[bad]
    for name in ("a/0.png", "a/1.png", "b/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)

    source = FolderSource(tmp_path)
    monkeypatch.setattr(source, "images", lambda: ((index, lambda: content) for index in range(3)))
    opened: list[weakref.ref[Any]] = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda *args, **kw: _watched(original(*args, **kw), opened))
    gc.collect()
    gc.disable()
    references = sys.getrefcount(content)
    try:
        with Pixels(tmp_path / "pixels", 3, target := Target(SIZE, "auto", "crop", "auto")) as pixels:
            records = read_all(source, pixels, target, 1.0)
        assert sys.getrefcount(content) == references
        assert not any(ref() for ref in opened)
    finally:
        gc.enable()
    assert len(records.reasons) == 3
    assert [type(part) for reason in records.reasons.values() for part in reason] == [str] * 6


def _watched(image: Any, seen: list[weakref.ref[Any]]) -> Any:
    seen.append(weakref.ref(image))
    return image


def test_nothing_of_pillows_reaches_the_user(
    ingest: Callable[..., tuple[Store, str]], recwarn: pytest.WarningsRecorder
) -> None:
    images: dict[str, Any] = named(lambda seed: blocks(seed, 0, 255).round().astype(np.uint8))
    images["a/exif.jpg"] = saved(blocks(1, 0, 255).astype(np.uint8), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    images["a/bomb.png"] = png(10_000, 10_000, 8, 0, b"")  # Pillow warns of this size, and does not refuse it
    packed = saved(blocks(2, 0, 255).astype(np.uint8), "TIFF", compression="tiff_lzw")
    images["a/lzw.tif"] = packed[:200] + bytes(40) + packed[240:]
    images["b/samples.tif"] = tiff(layout((8, 8), 2, 8) | {277: (3, [65535])}, [bytes(64)])
    images["b/12.tif"] = tiff(layout((8, 8), 1, 12), [bits(np.zeros((8, 8), int), 12)[:20]])
    ingest(images, max_bad_fraction=0.5)
    assert not recwarn.list


def test_a_budget_lets_others_wait_and_never_gives_more(monkeypatch: pytest.MonkeyPatch) -> None:
    budget, held, most = Budget(100), 0, 0
    wanted = [int(size) for size in np.random.default_rng(0).integers(1, 150, 200)]

    def work(sizes: list[int]) -> None:
        nonlocal held, most
        for size in sizes:
            with budget.hold(size) as part:
                held += part.size
                most = max(most, held)
                before = part.size
                part.shrink(size // 2)
                held -= before - part.size
                held -= part.size

    threads = [Thread(target=work, args=(wanted[index::8],)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert most <= 100
    with budget.hold(100) as everything:  # all was given back
        assert everything.size == 100


def test_an_error_gives_its_room_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "usable_cores", lambda: 2)
    monkeypatch.setattr(reading, "THREADS_PAY_ABOVE", 0)
    monkeypatch.setattr(reading, "AT_ONCE", 1)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for index in range(12):
            whole = saved(RNG.integers(0, 256, (1200, 1200)).astype(np.uint8))
            archive.writestr(f"a/{index}.png", whole[:-100] if index % 2 else whole)
            archive.writestr(f"b/{index}.png", b"no image")
    source = open_archive(tmp_path / "set.zip")
    with Pixels(tmp_path / "pixels", 24, target := Target(SIZE, "auto", "crop")) as pixels:
        records = read_all(source, pixels, target, 1.0)
    assert len(records.reasons) == 18
    for budget in (memory.FILES, memory.PIXELS):
        with budget.hold(budget.size) as everything:
            assert everything.size == budget.size


def test_rows_are_the_same_read_one_by_one_or_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = RNG.integers(0, 256, (50, 3, SIZE, SIZE)).astype(np.uint8)
    grey = np.arange(50) % 3 == 0
    expected = np.where(grey[:, None, None, None], images[:, :1], images)
    with Pixels(tmp_path / "pixels", 50, Target(SIZE, "auto", "crop", "auto")) as pixels:
        for row, image in enumerate(images):
            pixels.write(row, image[:1] if grey[row] else image)
        for rows in (np.arange(50), RNG.permutation(50)[:20], np.array([7]), np.array([49, 0, 0]), np.array([], int)):
            for most in (0, 1 << 20):
                monkeypatch.setattr(pixels_module, "MOST_AT_ONCE", most)
                np.testing.assert_array_equal(pixels.read(rows, grey, 3), expected[rows])
                np.testing.assert_array_equal(pixels.read(rows, grey, 1), images[rows, :1])
