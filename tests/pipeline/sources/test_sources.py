import csv
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from data.digits import write_digits
from pipeline.errors import UserError
from pipeline.params import DataParams
from pipeline.sources import BadImageError, Source, open_source
from pipeline.store import SPLITS

Files = dict[str, bytes]


def png(level: int, size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, level).save(file, "PNG")
    return file.getvalue()


def files(*names: str) -> Files:
    return {name: png(10 + level) for level, name in enumerate(names)}


def as_folder(content: Files, path: Path) -> Path:
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_zip(content: Files, path: Path) -> Path:
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def as_tar(mode: str) -> Callable[[Files, Path], Path]:
    def pack(content: Files, path: Path) -> Path:
        with tarfile.open(path, f"w:{mode}") as archive:
            for name, data in content.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return path

    return pack


PACKINGS = {"folder": as_folder, "zip": as_zip, "tar": as_tar(""), "tar.gz": as_tar("gz"), "tar.xz": as_tar("xz")}


def opened(kind: str, path: Path, **fields: object) -> Source:
    return open_source(DataParams(source=kind, path=str(path), **fields), Path("/"))


def contents(source: Source) -> dict[str, tuple[str, str | None, object]]:
    """Path to (class, split, payload); also that every index comes once."""
    listing = source.listing
    read = {index: payload() for index, payload in source.images()}
    assert sorted(read) == list(range(len(listing)))
    return {
        path: (
            listing.classes[listing.labels[i]],
            SPLITS[listing.splits[i]] if listing.splits[i] >= 0 else None,
            read[i],
        )
        for i, path in enumerate(listing.paths)
    }


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_gives_the_same_set(packing: str, tmp_path: Path) -> None:
    content = files("b/2.png", "a/deep/er/1.PNG", "b/1.jpg", "a/1.png")
    path = PACKINGS[packing](content, tmp_path / "set")
    source = opened("folder" if packing == "folder" else "archive", path)
    assert source.listing.classes == ("a", "b")
    assert source.listing.paths == sorted(content)
    assert contents(source) == {name: (name[0], None, data) for name, data in content.items()}


@pytest.mark.parametrize("packing", PACKINGS)
def test_given_splits_and_one_folder_around_them(packing: str, tmp_path: Path) -> None:
    content = files("top/train/a/1.png", "top/Valid/a/2.png", "top/test/b/x/3.png", "top/train/b/4.png")
    path = PACKINGS[packing](content | {"top/readme.txt": b"hello"}, tmp_path / "set")
    source = opened("folder" if packing == "folder" else "archive", path)
    found = {name: (label, split) for name, (label, split, _) in contents(source).items()}
    assert found == {
        "top/train/a/1.png": ("a", "train"),
        "top/Valid/a/2.png": ("a", "val"),
        "top/test/b/x/3.png": ("b", "test"),
        "top/train/b/4.png": ("b", "train"),
    }
    assert source.listing.ignored.total() == 1


@pytest.mark.parametrize("kind", ["folder", "archive", "table", "digits"])
def test_a_missing_path_is_one_clear_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.path: .*nowhere.*no such file or folder"):
        opened(kind, tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_an_empty_folder_is_one_clear_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=str(tmp_path)):
        opened(kind, tmp_path)


def test_folder_and_file_mistaken_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    with pytest.raises(UserError, match="this is a file; source: folder"):
        opened("folder", tmp_path / "file")
    with pytest.raises(UserError, match="this is a folder; source: archive"):
        opened("archive", tmp_path)
    with pytest.raises(UserError, match="neither a zip nor a tar"):
        opened("archive", tmp_path / "file")


@pytest.mark.parametrize("packing", ["zip", "tar.gz", "tar.xz"])
def test_an_archive_cut_short(packing: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(200_000)
    path = PACKINGS[packing]({"a/1.png": noise, "b/2.png": noise[::-1], "b/3.png": noise[1:]}, tmp_path / "set")
    path.write_bytes(path.read_bytes()[: 3 * path.stat().st_size // 5])
    with pytest.raises(UserError, match=r"damaged|neither"):
        opened("archive", path)


def test_one_damaged_member_of_a_zip_is_damage_of_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    content = files("a/1.png", "a/2.png", "b/3.png")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    data = path.read_bytes()
    path.write_bytes(data.replace(content["a/2.png"], content["a/2.png"][:-1] + b"!"))
    read = dict(opened("archive", path).images())
    assert read[0]() == content["a/1.png"]
    with pytest.raises(UserError, match=r"the archive is damaged: the member 'a/2\.png'"):
        read[1]()


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    as_folder(files("a/1.png", "b/2.png"), tmp_path)
    try:
        (tmp_path / "a" / os.fsdecode(b"\xff.png")).write_bytes(png(0))
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    source = opened("folder", tmp_path)
    assert source.listing.paths == ["a/1.png", "a/\ufffd.png", "b/2.png"]
    assert len(contents(source)) == 3


def write_csv(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


ROWS = (
    {"path": "x/2.png", "label": "02", "split": "", "group": "p1"},
    {"path": "x/1.png", "label": "NA", "split": "validation", "group": ""},
    {"path": "gone.png", "label": "02", "split": "Test", "group": "p1"},
)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_paths(kind: str, tmp_path: Path) -> None:
    as_folder(files("x/1.png", "x/2.png"), tmp_path)
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(list(ROWS)), tmp_path / "table.parquet")
    else:
        write_csv(tmp_path / "table.csv", *ROWS)
    source = opened("table", tmp_path)
    listing = source.listing
    assert listing.paths == ["gone.png", "x/1.png", "x/2.png"]
    assert [listing.classes[label] for label in listing.labels] == ["02", "NA", "02"]
    assert listing.splits.tolist() == [2, 1, -1]
    assert listing.groups == ["p1", "", "p1"]
    read = dict(source.images())
    assert read[1]() == (tmp_path / "x" / "1.png").read_bytes()
    with pytest.raises(BadImageError, match="no such file"):
        read[0]()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"path": "a.png", "class": "x"}], "no column 'label' .*found: path, class"),
        ([{"path": "a.png", "label": "x"}, {"path": "b.png", "label": ""}], "line 3 has no label"),
        ([{"path": "a.png", "label": "x", "split": "hold-out"}], "line 2: split 'hold-out'"),
    ],
)
def test_a_table_that_says_too_little(rows: list[dict[str, str]], message: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", *rows)
    with pytest.raises(UserError, match=message):
        opened("table", tmp_path)


def test_a_table_that_dvc_cannot_watch_with_its_images_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table.csv", *ROWS)
    with pytest.raises(UserError, match="name the folder that holds this table"):
        opened("table", path)
    write_csv(path, ROWS[0], {**ROWS[1], "path": "../other/1.png"})
    with pytest.raises(UserError, match=r"\.\./other/1\.png lies outside"):
        opened("table", tmp_path)


def test_labels_without_names_may_be_numbers_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a.png", "b.png"], "label": [7, 3]}), tmp_path / "t.parquet")
    assert opened("table", tmp_path).listing.classes == ("3", "7")


def write_shard(path: Path, levels: list[int], labels: list[int], names: list[str] | None) -> None:
    schema = pa.schema([("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())])
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    images = [{"bytes": png(level), "path": f"{level}.png"} for level in levels]
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pydict({"image": images, "label": labels}, schema=schema), path, row_group_size=2)


def test_hugging_face_shards(tmp_path: Path) -> None:
    names = ["zebra", "T-shirt/top"]
    write_shard(tmp_path / "data" / "train-00000-of-00002.parquet", [1, 2, 3], [0, 1, 1], names)
    write_shard(tmp_path / "data" / "train-00001-of-00002.parquet", [4], [0], names)
    write_shard(tmp_path / "data" / "validation-00000-of-00001.parquet", [5, 6], [1, 0], names)
    found = contents(opened("table", tmp_path))
    assert list(found.values()) == [
        ("zebra", "train", png(1)),
        ("T-shirt-top", "train", png(2)),
        ("T-shirt-top", "train", png(3)),
        ("zebra", "train", png(4)),
        ("T-shirt-top", "val", png(5)),
        ("zebra", "val", png(6)),
    ]
    assert list(found)[3] == "data/train-00001-of-00002.parquet#00000000"


def test_class_names_that_no_image_has_are_dropped(tmp_path: Path) -> None:
    write_shard(tmp_path / "set.parquet", [1, 2], [3, 1], ["a", "b", "c", "d"])
    listing = opened("table", tmp_path / "set.parquet").listing
    assert listing.classes == ("b", "d")
    assert listing.labels.tolist() == [1, 0]


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", {"path": "a.png", "label": "x"})
    with pytest.raises(UserError, match=r"one class at most \(x\)"):
        opened("table", tmp_path)


def test_one_hugging_face_file_without_names(tmp_path: Path) -> None:
    write_shard(tmp_path / "digits.parquet", [1, 2], [10, 9], None)
    source = opened("table", tmp_path / "digits.parquet")
    assert [(label, split) for label, split, _ in contents(source).values()] == [("10", None), ("9", None)]


def idx(values: np.ndarray) -> bytes:
    """MNIST's own format."""
    shape = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + shape + values.tobytes()


def test_torchvision_with_its_train_and_test_parts(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)
    labels = np.array([0, 1, 9, 0, 5, 0, 1], np.uint8)
    for name, part in (("train", slice(0, 5)), ("t10k", slice(5, 7))):
        (raw / f"{name}-images-idx3-ubyte").write_bytes(idx(images[part]))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels[part]))
    source = opened("torchvision", tmp_path, dataset="MNIST")
    assert source.listing.classes == ("0 - zero", "1 - one", "5 - five", "9 - nine")
    assert source.listing.labels.tolist() == [0, 1, 3, 0, 2, 0, 1]
    assert source.listing.splits.tolist() == [0] * 5 + [2] * 2
    read = [np.asarray(payload()) for _, payload in source.images()]
    np.testing.assert_array_equal(read, images)


def test_torchvision_by_split_names_and_by_none(tmp_path: Path) -> None:
    root = tmp_path / "split"
    wnids = ["n01440764", "n02102040", "n02979186", "n03000684", "n03028079"]
    wnids += ["n03394916", "n03417042", "n03425413", "n03445777", "n03888257"]
    as_folder(files(*(f"imagenette2/{part}/{wnid}/1.JPEG" for part in ("train", "val") for wnid in wnids)), root)
    source = opened("torchvision", root, dataset="Imagenette")
    assert source.listing.splits.tolist() == [0] * 10 + [1] * 10
    assert source.listing.classes[0] == "tench, Tinca tinca"
    whole = opened("torchvision", tmp_path, dataset="FakeData")
    assert set(whole.listing.splits.tolist()) == {-1}
    assert whole.listing.classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "MNISST"}, "no data set 'MNISST'"),
        ({"dataset": "MNIST"}, r"data\.path: .*set data\.download: true"),
        ({"dataset": "VOCDetection"}, "needs the argument|does not open|no split"),
        ({"dataset": "FakeData", "download": True}, "cannot be opened"),
        ({"dataset": "CocoDetection"}, "needs the argument 'annFile'"),
    ],
)
def test_torchvision_sets_that_will_not_do(fields: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        opened("torchvision", tmp_path, **fields)


def test_the_committed_digits_are_scikit_learns(tmp_path: Path) -> None:
    committed = Path(__file__).parents[3] / "data" / "digits.zip"
    found = contents(opened("digits", committed))
    digits = load_digits()
    assert len(found) == 1797
    for path, (label, _, data) in found.items():
        index = int(Path(path).stem)
        assert label == str(digits.target[index])
        image = np.asarray(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(np.rint(image * (16 / 255)), digits.images[index])
    for name in ("one.zip", "two.zip"):
        write_digits(tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert contents(opened("digits", tmp_path / "one.zip")).keys() == found.keys()
