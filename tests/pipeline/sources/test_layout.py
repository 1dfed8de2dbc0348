"""Structure and names, against what torchvision's ImageFolder and the `datasets` library read from the same folder."""

import io
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder

from pipeline.errors import UserError
from pipeline.sources import Listing
from pipeline.sources.base import split_of
from pipeline.sources.files import FolderSource
from pipeline.sources.layout import arrange
from pipeline.store import SPLITS


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (2, 2), level % 256).save(file, "PNG")
    return file.getvalue()


def many(*folders: str, count: int = 2) -> list[str]:
    return [f"{folder}/{index}.png" for folder in folders for index in range(count)]


def split(folder: str, count: int = 2, classes: Iterable[str] = ("a", "b")) -> list[str]:
    return many(*(f"{folder}/{name}" for name in classes), count=count)


def write(root: Path, paths: Iterable[str]) -> Path:
    for index, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(png(index) if path.endswith((".png", ".jpeg")) else b"some text\n")
    return root


def read(root: Path) -> Listing:
    return FolderSource(root).listing


def found(listing: Listing) -> dict[str, tuple[str, str]]:
    """Path to class and split, ``""`` for none."""
    splits = [SPLITS[code] if code >= 0 else "" for code in listing.splits.tolist()]
    labels = [listing.classes[label] for label in listing.labels]
    return dict(zip(listing.paths, zip(labels, splits, strict=True), strict=True))


def numbers(folder: Path, root: Path) -> dict[str, int]:
    """Path to label, by torchvision."""
    return {Path(path).relative_to(root).as_posix(): label for path, label in ImageFolder(str(folder)).samples}


def check_splits(root: Path, listing: Listing) -> None:
    """That every split has the images and the label numbers that ImageFolder finds in its folder."""
    for code, name in enumerate(SPLITS):
        ours = {
            path: label
            for path, label, at in zip(listing.paths, listing.labels.tolist(), listing.splits.tolist(), strict=True)
            if at == code
        }
        assert ours == (numbers(root / name, root) if (root / name).exists() else {})


# -- folders beside the splits ----------------------------------------------------------------------------------------

SET = [*split("train", 4), *split("val", 1), *split("test", 2)]

BESIDE = {
    "pred": (many("pred", count=3), "'pred'"),
    "metadata": (["Meta/a.mat", "Meta/b.csv", "Meta/c.png"], "'Meta'"),
    "network drive": (["@eaDir/x.png", "train/a/@eaDir/0.png/THUMB.png"], "'@eaDir'"),
    "mac": (["__MACOSX/train/a/._0.png", "train/a/._0.png"], "'__MACOSX'"),
    "second copy": ([f"chest/{path}" for path in SET], "'chest', a second copy of the splits"),
    "another set": ([f"other/{path}" for path in SET[1:]], "'other', a set with splits of its own"),
    "in the root": (["cover.png", "1.png"], "outside a class folder"),
    "boxes": (["images/0.png", "labels/0.txt", "annotations/0.xml"], "text, in 'annotations'"),
    "more of the classes": (split("unsorted"), "'unsorted'"),
    "the whole set": (many("a", "b"), "'a'"),
    "loose in a split": (["train/1.png", "train/2.png"], "in 'train' without a class folder"),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_splits_are_kept_and_what_lies_beside_them_is_named(beside: str, tmp_path: Path) -> None:
    extra, reason = BESIDE[beside]
    root = write(tmp_path, [*SET, *extra])
    listing = read(root)
    assert sorted(listing.paths) == sorted(SET)
    assert found(listing) == {path: (path.split("/")[1], path.split("/")[0]) for path in SET}
    assert listing.ignored.total() == len(extra)
    assert reason in ", ".join(listing.ignored)


def test_each_split_is_what_image_folder_reads(tmp_path: Path) -> None:
    names = ["10", "2", "Zebra", "ant", "a b", "ant.1", "#x", "ä", "日本", "(1)"]
    root = write(tmp_path, [*split("train", 3, names), *split("test", 2, names), *split("val", 1, names), "pred/1.png"])
    listing = read(root)
    check_splits(root, listing)
    assert list(listing.classes) == ImageFolder(str(root / "train")).classes


LIKE_DATASETS = {
    "plain": SET,
    "numbered": [*split("01_train", 3), *split("02-test")],
    "twice, as in a well-known set of landscapes": [
        *split("seg_train/seg_train", 3),
        *split("seg_test/seg_test"),
        *many("seg_pred/seg_pred"),
    ],
    "other words": [*split("training", 3), *split("testing"), *split("validation", 1)],
    "dev and eval": [*split("train", 3), *split("dev"), *split("eval", 1)],
    "in a folder with others": [*split("data/train", 3), *split("data/test"), *many("pred")],
    "two folders": [*split("train", 3), *split("train_more"), *split("test", 1)],
    "a folder between": [*split("train/images", 3), *split("test/images")],
    "a spare folder": [*SET, *split("unsorted")],
    "names of the files": [
        f"{label}/{name}_{index}.png"
        for label in "ab"
        for name, count in (("train", 3), ("test", 2), ("val", 1))
        for index in range(count)
    ],
}


def test_counts_are_those_of_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    for number, paths in enumerate(LIKE_DATASETS.values()):
        root = write(tmp_path / f"set{number}", paths)
        loaded = datasets.load_dataset("imagefolder", data_dir=str(root), cache_dir=str(tmp_path / "cache"))
        names = next(iter(loaded.values())).features["label"].names
        theirs = {
            (names[label], str(name)): count
            for name, part in loaded.items()
            for label, count in Counter(part["label"]).items()
        }
        ours = Counter((label, name.replace("val", "validation")) for label, name in found(read(root)).values())
        assert ours == theirs, list(LIKE_DATASETS)[number]


def test_capitals_and_one_folder_around(tmp_path: Path) -> None:
    listing = read(write(tmp_path, [*split("x/y/Train", 3), *split("x/y/TEST"), "x/y/readme.txt", "x/cover.png"]))
    assert Counter(found(listing).values()) == {
        ("a", "train"): 3,
        ("b", "train"): 3,
        ("a", "test"): 2,
        ("b", "test"): 2,
    }
    assert listing.ignored == {"text": 1, "outside a class folder": 1}


def test_splits_below_the_classes(tmp_path: Path) -> None:
    paths = many("cat/train", "dog/train", "dog/test", "cat/val", "cat/test")
    listing = read(write(tmp_path, paths))
    assert found(listing) == {path: (path.split("/")[0], path.split("/")[1]) for path in paths}
    assert listing.notes == ("splits are read from the folders below the classes",)


def test_a_test_folder_without_labels_is_said_to_be_left_out(tmp_path: Path) -> None:
    listing = read(write(tmp_path, [*split("train", 4), *many("test", count=5)]))
    assert listing.ignored == {"in 'test' without a class folder": 5}
    assert "test is drawn from the others" in listing.notes[0]
    flat = read(write(tmp_path / "2", [*split("a_train/a_train", 4), *many("a_test/a_test", count=5)]))
    assert flat.ignored.total() == 5 and flat.classes == ("a", "b")


def test_names_of_files_are_splits_only_where_all_of_them_say_so() -> None:
    everywhere = ["a/train1.png", "a/test1.png", "b/train1.png", "b/val.png"]
    assert arrange(everywhere, "here")[0].splits.tolist() == [2, 0, 0, 1]
    for paths in ([*everywhere, "b/1.png"], ["a/test1.png", "b/test1.png"], ["train/train1.png", "plane/test1.png"]):
        listing, _ = arrange(paths, "here")
        assert set(listing.splits.tolist()) == {-1}


# -- doubt ------------------------------------------------------------------------------------------------------------

DOUBTFUL = {
    "one split beside a class": (
        [*split("train"), *split("plane", classes="cd")],
        ["two readings", "'train'", "'plane'"],
    ),
    "one split beside images": ([*split("train"), *many("pred")], ["two readings", "'pred'"]),
    "one split beside another of the name": ([*split("train"), *split("holdout")], ["two readings", "'holdout'"]),
    "train and val in one": ([*split("trainval"), *split("test")], ["two readings", "'trainval'"]),
    "other classes": ([*split("train"), *split("test", classes="cd")], ["two readings", "'c', 'd'"]),
    "classes with sub-folders": (
        [*split("test_tube"), *split("train-track"), *split("beaker")],
        ["two readings", "'beaker'"],
    ),
    "two of one word": ([*split("pre-test"), *split("post-test")], ["two readings", "'post-test', 'pre-test'"]),
    "no labels": (many("train", "test"), ["'test', 'train'", "labels are unknown", "source: table"]),
    "no labels and more": (many("train", "test", "car"), ["labels are unknown"]),
    "train without labels": ([*many("train", count=5), *split("test")], ["('train')", "labels are unknown"]),
    "two sets": ([*split("x/train"), *split("x/test"), *split("y/train"), *split("y/test")], ["'x', 'y'", "data.path"]),
    "splits in some classes": (many("cat/train", "cat/test", "dog"), ["two readings", "'cat'"]),
    "another copy": (
        [*many("a", "b"), *many("more/a", "more/b", count=3)],
        ["'more' holds 'a', 'b'", "with other files"],
    ),
    "case": (many("train/Cat", "train/dog", "test/cat", "test/dog"), ["'Cat', 'cat' differ in case alone"]),
    "boxes": (many("images/train", "images/val"), ["'train', 'val'", "labels are unknown"]),
    "masks": (many("images", "masks"), ["detection or segmentation", "'images', 'masks'"]),
    "mostly outside": ([*many("a", "b"), *(f"{index}.png" for index in range(5))], ["5 of 9 images lie outside"]),
}


@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_doubt_stops_and_says_the_readings(doubt: str) -> None:
    paths, words = DOUBTFUL[doubt]
    with pytest.raises(UserError) as error:
        arrange(paths, "here")
    assert all(word in str(error.value) for word in ["here: ", *words])


PLAIN = {
    "a class called train": many("train", "plane", "car"),
    "a class called like a word of splits": many("test_tube", "beaker"),
    "valid and invalid": many("valid", "invalid"),
    "folders in classes": [*split("cat"), *split("dog"), *many("dog/test")],
    "a folder around them called like a split": [*many("my_test_set/cat", "my_test_set/dog")],
    "one folder deep in one class": many("cat/x", "cat/y", "dog"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_no_splits_where_there_are_none(name: str, tmp_path: Path) -> None:
    root = write(tmp_path, PLAIN[name])
    listing = read(root)
    top = root / "my_test_set" if name.startswith("a folder around") else root
    assert dict(zip(listing.paths, listing.labels.tolist(), strict=True)) == numbers(top, root)
    assert set(listing.splits.tolist()) == {-1}


CROSSED = {
    "folds": [*split("fold1"), *split("fold2")],
    "sites": [*split("site A", 3), *split("site B", classes="ba")],
    "patients with some of the classes": many("p1/ill", "p2/well", "p3/ill", "p4/ill", "p4/well"),
    "glued to another word": [*split("trainset"), *split("testset")],
}


@pytest.mark.parametrize("case", CROSSED)
def test_classes_that_hold_the_same_folders_are_named_with_the_other_reading(case: str, tmp_path: Path) -> None:
    listing = read(write(tmp_path, CROSSED[case]))
    tops, inner = ({path.split("/")[depth] for path in CROSSED[case]} for depth in (0, 1))
    assert listing.classes == tuple(sorted(tops))
    assert [note for note in listing.notes if "source: table" in note] == list(listing.notes)
    assert all(repr(name) in listing.notes[0] for name in (*sorted(tops), *inner))


@pytest.mark.parametrize(
    "paths", [many("cat/x", "cat/y", "dog/z"), many("cat/x", "dog/x"), [*split("cat"), *split("dog"), "dog/1.png"]]
)
def test_folders_below_the_classes_are_no_doubt_by_themselves(paths: list[str]) -> None:
    assert arrange(paths, "here")[0].notes == ()


# -- masks beside the images ------------------------------------------------------------------------------------------


def test_masks_in_folders_beside_those_of_the_images_are_no_images(tmp_path: Path) -> None:
    images = many("COVID/images", "Normal/images", "Other")
    listing = read(write(tmp_path, [*images, *many("COVID/masks", "Normal/masks", count=3)]))
    assert listing.paths == images and listing.classes == ("COVID", "Normal", "Other")
    assert listing.ignored == {"in 'masks' beside 'images'": 6}
    assert listing.notes == ()


def test_masks_in_splits_too(tmp_path: Path) -> None:
    images = many("train/a/Img", "train/b/Img", "test/a/Img", "test/b/Img")
    listing = read(write(tmp_path, [*images, *many("train/a/GT", "test/b/GT")]))
    assert listing.paths == sorted(images) and listing.ignored.total() == 4


def test_masks_that_are_called_as_their_images_are_no_images(tmp_path: Path) -> None:
    images = [
        "benign/benign (1).png",
        "benign/benign (2).jpg",
        "normal/3.png",
        "normal/ISIC_4.png",
        "normal/x_mask.png",
    ]
    masks = ["benign/benign (1)_mask.png", "benign/benign (1)_mask_1.png", "benign/benign (2)_mask.png"]
    masks += ["normal/3-seg.tif", "normal/ISIC_4_Segmentation.png"]
    listing = read(write(tmp_path, [*images, *masks]))
    assert listing.paths == sorted(images)
    assert listing.ignored == {"masks, called as an image beside them": len(masks)}


def test_a_class_of_masks_stays(tmp_path: Path) -> None:
    paths = ["mask/1.png", "mask/2_mask.png", "none/1.png", "none/2.png", "none/masks/3.png"]
    assert read(write(tmp_path, paths)).paths == paths


def test_a_second_copy_of_the_classes_beside_them_is_left_out(tmp_path: Path) -> None:
    root = write(tmp_path, [f"flowers/{path}" for path in (*many("a", "b"), *many("flowers/a", "flowers/b"))])
    listing = read(root)
    assert listing.classes == ("a", "b")
    assert listing.ignored == {"in 'flowers', a second copy of the classes beside it": 4}


@pytest.mark.parametrize("names", [[], ["readme.txt"], ["a/1.png"], ["1.png", "2.png"]])
def test_no_two_classes_is_an_error_that_says_what_is_expected(names: list[str]) -> None:
    with pytest.raises(UserError, match=r"here: .*<class>/<image>"):
        arrange(names, "here")


# -- names ------------------------------------------------------------------------------------------------------------


def test_both_forms_of_unicode_are_one_class(tmp_path: Path) -> None:
    for form, part in (("NFC", "train"), ("NFD", "test")):
        write(tmp_path / "split", split(part, 2, [unicodedata.normalize(form, name) for name in ("Käfer", "Möwe")]))
        write(tmp_path / "mixed", many(*(unicodedata.normalize(form, name) for name in ("Käfer", "Möwe"))))
    listing = read(tmp_path / "split")
    assert list(listing.classes) == ImageFolder(str(tmp_path / "split" / "train")).classes
    check_splits(tmp_path / "split", listing)
    mixed = read(tmp_path / "mixed")
    assert mixed.classes == ("Käfer", "Möwe")
    assert Counter(mixed.labels.tolist()) == {0: 4, 1: 4}
    assert "one class" in listing.notes[0] and "one class" in mixed.notes[0]


def test_classes_keep_the_numbers_that_the_folders_give_them(tmp_path: Path) -> None:
    """Decomposed, as on a Mac, Ä stands before Z; composed it stands behind."""
    names = [unicodedata.normalize("NFD", name) for name in ("Zebra", "Äffchen", "Öl")]
    root = write(tmp_path, many(*names))
    listing = read(root)
    assert dict(zip(listing.paths, listing.labels.tolist(), strict=True)) == numbers(root, root)
    assert listing.classes == ("Äffchen", "Öl", "Zebra")
    assert [unicodedata.normalize("NFD", name) for name in listing.classes] == ImageFolder(str(root)).classes


def test_train_decides_where_its_spelling_is_another_than_that_of_test(tmp_path: Path) -> None:
    names = ("Zebra", "Äffchen")
    train, test = ([unicodedata.normalize(form, name) for name in names] for form in ("NFD", "NFC"))
    root = write(tmp_path, [*split("train", 2, train), *split("test", 2, test)])
    listing = read(root)
    assert listing.classes == ("Äffchen", "Zebra")
    assert [unicodedata.normalize("NFD", name) for name in listing.classes] == ImageFolder(str(root / "train")).classes


@pytest.mark.parametrize(
    ("folder", "name"), [(" cat", "cat"), ("cat ", "cat"), ("a\\b", "a-b"), ("a\tb", "a-b"), ("cat\n", "cat")]
)
def test_names_that_no_folder_should_have_are_cleaned_and_said(folder: str, name: str, tmp_path: Path) -> None:
    root = write(tmp_path, many(folder, "dog", "!"))
    listing = read(root)
    assert dict(zip(listing.paths, listing.labels.tolist(), strict=True)) == numbers(root, root)
    assert name in listing.classes
    assert listing.notes == (f"the class of folder {folder!r} is called {name!r}",)


def test_two_folders_that_would_be_one_class_are_refused() -> None:
    with pytest.raises(UserError, match="'cat' and 'cat ' would both be the class 'cat'"):
        arrange(many("cat", "cat ", "dog"), "here")
    with pytest.raises(UserError, match="' ' cannot name a class"):
        arrange(many(" ", "dog"), "here")


def test_two_classes_that_differ_in_case_are_two(tmp_path: Path) -> None:
    root = write(tmp_path, many("Cat", "cat"))
    if len(list(root.iterdir())) < 2:
        pytest.skip("this file system takes both for one")
    listing = read(root)
    assert listing.classes == ("Cat", "cat")
    assert "differ in case alone" in listing.notes[0]


@pytest.mark.parametrize(("one", "other"), [("co\u200bat", "coat"), ("fine", "\ufb01ne"), ("a b", "a\u00a0b")])
def test_two_classes_that_look_the_same_are_said(one: str, other: str) -> None:
    listing, _ = arrange(many(one, other, "dog"), "here")
    assert set(listing.classes) == {one, other, "dog"}
    assert any(repr(one) in note and repr(other) in note and "alone" in note for note in listing.notes)


def test_signs_that_nobody_sees_do_not_make_another_class() -> None:
    with pytest.raises(UserError, match=r"'cat' and 'cat\\u200b' would both be the class 'cat'"):
        arrange(many("cat", "cat\u200b", "dog"), "here")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    try:
        root = write(tmp_path, many(os.fsdecode(b"\xff"), "dog"))
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    assert read(root).classes == ("dog", "\ufffd")
    write(root, many(os.fsdecode(b"\xfe")))
    with pytest.raises(UserError, match="would both be the class"):
        read(root)


UNSEEN = {chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) == "Cf"}  # and some that are seen
LETTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\")
NAMES = st.text(LETTERS, min_size=1, max_size=6).filter(
    lambda name: name.strip() == name and name[0] not in ".@#$_" and not {name[0], name[-1]} & UNSEEN
)


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES, min_size=2, max_size=6, unique_by=lambda name: unicodedata.normalize("NFKC", name).casefold()))
def test_any_class_names_are_numbered_as_by_image_folder(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    root = write(tmp_path_factory.mktemp("set"), [*split("train", 1, names), *split("test", 1, names[1:])])
    listing = read(root)
    expected = ImageFolder(str(root / "train"))
    assert [unicodedata.normalize("NFC", name) for name in expected.classes] == list(listing.classes)
    for path, label in zip(listing.paths, listing.labels.tolist(), strict=True):
        assert expected.class_to_idx[path.split("/")[1]] == label


PARTS = st.sampled_from(["a", "b", "c", "train", "Test", "val_1", "pred", ".git", "@eaDir"])
BASES = st.sampled_from(["1.png", "2.jpg", "3", "n.txt", ".h.png", "._1.png", "d.bin", "x.heic", "Thumbs.db"])
PATHS = st.tuples(st.lists(PARTS, max_size=4), BASES).map(lambda path: "/".join([*path[0], path[1]]))


@settings(max_examples=300, deadline=None)
@given(st.lists(PATHS, min_size=4, max_size=40, unique=True))
def test_every_file_is_kept_or_counted_and_a_label_is_a_folder_above_it(paths: list[str]) -> None:
    kinds = {"3": png(1)[:64], "n.txt": b"text"}
    try:
        listing, order = arrange(paths, "here", lambda index: kinds.get(paths[index].split("/")[-1], bytes(range(64))))
    except UserError:
        return
    assert len(listing) + listing.ignored.total() == len(paths)
    assert [paths[index] for index in order] == listing.paths == sorted(listing.paths)
    for path, (label, split) in found(listing).items():
        above = path.split("/")[:-1]
        above.remove(label)
        assert not split or split in map(split_of, above)


# -- what is left out -------------------------------------------------------------------------------------------------


def test_all_that_is_no_image_is_counted(tmp_path: Path) -> None:
    paths = [*many("a", "b"), "a/.hidden.png", ".git/a/3.png", ".git/HEAD", "__MACOSX/a/1.png", "b/Thumbs.db"]
    root = write(tmp_path, [*paths, "a/notes.txt", "docs/x.md", "docs/y.md", "cover.png"])
    (root / "c").mkdir()
    (root / ".git" / "refs").mkdir()
    listing = read(root)
    assert listing.paths == many("a", "b")
    assert listing.ignored == {
        "hidden": 1,
        "hidden, in '.git'": 2,
        "of the system, in '__MACOSX'": 1,
        "of the system": 1,
        "text": 1,
        "text, in 'docs'": 2,
        "outside a class folder": 1,
        "empty folder ('c')": 1,
    }


def test_what_a_source_passed_over_is_counted_too() -> None:
    listing, order = arrange(many("b", "a"), "here", passed={"link that leads nowhere": 3})
    assert order == [2, 3, 0, 1]
    assert listing.ignored == {"link that leads nowhere": 3}


def test_many_folders_are_not_all_named() -> None:
    texts = [f"docs{index}/x.txt" for index in range(9)]
    listing, _ = arrange([*many("a", "b"), *texts], "here", lambda index: b"text")
    assert len(listing.ignored) == 6 and listing.ignored["text, in '4 more folders'"] == 4


def contents(kind: str) -> bytes:
    box = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(40)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    return {"heic": box, "psd": b"8BPS\0\1" + bytes(58), "lfs": pointer, "unknown": bytes(range(64)), "empty": b""}[
        kind
    ]


@pytest.mark.parametrize(
    ("kind", "suffix", "reason"),
    [
        ("heic", ".heic", "HEIC, which is not read"),
        ("heic", "", "HEIC, which is not read"),
        ("psd", ".psd", "PSD, which is not read"),
        ("lfs", ".jfif2", "pointer of Git LFS"),
        ("unknown", ".dat", "not an image"),
        ("unknown", ".dcm", "not an image, though it is called .dcm"),
        ("empty", "", "empty"),
    ],
)
def test_a_class_that_loses_most_of_its_files_stops(kind: str, suffix: str, reason: str, tmp_path: Path) -> None:
    root = write(tmp_path, [*many("a", "b", count=4), *many("c", count=2)])
    for index in range(2):
        (root / "c" / f"x{index}{suffix}").write_bytes(contents(kind))
    assert read(root).ignored == {reason: 2}  # half of them is not most
    (root / "c" / f"x3{suffix}").write_bytes(contents(kind))
    with pytest.raises(UserError, match=rf"class 'c' would keep 2 of its 5 files: 3 {reason};"):
        read(root)
    for path in (root / "c").glob("*.png"):
        path.unlink()
    with pytest.raises(UserError, match=rf"class 'c' would keep 0 of its 3 files: 3 {reason};"):
        read(root)


def test_hidden_images_and_dead_links_are_losses_too(tmp_path: Path) -> None:
    root = write(tmp_path, [*many("a", "b"), "c/.1.png", "c/.2.png"])
    with pytest.raises(UserError, match="class 'c' would keep 0 of its 2 files: 2 hidden"):
        read(root)
    root = write(tmp_path / "links", many("a", "b"))
    (root / "c").mkdir()
    (root / "c" / "1.png").symlink_to("../annex/objects/1")
    with pytest.raises(UserError, match="class 'c' would keep 0 of its 1 files: 1 linked to nothing"):
        read(root)


def test_a_class_that_is_lost_does_not_make_its_neighbour_a_folder_of_classes(tmp_path: Path) -> None:
    root = write(tmp_path, many("cat/day", "cat/night"))
    (root / "dog").mkdir()
    (root / "dog" / "1.heic").write_bytes(contents("heic"))
    with pytest.raises(UserError, match="class 'dog' would keep 0 of its 1 files"):
        read(root)


def test_what_accompanies_images_is_no_loss(tmp_path: Path) -> None:
    root = write(tmp_path, [*many("a", "b"), *(f"a/{i}.{kind}" for i in range(2) for kind in ("txt", "json", "xml"))])
    for name in ("0.npy", "1.npy", "0.heic", "._0.png", "._1.png", "._2.png"):
        (root / "b" / name).write_bytes(bytes(range(64)))
    listing = read(root)
    assert listing.paths == many("a", "b")
    assert listing.ignored.total() == 12
