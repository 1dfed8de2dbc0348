"""Two folders of images, made by anything, scored without a project around them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.cli import main
from pipeline.evaluation import standalone
from pipeline.evaluation.standalone import _alike, _halved
from pipeline.metrics.embedded import Images
from pipeline.params import EvaluateParams
from pipeline.tables import read_csv

CLASSES = tuple(str(digit) for digit in range(10))


def lay(folder: Path, images: np.ndarray, labels: np.ndarray, size: int = 8, mode: str = "L") -> Path:
    """Writes uint8 (N, 1, H, W) as PNG files, one folder a class."""
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).resize((size, size), Image.Resampling.NEAREST).convert(mode).save(path)
    return folder


@pytest.fixture(scope="module")
def laid(digits: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Real digits three times, none twice: ``fake`` enlarged and in colour, with a tenth of copies from ``train``."""
    images, labels = digits
    root = tmp_path_factory.mktemp("folders")
    fake, fake_labels = images[1200:1600].copy(), labels[1200:1600].copy()
    fake[:40], fake_labels[:40] = images[600:640], labels[600:640]
    return {
        "real": lay(root / "real", images[:600], labels[:600]),
        "fake": lay(root / "fake", fake, fake_labels, size=16, mode="RGB"),
        "train": lay(root / "train", images[600:1200], labels[600:1200]),
    }


def run(*options: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, options)])


@pytest.fixture(scope="module")
def scored(laid: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], dict[str, Any]]:
    """The figures with and without ``--train``."""
    found = {}
    for with_train in (True, False):
        target = tmp_path_factory.mktemp("figures") / "new" / "figures.json"
        train = ["--train", laid["train"]] if with_train else []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(standalone, "EvaluateParams", lambda: EvaluateParams(embedder_steps=120, repeats=4))
            targets = ("--json", target, "--by-class", target.parent / "tables", "--page", target.parent / "page.html")
            result = run("--real", laid["real"], "--fake", laid["fake"], *train, *targets)
        assert result.exit_code == 0, result.output
        assert "coverage" in result.stdout
        found[with_train] = json.loads(target.read_text()) | {
            "per_class": read_csv(target.parent / "tables" / "per_class.csv")
        }
    return found.__getitem__


def test_unseen_real_digits_pass_for_real_and_planted_copies_are_counted(scored: Callable) -> None:
    quality = scored(True)
    assert quality["coverage"] > 0.9 * quality["floor"]["coverage"]["ci95"][0]
    assert 0.09 < quality["copies"]["pixel"]["share"] < 0.14
    assert quality["copies"]["exact_duplicates"] == 0  # enlarged and reduced again: as near, but not the same pixels
    assert quality["images"]["train"] == 600
    failed = [gate["figure"] for gate in quality["gates"] if not gate["passed"]]
    assert failed == ["copies"]


def test_without_train_nothing_is_said_of_copies_and_the_notes_say_what_taught_the_embedder(scored: Callable) -> None:
    quality = scored(False)
    assert quality["copies"] is None
    assert not any(name.startswith("copy_share") for name in quality["floor"])
    notes = " ".join(quality["notes"])
    assert "half of each class of --real" in notes
    assert "No copy check" in notes
    assert "8x8 pixels, grey" in notes
    assert quality["images"]["held_out"] <= 305
    assert quality["embedder_accuracy"] > 0.8  # the halves are apart, and it learnt from one of them


def test_the_structure_is_the_same_with_and_without_train(scored: Callable) -> None:
    with_train, without = scored(True), scored(False)
    assert {name for name in with_train if not name.startswith("copy_share")} == set(without)
    assert [row["class"] for row in without["per_class"]] == list(CLASSES)
    assert set(with_train["per_class"][0]) == set(without["per_class"][0])


def test_real_images_that_are_training_images_too_are_told(
    laid: dict[str, Path], digits: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standalone, "EvaluateParams", lambda: EvaluateParams(embedder_steps=5, repeats=2))
    images, labels = (part[:150] for part in digits)
    folders = [lay(tmp_path / name, images[:stop], labels[:stop]) for name, stop in (("real", 150), ("train", 100))]
    quality = standalone.score_folders(folders[0], folders[0], folders[1])
    assert any("100 images of --real are also in --train" in note for note in quality["notes"])
    assert quality["copies"]["exact_duplicates"] == 100


def test_copies_that_are_mirrored_are_found_when_asked_for(
    digits: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standalone, "EvaluateParams", lambda: EvaluateParams(embedder_steps=5, repeats=2))
    images, labels = (part[:300] for part in digits)
    folders = [
        lay(tmp_path / name, shown, labels[rows])
        for name, rows in (("real", slice(0, 150)), ("fake", slice(150, None)), ("train", slice(150, None)))
        for shown in [images[rows][..., ::-1] if name == "fake" else images[rows]]
    ]
    plainly, mirrored = (standalone.score_folders(*folders, mirror) for mirror in ("none", "horizontal"))
    assert plainly["copies"]["exact_duplicates"] < 5
    assert mirrored["copies"]["exact_duplicates"] == mirrored["images"]["synthetic"] > 100
    assert any("mirror images" in note for note in mirrored["notes"])


def test_bad_folders_are_one_clear_error(laid: dict[str, Path], digits: tuple, tmp_path: Path) -> None:
    images, labels = digits
    few = lay(tmp_path / "few", *(part[np.unique(labels, return_index=True)[1]] for part in digits))
    nine = lay(tmp_path / "nine", images[labels < 9][:200], labels[labels < 9][:200])
    split = lay(tmp_path / "split" / "test", images[:40], labels[:40]).parent
    broken = lay(tmp_path / "broken", images[:200], labels[:200])
    (broken / "3" / "text.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    for options, said in (
        (["--real", laid["real"], "--fake", nine], "no images of class '9', of which --real"),
        (["--real", nine, "--fake", laid["fake"]], "no images of class '9', of which --fake"),
        (["--real", laid["real"], "--fake", laid["fake"], "--train", nine], "--train"),
        (["--real", tmp_path / "empty", "--fake", nine], "no image in a class folder"),
        (["--real", broken, "--fake", laid["fake"]], "3/text.png: not an image"),
        (["--real", split, "--fake", laid["fake"]], "holds a folder a split"),
        (["--real", few, "--fake", laid["fake"]], "single image"),
        (["--real", few, "--fake", laid["fake"], "--mirror", "horizontal"], "give that too"),
        (["--real", few, "--fake", laid["fake"], "--train", laid["train"]], "too few for 5 neighbours"),
    ):
        result = run(*options)
        assert result.exit_code == 2, result.output
        assert said in result.stderr
        assert "Traceback" not in result.stderr


def test_half_the_options_are_refused_as_such(laid: dict[str, Path], tmp_path: Path) -> None:
    assert "both --real and --fake" in run("--real", laid["real"]).stderr
    assert "both --real and --fake" in run("--json", tmp_path / "a.json").stderr
    missing = run("--real", laid["real"], "--fake", tmp_path / "nowhere")
    assert missing.exit_code == 2
    assert "does not exist" in missing.stderr


def labelled(counts: list[int]) -> Images:
    """Images that carry their row as their only pixel."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    return Images(np.arange(len(labels))[:, None, None, None], labels)


def counts(images: Images, classes: int) -> np.ndarray:
    return np.bincount(images.labels, minlength=classes)


@given(st.lists(st.integers(2, 60), min_size=2, max_size=6), st.data())
def test_both_sides_are_thinned_to_common_proportions(real: list[int], data: st.DataObject) -> None:
    fake = data.draw(st.lists(st.integers(1, 60), min_size=len(real), max_size=len(real)))
    sides = labelled(real), labelled(fake)
    parts = _alike(*sides, len(real), [])
    for part, side in zip(parts, sides, strict=True):
        rows = part.images.ravel()
        assert len(np.unique(rows)) == len(rows)
        assert (side.labels[rows] == part.labels).all()
    one, two = (counts(part, len(real)) for part in parts)
    assert one.min() > 0 and two.min() > 0
    shares = one / one.sum() - two / two.sum()
    assert np.abs(shares).max() <= 1 / one.sum() + 1 / two.sum() + len(real) / min(one.sum(), two.sum())


def test_equal_proportions_lose_no_image_and_a_rare_class_costs_the_fewest() -> None:
    notes: list[str] = []
    assert [len(part.labels) for part in _alike(labelled([10, 20]), labelled([30, 60]), 2, notes)] == [30, 90]
    assert notes == []
    real, fake = _alike(labelled([100, 50]), labelled([4, 1106]), 2, notes)
    assert counts(fake, 2).tolist() == [4, 370]  # 4/1110 against 50/150 of the classes, by the smaller shares
    assert counts(real, 2).tolist() == [1, 50]
    assert "51 of 150 real and 374 of 1,110 synthetic" in notes[0]


def test_more_images_than_are_compared_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standalone, "MOST", 30)
    real, fake = _alike(labelled([40, 40]), labelled([10, 10]), 2, [])
    assert counts(real, 2).tolist() == [15, 15]
    assert counts(fake, 2).tolist() == [10, 10]


def test_the_halves_share_no_image_and_hold_half_of_each_class() -> None:
    whole = labelled([7, 2, 10])
    first, second = _halved(whole, ("a", "b", "c"))
    assert counts(first, 3).tolist() == [3, 1, 5]
    assert counts(second, 3).tolist() == [4, 1, 5]
    assert sorted([*first.images.ravel(), *second.images.ravel()]) == list(range(19))
