"""A class has one number: in the source, and in whatever a reader of the exported set derives by itself."""

import json
import shutil
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset
import yaml
from datasets import ClassLabel, Value, config, load_dataset
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder

from pipeline.errors import UserError
from pipeline.evaluation.folders import Folder, check_classes
from pipeline.sources.archives import open_archive
from pipeline.sources.base import class_names
from pipeline.sources.files import FolderSource
from tests.pipeline.made_set import MadeSet, make_set

NASTY = (
    *(
        "<b>",
        "50%",
        "%41",
        "a b",
        " a",
        "a ",
        ".hidden",
        "..x",
        "end.",
        "0",
        "10",
        "9",
        "007",
        "-1",
        "1e3",
        "A",
        "a",
        "aa",
    ),
    *(
        "con",
        "CON",
        "nul.txt",
        "aux",
        "lpt9",
        "com¹",
        "é",
        "e\u0301",
        "ß",
        "ss",
        "\u05d0\u05d1",
        "\u202eabc",
        "日本",
        "😀",
        "🏳️‍🌈",
    ),
    *("yes", "no", "null", "~", "2021-05-01", "1:30", "=cmd|' /C calc'!A0", "<script>", "$x$", "[red]", "0__bolt"),
    *("__pycache__", "_", "train", "x|y", "`", "#", "'", '"', "a\\b", "{}", "*", "?", "x" * 255, "ж" * 127, "<" * 90),
)
CHARACTERS = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff/")
NAME = st.sampled_from(NASTY) | st.text(CHARACTERS, min_size=1, max_size=6)
CLASSES = st.lists(NAME, min_size=2, max_size=8, unique=True).map(tuple)
FORMATS = ("imagefolder", "webdataset", "parquet")
HARD = (
    ("bolt", "con", "nut"),
    ("zebra", "ant", "<script>alert(1)<-script>", "A", "a"),
    ("no", "on", "null", "yes", "~", "1.0", "0x1F"),
    ("\u2028", "\u0627\u0644", "é", "e\u0301", "\U0001f600", "__main__"),
)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)


def named_by_metadata(root: Path) -> dict[str, str]:
    """The class of each image, by its path below ``root``, as metadata.jsonl gives it."""
    with (root / "metadata.jsonl").open(encoding="utf-8") as file:
        return {row["file_name"]: row["label"] for row in map(json.loads, file)}


def numbers_of_folders(root: Path) -> dict[str, int]:
    """What number ``ImageFolder`` gives to the images of each class."""
    names = named_by_metadata(root)
    found = {(names[Path(path).relative_to(root).as_posix()], label) for path, label in ImageFolder(str(root)).samples}
    numbers = dict(found)
    assert len(numbers) == len(found)
    return numbers


def real_folders(root: Path, classes: tuple[str, ...]) -> dict[str, int]:
    """A user's own image folder, and the numbers that ``ImageFolder`` gives to its classes."""
    for name in classes:
        (root / name).mkdir(parents=True)
        Image.new("L", (1, 1)).save(root / name / "1.png")
    return ImageFolder(str(root)).class_to_idx


@settings(max_examples=40, deadline=None)
@given(CLASSES)
def test_torchvision_numbers_an_exported_set_as_the_real_one(classes: tuple[str, ...]) -> None:
    assume(not {".", ".."} & set(classes))  # no folder's name, and refused at ingest
    with tempfile.TemporaryDirectory() as scratch:
        real = real_folders(Path(scratch, "real"), classes)
        source = tuple(sorted(real, key=lambda name: real[name]))
        made = make_set(Path(scratch, "set"), classes=source, empty=None)
        assert numbers_of_folders(made.root / "images") == real


@settings(max_examples=25, deadline=None)
@given(CLASSES)
def test_three_readers_agree_on_any_order(classes: tuple[str, ...]) -> None:
    numbers = {name: label for label, name in enumerate(classes)}
    with tempfile.TemporaryDirectory() as scratch:
        made = {name: make_set(Path(scratch, name), classes=classes, empty=None, format=name) for name in FORMATS}
        assert numbers_of_folders(made["imagefolder"].root / "images") == numbers
        assert numbers_of_tars(made["webdataset"]) == numbers
        assert numbers_of_tables(made["parquet"]) == numbers


def numbers_of_tars(made: MadeSet) -> dict[str, int]:
    """By the names of classes in the card, read as YAML 1.1, of every image's ``cls`` its manifest's class."""
    features = yaml.safe_load((made.root / "README.md").read_text(encoding="utf-8").split("\n---\n")[0])["dataset_info"]
    names = features["features"][1]["dtype"]["class_label"]["names"]
    labels = {row["name"]: row["label"] for row in pq.read_table(made.root / "manifest.parquet").to_pylist()}
    shards = sorted(str(path) for path in (made.root / "data").iterdir())
    for sample in samples(shards):
        assert names[str(sample["cls"])] == labels[sample["__key__"]]
    return {name: int(number) for number, name in names.items()}


def samples(shards: list[str]) -> list[dict]:
    return list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode())


def numbers_of_tables(made: MadeSet) -> dict[str, int]:
    """By the names of classes in the shards' schema, of every row's label its manifest's class."""
    labels = {row["name"]: row["label"] for row in pq.read_table(made.root / "manifest.parquet").to_pylist()}
    names: list[str] = []
    for shard in sorted((made.root / "data").iterdir()):
        table = pq.read_table(shard)
        names = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
        for row in table.to_pylist():
            assert names[row["label"]] == labels[Path(row["image"]["path"]).stem]
    return {name: number for number, name in enumerate(names)}


@pytest.mark.parametrize("classes", HARD)
def test_hugging_face_numbers_the_classes_likewise(tmp_path: Path, classes: tuple[str, ...]) -> None:
    for kind, column in (("webdataset", "cls"), ("parquet", "label")):
        made = make_set(tmp_path / kind, classes=classes, empty=None, format=kind)
        found = load_dataset(str(made.root), cache_dir=str(tmp_path / "cache"), split="train")
        assert found.features[column] == ClassLabel(names=list(classes))
        assert found[column] == [made.items[row.name].label for row in made.rows]
    made = make_set(tmp_path / "folders", classes=classes, empty=None)
    found = load_dataset(str(made.root), cache_dir=str(tmp_path / "cache"), split="train")
    assert found.features["label"] == Value("string")
    assert set(zip(found["label"], found["label_index"], strict=True)) == set(zip(classes, range(9), strict=False))
    images = made.root / "images"
    files = [str(path) for path in images.glob("*/*.png")]  # without the metadata, by folder alone
    bare = load_dataset("imagefolder", data_files=files, cache_dir=str(tmp_path / "cache"), split="train")
    names = named_by_metadata(images)
    by_folder = {Path(path).parent.name: name for path, name in names.items()}
    assert [by_folder[folder] for folder in bare.features["label"].names] == list(classes)
    assert len(bare) == len(load_dataset("imagefolder", data_dir=str(images), split="train")) == len(made.rows)


@settings(max_examples=25, deadline=None)
@given(st.lists(NAME.filter(lambda name: len(name.encode()) < 80), min_size=2, max_size=6, unique=True).map(tuple))
def test_an_exported_set_as_a_source_has_the_real_names_in_their_order(classes: tuple[str, ...]) -> None:
    try:
        cleaned = class_names(list(classes), "")
    except UserError:  # two that become one without their spaces
        return
    with tempfile.TemporaryDirectory() as scratch:
        made = make_set(Path(scratch, "set"), ("train", "test"), classes=classes, empty=None)
        listing = FolderSource(made.root).listing
        assert listing.classes == cleaned
        assert set(zip(listing.paths, listing.labels.tolist(), strict=True)) == {
            (row.file, row.label_index) for row in made.rows
        }
        assert FolderSource(made.root / "images" / "test").listing.classes == cleaned


def test_it_is_so_in_an_archive_too(tmp_path: Path) -> None:
    made = make_set(tmp_path / "set", classes=HARD[0], empty=None)
    for kind in ("zip", "tar", "gztar"):
        archive = shutil.make_archive(str(tmp_path / kind), kind, tmp_path, "set")
        assert open_archive(Path(archive)).listing.classes == HARD[0]
    assert FolderSource(made.root / "images").listing.classes == HARD[0]


def test_evaluate_finds_the_real_classes_in_an_exported_set(tmp_path: Path) -> None:
    real_folders(tmp_path / "real", HARD[0])
    made = make_set(tmp_path / "set", classes=HARD[0], empty=None)
    for place in (made.root, made.root / "images"):
        check_classes([Folder.open("--real", tmp_path / "real"), Folder.open("--fake", place)])


def test_a_users_own_folders_are_never_taken_for_encoded_names(tmp_path: Path) -> None:
    own = ("0__bolt", "1__%63on")
    real_folders(tmp_path / "own", own)
    (tmp_path / "own" / "metadata.jsonl").write_text('{"file_name": "0__bolt/1.png", "label": "x"}\n')
    assert FolderSource(tmp_path / "own").listing.classes == own
    made = make_set(tmp_path / "set", classes=HARD[0], empty=None)
    (made.root / "images" / "metadata.jsonl").unlink()
    assert FolderSource(made.root / "images").listing.classes == ("0__bolt", "1__con", "2__nut")


def test_the_card_prints_number_class_and_folder(tmp_path: Path) -> None:
    made = make_set(tmp_path / "set", classes=("bolt", "con", "a|b"), empty=1)
    text = (made.root / "README.md").read_text(encoding="utf-8")
    assert "| 0 | bolt | 0__bolt |\n| 1 | con | 1__con |\n| 2 | a\\|b | 2__a%7Cb |\n" in text
    assert (made.root / "images" / "1__con" / ".keep").exists()
    shards = make_set(tmp_path / "shards", classes=("bolt", "con"), empty=None, format="parquet")
    assert "| folder |" not in (shards.root / "README.md").read_text(encoding="utf-8")
