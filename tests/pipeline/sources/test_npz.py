"""Images as arrays: as MedMNIST, Keras and people save them, and files that would rather be something else."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.ingest.opening import open_image
from pipeline.params import DataParams
from pipeline.sources import open_source
from pipeline.sources.npz import NpzSource
from pipeline.store import SPLITS

RNG = np.random.default_rng(0)


def images(count: int, *shape: int, dtype: str = "uint8") -> np.ndarray:
    return RNG.integers(0, 256, (count, *shape)).astype(dtype)


def labels(count: int, classes: int = 3) -> np.ndarray:
    return np.arange(count) % classes


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def read(source: NpzSource) -> list[np.ndarray]:
    found: dict[int, np.ndarray] = {index: np.asarray(open_image(get())) for index, get in source.images()}
    return [found[index] for index in range(len(source.listing))]


@pytest.mark.parametrize("compressed", [False, True])
def test_medmnist(tmp_path: Path, compressed: bool) -> None:
    arrays: dict[str, np.ndarray] = {}
    for split, count in (("train", 9), ("val", 3), ("test", 6)):
        arrays[f"{split}_images"] = images(count, 28, 28, 3)
        arrays[f"{split}_labels"] = labels(count)[:, None].astype("uint8")
    (np.savez_compressed if compressed else np.savez)(tmp_path / "breastmnist.npz", **arrays)
    source = NpzSource(tmp_path / "breastmnist.npz")
    listing = source.listing
    assert listing.classes == ("0", "1", "2")
    assert [int((listing.splits == code).sum()) for code in range(3)] == [9, 3, 6]
    with np.load(tmp_path / "breastmnist.npz") as known:  # NumPy's own reader
        expected = np.concatenate([known[f"{split}_images"] for split in SPLITS])
        numbers = np.concatenate([known[f"{split}_labels"].ravel() for split in SPLITS])
    assert np.array_equal(np.stack(read(source)), expected)
    assert np.array_equal(listing.labels, numbers)
    again = open_source(DataParams(source="npz", path="breastmnist.npz"), tmp_path)
    assert again.listing.paths == listing.paths


LAYOUTS = {
    "keras": {"x_train": images(6, 8, 8), "y_train": labels(6), "x_test": images(3, 8, 8), "y_test": labels(3)},
    "plain": {"images": images(6, 8, 8), "labels": labels(6)},
    "short": {"X": images(6, 8, 9, 3), "y": labels(6)},
    "without names": {"arr_0": images(6, 8, 8, 1), "arr_1": labels(6)},
    "channels first": {"images": images(6, 3, 8, 9), "labels": labels(6)},
    "one channel first": {"images": images(6, 1, 8, 9), "labels": labels(6)},
    "a label beside another array": {"images": images(6, 8, 8), "labels": labels(6), "patient": np.arange(6)},
    "big-endian labels": {"images": images(6, 8, 8), "labels": labels(6).astype(">i4")},
    "detector": {"images": (images(6, 8, 8).astype("uint16") * 16), "labels": labels(6)},
    "transparent": {"images": images(6, 8, 8, 4), "labels": labels(6)},
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_layouts(case: str, tmp_path: Path) -> None:
    arrays = LAYOUTS[case]
    source = NpzSource(save(tmp_path / "set.npz", **arrays))
    names = [name for name in arrays if arrays[name].ndim > 2]
    expected = [image for name in sorted(names, key=lambda n: "test" in n) for image in arrays[name]]
    for found, image in zip(read(source), expected, strict=True):
        if image.shape[0] in (1, 3):
            image = np.moveaxis(image, 0, 2)
        assert np.array_equal(found, image[..., 0] if image.shape[-1] == 1 else image)
    assert (source.listing.splits >= 0).all() == (case == "keras")


def test_classes_have_the_names_that_the_file_gives(tmp_path: Path) -> None:
    pictures = images(4, 8, 8)
    texts = NpzSource(save(tmp_path / "a.npz", images=pictures, labels=np.array(["pear", "äpfel", "pear", "fig"])))
    assert [texts.listing.classes[label] for label in texts.listing.labels] == ["pear", "äpfel", "pear", "fig"]
    named = NpzSource(
        save(tmp_path / "b.npz", images=pictures, labels=[2, 0, 2, 0], class_names=np.array(["a", "b", "c"]))
    )
    assert named.listing.classes == ("a", "c")
    assert named.listing.labels.tolist() == [1, 0, 1, 0]
    many = NpzSource(save(tmp_path / "c.npz", images=images(12, 8, 8), labels=np.arange(12)))
    assert many.listing.classes[:2] == ("00", "01")


def test_truth_values_are_named_as_numbers(tmp_path: Path) -> None:
    truth = NpzSource(save(tmp_path / "a.npz", images=images(4, 8, 8), labels=np.array([True, False, True, False])))
    assert truth.listing.classes == ("0", "1") and truth.listing.labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("kinds", [("uint64", "int64"), ("bool", "int8"), ("S3", "U4")])
def test_labels_of_the_splits_may_be_of_other_types(kinds: tuple[str, str], tmp_path: Path) -> None:
    train, test = (np.array([1, 0, 1, 0]).astype(kind) for kind in kinds)
    path = save(tmp_path / "set.npz", x_train=images(4, 8, 8), y_train=train, x_test=images(4, 8, 8), y_test=test)
    listing = NpzSource(path).listing
    assert [listing.classes[label] for label in listing.labels] == ["1", "0", "1", "0"] * 2


def test_the_array_of_labels_can_be_named(tmp_path: Path) -> None:
    path = save(tmp_path / "set.npz", images=images(6, 8, 8), fine=labels(6, 6), coarse=labels(6, 2))
    with pytest.raises(UserError, match=r"which array holds the labels .* name the array by data.label_column"):
        NpzSource(path)
    assert len(NpzSource(path, "coarse").listing.classes) == 2


class Pickled:
    """Ends the program that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.abort, ())


def with_member(path: Path, name: str, content: bytes) -> Path:
    save(path, images=images(4, 8, 8), labels=labels(4))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, content)
    return path


def header(text: str) -> bytes:
    body = text.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


ONES = "'descr': '|u1', 'fortran_order': False"
REFUSED = {
    "objects": (lambda p: save(p, images=images(4, 8, 8), labels=np.array([Pickled()] * 4, object)), "Python objects"),
    "several labels": (lambda p: save(p, images=images(4, 8, 8), labels=np.ones((4, 14), int)), "14 labels an image"),
    "floats": (lambda p: save(p, images=images(4, 8, 8, dtype="float32"), labels=labels(4)), "save it as uint8"),
    "no images": (lambda p: save(p, a=np.zeros(3), b=np.zeros((3, 2))), "no array of images (.a float64 3"),
    "no labels": (lambda p: save(p, images=images(4, 8, 8)), "which array holds the labels"),
    "too few labels": (lambda p: save(p, images=images(4, 8, 8), labels=labels(3)), "which array holds the labels"),
    "two sets": (
        lambda p: save(p, a=images(4, 8, 8), b=images(4, 8, 8), labels=labels(4)),
        "2 arrays could be the images",
    ),
    "labels of no kind": (
        lambda p: save(p, images=images(4, 8, 8), labels=labels(4).astype(float)),
        "none that is whole numbers or texts, but 'labels float64 4'",
    ),
    "texts and numbers": (
        lambda p: save(
            p, x_train=images(4, 8, 8), y_train=labels(4), x_test=images(4, 8, 8), y_test=np.array(["0"] * 4)
        ),
        "texts in one split and numbers in another",
    ),
    "a number that is too large": (
        lambda p: save(p, images=images(2, 8, 8), labels=np.array([1, 2**64 - 1], np.uint64)),
        "a label of 18446744073709551615",
    ),
    "columns": (lambda p: save(p, images=np.asfortranarray(images(4, 8, 8)), labels=labels(4)), "column by column"),
    "not of images": (lambda p: save(p, images=images(4, 8, 8, 7), labels=labels(4)), "not images"),
    "cut": (
        lambda p: (save(p, images=images(40, 8, 8), labels=labels(40)), p.write_bytes(p.read_bytes()[:900])),
        "damaged",
    ),
    "no zip": (lambda p: p.write_bytes(b"\x93NUMPY" + bytes(90)), "damaged"),
    "a lie": (
        lambda p: with_member(p, "x.npy", header("{'descr': '|u1', 'fortran_order': False, 'shape': (9, 9)}")),
        "damaged",
    ),
    "a bomb": (lambda p: with_member(p, "x.npy", header("(" * 9000)), "no array of NumPy's"),
    "a program": (lambda p: with_member(p, "x.npy", header("__import__('os').abort()")), "no array of NumPy's"),
    "nothing": (lambda p: None, "no such file"),
    "a folder": (lambda p: p.mkdir(), "this is a folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    make, message = REFUSED[case]
    make(tmp_path / "set.npz")
    with pytest.raises(UserError, match=message.replace("(", r"\(")) as caught:
        NpzSource(tmp_path / "set.npz")
    assert "set.npz" in str(caught.value)


def test_a_checksum_that_is_wrong_ends_the_reading(tmp_path: Path) -> None:
    path = save(tmp_path / "set.npz", images=np.full((40, 8, 8), 7, np.uint8), labels=labels(40))
    data = bytearray(path.read_bytes())
    data[data.index(bytes([7] * 64)) + 500] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        read(NpzSource(path))


def test_only_rows_are_in_memory(tmp_path: Path) -> None:
    """A set of zeros packs to nothing: what is read at a time must not grow with what it unpacks to."""
    import tracemalloc

    with zipfile.ZipFile(tmp_path / "set.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as file:
            shape = (2000, 100, 100)
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for _ in range(shape[0]):
                file.write(bytes(10_000))
        buffer = io.BytesIO()
        np.save(buffer, labels(2000))
        archive.writestr("labels.npy", buffer.getvalue())
    tracemalloc.start()
    source = NpzSource(tmp_path / "set.npz")
    for _, get in source.images():
        get()
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
