"""Sets in the form of Hugging Face. The right splits, classes and counts are those that `datasets` finds itself."""

import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value, config, load_dataset, load_from_disk
from PIL import Image as Pictures

from pipeline.errors import UserError
from pipeline.params import DataParams
from pipeline.sources import BadImageError, Source, open_source
from pipeline.store import SPLITS

NAMES = ("zebra", "ant", "moth")
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
OUR_NAMES = {"train": "train", "validation": "val", "test": "test"}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)


def png(level: int) -> bytes:
    file = io.BytesIO()
    Pictures.new("L", (8, 8), level).save(file, "PNG")
    return file.getvalue()


def features(**columns: tuple[str, ...]) -> dict[bytes, bytes]:
    """The metadata of a schema, as `datasets` writes it."""
    kinds: dict[str, Any] = {name: {"names": names, "_type": "ClassLabel"} for name, names in columns.items()}
    info = {"info": {"features": {**kinds, "image": {"_type": "Image"}}}}
    return {b"huggingface": json.dumps(info).encode()}


def write_shard(path: Path, levels: range, names: tuple[str, ...] | None = NAMES) -> None:
    """Images of one grey level each, with the label level % 3."""
    images = pa.array([{"bytes": png(level), "path": f"{level}.png"} for level in levels], IMAGE)
    table = pa.table({"image": images, "label": pa.array([level % 3 for level in levels], pa.int64())})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(features(label=names) if names else None), path)


def write_sizes(folder: Path, sizes: dict[str, int]) -> None:
    """Shards of so many images each, no image twice."""
    start = 0
    for name, size in sizes.items():
        write_shard(folder / name, range(start, start + size))
        start += size


def opened(path: Path) -> Source:
    return open_source(DataParams(source="table", path=str(path)), Path("/"))


def content(source: Source) -> dict[str | None, Counter[tuple[str, int]]]:
    """By split, how often each class and grey level is there."""
    found: dict[str | None, Counter[tuple[str, int]]] = {}
    listing = source.listing
    read = {index: payload() for index, payload in source.images()}
    assert sorted(read) == list(range(len(listing)))
    for index, payload in read.items():
        assert isinstance(payload, bytes)
        split = SPLITS[listing.splits[index]] if listing.splits[index] >= 0 else None
        level = Pictures.open(io.BytesIO(payload)).getpixel((0, 0))
        found.setdefault(split, Counter())[listing.classes[listing.labels[index]], level] += 1
    return found


def content_by_datasets(found: DatasetDict) -> dict[str, Counter[tuple[str, int]]]:
    counted = {}
    for split, part in found.items():
        names = part.features["label"]
        counted[OUR_NAMES.get(split, split)] = Counter(
            (names.int2str(row["label"]), row["image"].getpixel((0, 0))) for row in part
        )
    return counted


LAYOUTS: dict[str, dict[str, int]] = {
    "the Hub's own": {
        "data/train-00000-of-00002.parquet": 4,
        "data/train-00001-of-00002.parquet": 3,
        "data/validation-00000-of-00001.parquet": 3,
        "data/test-00000-of-00001.parquet": 5,
    },
    "with hashes": {"data/train-00000-of-00001-0a1b2c3d.parquet": 4, "data/test-00000-of-00001-aa.parquet": 3},
    "at the top": {"train-00000-of-00001.parquet": 4, "test-00000-of-00001.parquet": 3},
    "a name before": {"my-train.parquet": 4, "my-valid.parquet": 3, "my-test.parquet": 5},
    "plain names": {"train.parquet": 4, "dev.parquet": 3, "evaluation.parquet": 5},
    "numbers": {"train0.parquet": 4, "train_1.parquet": 5, "testing 2.parquet": 3},
    "folders": {"data/train/0000.parquet": 4, "data/train/0001.parquet": 3, "data/test/0000.parquet": 5},
    "the Hub's converter": {
        "default/train/0000.parquet": 4,
        "default/validation/0000.parquet": 3,
        "default/test/0000.parquet": 5,
    },
    "the Hub's converter, in part": {"default/partial-train/0000.parquet": 4, "default/partial-test/0000.parquet": 5},
    "folders of one set": {"beans/training/a/b/x.parquet": 4, "beans/testing_2/y.parquet": 5},
    "folders before file names": {"train/part-test.parquet": 4, "test/part-train.parquet": 5},
    "a table beside": {"train/0.parquet": 4, "test/0.parquet": 5, "more/0.parquet": 6},
    "train alone": {"data/train-00000-of-00001.parquet": 6},
    "no word of splits inside of words": {"train/latest.parquet": 4, "test/contest.parquet": 5},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_splits_are_those_of_load_dataset(layout: str, tmp_path: Path) -> None:
    write_sizes(tmp_path / "set", LAYOUTS[layout])
    right = load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    source = opened(tmp_path / "set")
    assert content(source) == content_by_datasets(right)
    assert source.listing.classes == NAMES
    beside = {"tables that belong to no split": 1} if layout == "a table beside" else {}
    assert source.listing.ignored == beside


def files_of(*entries: tuple[str, str]) -> str:
    return "data_files:\n" + "".join(f"  - split: {split}\n    path: {path}\n" for split, path in entries)


CARDS: dict[str, tuple[str, dict[str, int]]] = {
    "files of other names": (
        "- config_name: default\n  " + files_of(("train", "a/*.parquet"), ("test", "b/**/*.parquet")),
        {"a/1.parquet": 4, "a/2.parquet": 3, "b/x/y/1.parquet": 5, "c/1.parquet": 2},
    ),
    "lists and question marks": (
        "- config_name: x\n  " + files_of(("train", "[t0-a.parquet, './t1-?.parquet']"), ("test", "'t[2-9]-*'")),
        {"t0-a.parquet": 4, "t1-b.parquet": 3, "t2-c.parquet": 5, "t3-d.parquet": 3},
    ),
    "against what the names say": (
        "- config_name: default\n  " + files_of(("test", "train.parquet"), ("train", "test.parquet")),
        {"train.parquet": 4, "test.parquet": 5},
    ),
    "a folder": ("- config_name: y\n  data_dir: sub/y\n", {"sub/y/train.parquet": 4, "sub/y/test.parquet": 5}),
    "the one that is the default": (
        "- config_name: other\n  data_dir: other\n- config_name: main\n  data_dir: main\n  default: true\n",
        {"main/train.parquet": 4, "main/test.parquet": 5, "other/train.parquet": 6},
    ),
}


@pytest.mark.parametrize("case", CARDS)
def test_the_card_says_which_files_are_of_which_split(case: str, tmp_path: Path) -> None:
    configs, sizes = CARDS[case]
    write_sizes(tmp_path / "set", sizes)
    (tmp_path / "set" / "README.md").write_text(f"---\nlicense: mit\nconfigs:\n{configs}---\n# A set\n")
    right = load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    assert content(opened(tmp_path / "set")) == content_by_datasets(right)


@pytest.mark.parametrize("names", ["{'0': 'no', '1': '010', '2': 1e3}", "[b, c, a]"])
def test_the_card_names_the_classes(names: str, tmp_path: Path) -> None:
    for file in ("train.parquet", "test.parquet"):
        write_shard(tmp_path / "set" / file, range(6), None)
    info = f"[{{name: image, dtype: image}}, {{name: label, dtype: {{class_label: {{names: {names}}}}}}}]"
    (tmp_path / "set" / "README.md").write_text(f"---\ndataset_info: {{features: {info}}}\n---\n")
    right = load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    source = opened(tmp_path / "set")
    assert source.listing.classes == (("no", "010", "1e3") if "010" in names else tuple("bca"))
    if "010" not in names:  # YAML's numbers are numbers to others
        assert content(source) == content_by_datasets(right)


def made(levels: range, split: str | None = None) -> Dataset:
    kinds = Features({"image": Image(), "label": ClassLabel(names=list(NAMES)), "note": Value("string")})
    rows = {
        "image": [{"bytes": png(level), "path": None} for level in levels],
        "label": [level % 3 for level in levels],
        "note": [str(level) for level in levels],
    }
    return Dataset.from_dict(rows, features=kinds, split=split)


def test_what_save_to_disk_wrote(tmp_path: Path) -> None:
    parts = DatasetDict({"train": made(range(10)), "test": made(range(10, 17)), "unsupervised": made(range(20, 25))})
    parts.save_to_disk(str(tmp_path / "set"), num_shards={"train": 3, "test": 1, "unsupervised": 1})
    (tmp_path / "set" / "train" / "cache-0123456789abcdef.arrow").write_bytes(b"left by another program")
    source = opened(tmp_path / "set")
    right = content_by_datasets(load_from_disk(str(tmp_path / "set")))
    assert right.pop("unsupervised").total() == 5
    assert content(source) == right
    assert source.listing.classes == NAMES
    assert source.listing.ignored == {"images of the split 'unsupervised'": 5}


@pytest.mark.parametrize(("split", "ours"), [("test", "test"), ("train", "train"), (None, None), ("full", None)])
def test_one_part_that_save_to_disk_wrote(split: str | None, ours: str | None, tmp_path: Path) -> None:
    made(range(8), split).save_to_disk(str(tmp_path / "set"))
    assert content(opened(tmp_path / "set")) == {ours: Counter((NAMES[level % 3], level) for level in range(8))}


def test_arrow_files_as_the_cache_keeps_them(tmp_path: Path) -> None:
    table = made(range(9)).data.table
    (tmp_path / "set").mkdir()
    with pa.ipc.new_stream(str(tmp_path / "set" / "beans-train.arrow"), table.schema) as stream:
        stream.write_table(table, max_chunksize=4)
    with pa.ipc.new_file(str(tmp_path / "set" / "beans-test.arrow"), table.schema) as file:
        file.write_table(table.slice(5), max_chunksize=2)
    found = content(opened(tmp_path / "set"))
    levels = {"train": range(9), "test": range(5, 9)}
    assert found == {split: Counter((NAMES[k % 3], k) for k in part) for split, part in levels.items()}


def test_capitals_make_no_other_split(tmp_path: Path) -> None:
    write_sizes(tmp_path, {"Train/0.PARQUET": 4, "TEST/0.parquet": 5, "Val/0.parquet": 3})
    assert {split: found.total() for split, found in content(opened(tmp_path)).items()} == {
        "train": 4,
        "val": 3,
        "test": 5,
    }


def test_further_splits_are_passed_over_and_counted(tmp_path: Path) -> None:
    write_sizes(
        tmp_path, {f"data/{name}-00000-of-00001.parquet": 6 for name in ("train", "test", "extra", "unlabeled")}
    )
    source = opened(tmp_path)
    assert {split: found.total() for split, found in content(source).items()} == {"train": 6, "test": 6}
    assert source.listing.ignored == {"images of the split 'extra'": 6, "images of the split 'unlabeled'": 6}


def test_a_set_that_names_no_split_has_none(tmp_path: Path) -> None:
    write_sizes(tmp_path, {"0000.parquet": 4, "b/contest.parquet": 5})
    assert {split: found.total() for split, found in content(opened(tmp_path)).items()} == {None: 9}


def test_names_without_an_image_and_rows_without_a_label_are_counted(tmp_path: Path) -> None:
    images = pa.array([{"bytes": png(level), "path": None} for level in range(5)], IMAGE)
    table = pa.table({"image": images, "label": [3, -1, 1, 3, -1]})
    pq.write_table(table.replace_schema_metadata(features(label=("d", "c", "b", "a"))), tmp_path / "set.parquet")
    source = opened(tmp_path)
    assert source.listing.classes == ("c", "a")
    assert content(source) == {None: Counter({("a", 0): 1, ("c", 2): 1, ("a", 3): 1})}
    assert source.listing.paths == [f"set.parquet#{row:08d}" for row in (0, 2, 3)]
    assert source.listing.ignored == {"images without a label (-1)": 2, "class names that no image has (d, b)": 2}


def table_of(path: Path, columns: dict[str, pa.Array], metadata: dict[bytes, bytes] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
    return path.parent


BYTES = [png(level) for level in range(4)]
STRUCTS = pa.array([{"bytes": data, "path": None} for data in BYTES], IMAGE)
WORDS = pa.array(["b", "a", "b", "a"])


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_images_as_plain_bytes(kind: pa.DataType, tmp_path: Path) -> None:
    source = opened(table_of(tmp_path / "t.parquet", {"img": pa.array(BYTES, kind), "label": WORDS}))
    assert source.listing.classes == ("a", "b")
    assert content(source) == {None: Counter({("b", 0): 1, ("a", 1): 1, ("b", 2): 1, ("a", 3): 1})}


def test_the_column_of_classes_is_known_by_its_feature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {"image": STRUCTS, "fine": pa.array([1, 0, 1, 0]), "labels": pa.array([5, 6, 7, 8])}
    source = opened(table_of(tmp_path / "t.parquet", columns, features(fine=("y", "x"))))
    assert source.listing.classes == ("y", "x")
    assert source.listing.labels.tolist() == [1, 0, 1, 0]
    assert "'fine' is read as 'label'" in capsys.readouterr().err


def test_columns_of_splits_and_groups_count_for_images_too(tmp_path: Path) -> None:
    more = {"split": pa.array(["Train", "test", None, "dev"]), "group": pa.array([1, None, 2, 1])}
    listing = opened(table_of(tmp_path / "t.parquet", {"image": STRUCTS, "label": WORDS, **more})).listing
    assert listing.splits.tolist() == [0, 2, -1, 1]
    assert listing.groups == ["1", "", "2", "1"]
    with pytest.raises(UserError, match=r"row 1 is of the split 'Train', but its file is of test"):
        opened(table_of(tmp_path / "x" / "test.parquet", {"image": STRUCTS, "label": WORDS, **more}))


def test_columns_that_may_be_splits_and_groups_are_said_not_to_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"image": STRUCTS, "label": WORDS, "Split": pa.array(["train"] * 4), "patient_id": pa.array([1] * 4)}
    listing = opened(table_of(tmp_path / "t.parquet", columns)).listing
    assert (listing.splits == -1).all() and listing.groups is None
    said = capsys.readouterr().err
    assert "'Split' is not read; call it 'split'" in said and "'patient_id' is not read; call it 'group'" in said


def test_files_outside_are_bad_images_that_name_the_file(tmp_path: Path) -> None:
    images = pa.array(
        [{"bytes": None, "path": "/elsewhere/1.png"}, {"bytes": png(1), "path": "2.png"}, None, None], IMAGE
    )
    read = dict(opened(table_of(tmp_path / "t.parquet", {"image": images, "label": WORDS})).images())
    assert read[1]() == png(1)
    with pytest.raises(BadImageError, match=r"no bytes in the table: only the path of a file, /elsewhere/1\.png"):
        read[0]()
    with pytest.raises(BadImageError, match="no bytes in the table"):
        read[2]()


def structs(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(
        [{"bytes": value, "path": None} for value in values], pa.struct([("bytes", kind), ("path", pa.string())])
    )


PATHS_ALONE = pa.array([{"path": "1.png"}] * 4)
TWO = features(fine=NAMES, coarse=NAMES)
IN_LIST = pa.array([[{"bytes": data, "path": None}] for data in BYTES], pa.list_(IMAGE))
UNUSABLE: dict[str, tuple[dict[str, pa.Array], dict[bytes, bytes] | None, str]] = {
    "bytes are text": ({"image": structs(["a"] * 4, pa.string()), "label": WORDS}, None, r"'image\.bytes' is string"),
    "bytes are numbers": ({"image": structs([1] * 4, pa.int64()), "label": WORDS}, None, r"'image\.bytes' is int64"),
    "bytes are a list": (
        {"image": structs([[1, 2]] * 4, pa.list_(pa.uint8())), "label": WORDS},
        features(label=NAMES),
        r"'image\.bytes' is list",
    ),
    "paths alone": (
        {"image": PATHS_ALONE, "label": WORDS},
        features(label=NAMES),
        "names image files and does not hold",
    ),
    "text for an image": (
        {"image": WORDS, "label": WORDS},
        features(label=NAMES),
        "names image files and does not hold",
    ),
    "lists of images": ({"images": IN_LIST, "label": WORDS}, None, "'images' is a list of images"),
    "two columns of images": (
        {"image": STRUCTS, "mask": STRUCTS, "label": WORDS},
        None,
        r"2 columns of images \(image, mask",
    ),
    "two columns of classes": (
        {"image": STRUCTS, "fine": pa.array([0] * 4), "coarse": pa.array([0] * 4)},
        TWO,
        r"2 columns of classes \(fine, coarse\); name the one to use by data.label_column",
    ),
    "no label": ({"image": STRUCTS, "target": WORDS}, None, r"no column 'label' .*rename 'target' to 'label'"),
    "a name with a line break": ({"image": STRUCTS, "lab\nel": WORDS}, None, "found: image, lab el"),
    "a label in capitals": ({"image": STRUCTS, "Label": WORDS}, None, "rename 'Label' to 'label'"),
    "several labels": ({"image": STRUCTS, "label": pa.array([[0, 1]] * 4)}, None, "'label' is list"),
    "labels are no whole numbers": ({"image": STRUCTS, "label": pa.array([0.5] * 4)}, None, "'label' is double"),
    "no label in a row": ({"image": STRUCTS, "label": pa.array([0, 1, None, 0])}, None, "row 3 has no label"),
    "an empty label in a row": (
        {"image": STRUCTS, "label": pa.array(["a", "", "b", "c"])},
        None,
        r"t\.parquet: row 2 has no",
    ),
    "a number without a name": (
        {"image": STRUCTS, "label": pa.array([0, 1, 2, 3])},
        features(label=NAMES),
        "row 4 has the label 3",
    ),
    "groups are lists": ({"image": STRUCTS, "label": WORDS, "group": pa.array([[1]] * 4)}, None, "'group' is list"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_columns_that_cannot_be_used_are_one_sentence(case: str, tmp_path: Path) -> None:
    columns, metadata, message = UNUSABLE[case]
    with pytest.raises(UserError, match=message) as caught:
        opened(table_of(tmp_path / "t.parquet", columns, metadata))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_column_name_twice(tmp_path: Path) -> None:
    for names, message in (
        (["image", "label", "label"], "2 columns 'label'"),
        (["image", "image", "label"], "2 columns of"),
    ):
        columns = [STRUCTS if name == "image" else WORDS for name in names]
        pq.write_table(pa.Table.from_arrays(columns, names=names), tmp_path / "t.parquet")
        with pytest.raises(UserError, match=message):
            opened(tmp_path)


TWO_READINGS: dict[str, tuple[list[str], str]] = {
    "configurations by folders": (
        ["a/train/0.parquet", "b/train/0.parquet"],
        r"2 configurations .*\(a, b\).*name the folder",
    ),
    "configurations by file names": (
        ["a/train-0.parquet", "b/train-0.parquet", "a/test-0.parquet"],
        r"2 conf.*\(a, b\)",
    ),
    "a folder of two splits": (
        ["train/test/0.parquet", "train/0.parquet"],
        "it is in test and in train|in train and in test",
    ),
    "a name of two splits": (["train-test.parquet", "train.parquet"], "in test and in train|in train and in test"),
    "two words for one split": (
        ["data/val-00000-of-00001.parquet", "data/dev-00000-of-00001.parquet"],
        "two of its splits mean val: dev and val; keep one",
    ),
    "a shard is missing": (
        ["data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"],
        r"train-00001-of-00003\.parquet: missing, and only 2 of the 3",
    ),
    "no known split": (
        ["data/a-00000-of-00001.parquet", "data/b-00000-of-00001.parquet"],
        "splits are called a, b; name them train",
    ),
}


@pytest.mark.parametrize("case", TWO_READINGS)
def test_what_has_two_readings_is_refused(case: str, tmp_path: Path) -> None:
    names, message = TWO_READINGS[case]
    write_sizes(tmp_path, dict.fromkeys(names, 3))
    with pytest.raises(UserError, match=message):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("front", "message"),
    [
        (
            "configs:\n- config_name: a\n  data_dir: x\n- config_name: b\n  data_dir: y",
            r"2 configurations .*README.*\(a, b\)",
        ),
        ("configs:\n- config_name: a\n  data_files: hf://datasets/a/b.parquet", "names files elsewhere"),
        ("configs:\n- config_name: a\n  data_files: ../b.parquet", "names files elsewhere"),
        ("configs:\n- config_name: a\n  data_files: data/train-*", "no table here .*'train'.*fetch the files"),
        ("configs:\n- config_name: a\n  data_dir: nowhere", "nowhere: no .parquet"),
        ("configs: {a: b}", "configs is no list"),
        ("configs:\n- config_name: [a]", "config_name is no text"),
        ("configs:\n- config_name: a\n  data_files: [{split: a}]", "path is no text"),
        (
            "dataset_info:\n  features:\n  - {name: label, dtype: {class_label: {names: {'1': a}}}}",
            "not numbered from 0",
        ),
        ("configs: [", "front matter.*cannot be read"),
        ("[" * 3000, "front matter.*cannot be read"),
    ],
)
def test_a_card_that_cannot_be_followed(front: str, message: str, tmp_path: Path) -> None:
    write_sizes(tmp_path, {"a.parquet": 3})
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n")
    with pytest.raises(UserError, match=message) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_readme_that_is_no_card(tmp_path: Path) -> None:
    write_sizes(tmp_path, {"train.parquet": 3, "test.parquet": 4})
    for text in ("# A set\n---\nconfigs: [\n---\n", "---\nno end", "---\n- a list\n---\n", ""):
        (tmp_path / "README.md").write_text(text)
        assert len(opened(tmp_path).listing) == 7


def test_shards_that_order_their_classes_otherwise_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "train.parquet", range(6), NAMES)
    write_shard(tmp_path / "test.parquet", range(6), NAMES[::-1])
    with pytest.raises(
        UserError, match=r"train\.parquet: its class names, or their order, are not those of .*test\.parquet"
    ):
        opened(tmp_path)


def test_a_table_of_paths_beside_images_in_parquet(tmp_path: Path) -> None:
    write_sizes(tmp_path, {"data/train.parquet": 3, "data/test.parquet": 4})
    (tmp_path / "counts.csv").write_text("class,images\na,3\n")
    assert opened(tmp_path).listing.ignored == {"tables without path and label": 1}
    (tmp_path / "labels.csv").write_text("path,label\na.png,b\n")
    with pytest.raises(UserError, match=r"a table of paths \(labels\.csv\).*cannot be told"):
        opened(tmp_path)


def test_a_file_that_two_words_name_comes_once(tmp_path: Path) -> None:
    write_sizes(tmp_path, {"train_2/train/0.parquet": 4, "test/test-1/test.parquet": 5})
    assert {split: found.total() for split, found in content(opened(tmp_path)).items()} == {"train": 4, "test": 5}


def test_an_arrow_file_that_was_cut_between_two_batches(tmp_path: Path) -> None:
    table = made(range(9)).data.table
    ends = []
    with (tmp_path / "train.arrow").open("wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        for start in range(0, 9, 3):
            stream.write_table(table.slice(start, 3))
            ends.append(file.tell())
    assert len(opened(tmp_path).listing) == 9
    with (tmp_path / "train.arrow").open("r+b") as file:
        file.truncate(ends[1])
    with pytest.raises(UserError, match=r"train\.arrow: not readable as Arrow \(it was cut short"):
        opened(tmp_path)


def said_of(folder: Path) -> str:
    """What is said when all of a set is read; ``""`` if nothing is."""
    try:
        for _, read in opened(folder).images():
            read()
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("saved", [False, True])
def test_a_damaged_file_is_one_sentence_whenever_it_is_met(saved: bool, tmp_path: Path) -> None:
    if saved:
        made(range(40)).save_to_disk(str(tmp_path))
    else:
        write_sizes(tmp_path, {"train.parquet": 40})
    path = next(tmp_path.glob("*.arrow" if saved else "*.parquet"))
    whole = path.read_bytes()
    for start in range(0, len(whole), 97):
        path.write_bytes(whole[:start] + bytes(60) + whole[start + 60 :])
        assert "\n" not in said_of(tmp_path)
        path.write_bytes(whole[:start])
        assert re.search(r"not readable as|one class at most", said_of(tmp_path))


@pytest.mark.parametrize(
    "damage", ["{", "[1]", '{"splits": "train"}', '{"splits": ["../train"]}', '{"splits": ["gone"]}']
)
def test_a_damaged_index_of_save_to_disk(damage: str, tmp_path: Path) -> None:
    DatasetDict({"train": made(range(4)), "test": made(range(4, 9))}).save_to_disk(str(tmp_path))
    (tmp_path / "dataset_dict.json").write_text(damage)
    with pytest.raises(UserError, match="save the set again"):
        opened(tmp_path)
