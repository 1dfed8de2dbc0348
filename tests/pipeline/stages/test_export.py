"""The export stage on a real generator (untrained: what it draws does not matter here) and a small store."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder

from gan.checkpoint import load_generator
from gan.sampler import BLOCK, Sampler
from gan.seeds import derive, stream
from pipeline.binding import quality_sources, write_figures
from pipeline.errors import UserError
from pipeline.export import making
from pipeline.export.plan import wanted
from pipeline.export.verify import verify
from pipeline.formats import open_reader
from pipeline.formats.encoding import decode
from pipeline.formats.manifest import read_about
from pipeline.formats.names import class_name
from pipeline.params import WorkersParams, load_params
from pipeline.provenance import Mark, read_mark
from pipeline.stages.export import dry_run, run
from pipeline.workspace import Workspace
from tests.pipeline.export_project import CLASSES, contents, make, make_models, make_store, params, rows
from tests.pipeline.test_provenance import commit_all, git


@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        ("max", [0, 60, 109]),
        (100, [0, 50, 99]),
        (1, [0, 0, 0]),
        (1000, [890, 950, 999]),
        (2.0, [220, 100, 2]),
        (0.5, [55, 25, 1]),  # half of one is rounded up
        (0.1, [11, 5, 0]),
    ],
)
def test_plan_by_hand(balance: str | int | float, expected: list[int]) -> None:
    assert wanted([110, 50, 1], [balance] * 3) == expected


@given(st.lists(st.integers(0, 10_000), min_size=1), st.integers(1, 20_000))
def test_plan_never_takes_away_and_reaches_its_number(counts: list[int], number: int) -> None:
    for target, balance in ((max(counts), "max"), (number, number)):
        made = wanted(counts, [balance] * len(counts))
        assert all(want >= 0 for want in made)
        assert [count + want for count, want in zip(counts, made, strict=True)] == [max(c, target) for c in counts]


def test_torchvision_reads_the_set_and_the_manifest_describes_it(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    run(params(balance=7), workspace)
    read = ImageFolder(str(workspace.synthetic / "images"))
    assert tuple(class_name(folder) for folder in read.classes) == CLASSES
    assert [read.targets.count(label) for label in range(3)] == [2, 4, 5]
    card = json.loads((workspace.models / "generator.json").read_text())
    assert [(row["label"], row["index"]) for row in rows(workspace)] == [
        (name, index) for name, count in zip(CLASSES, (2, 4, 5), strict=True) for index in range(count)
    ]
    for row in rows(workspace):
        path = workspace.synthetic / row["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        assert class_name(path.parent.name) == row["label"] == CLASSES[row["label_index"]]
        assert row["synthetic"]
        assert row["generator"] == card["sha256"]
        assert read_mark(path) == Mark(row["generator"], row["label"], row["index"], row["seed"])
    assert {str(path) for path, _ in read.samples} == {
        str(workspace.synthetic / row["file"]) for row in rows(workspace)
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_can_be_made_again_from_its_row(tmp_path: Path, channels: int) -> None:
    workspace = make(tmp_path, channels)
    run(params(balance=80), workspace)  # more than one block of the sampler
    generator, _ = load_generator(workspace.models)
    written = rows(workspace)
    assert {row["seed"] for row in written} == {derive(3, "export.latent")}
    for row in written[::9]:
        image = Sampler(generator, row["seed"]).draw(row["label_index"], row["index"], 1).numpy()[0]
        with Image.open(workspace.synthetic / row["file"]) as file:
            pixels = np.asarray(file).reshape(8, 8, channels).transpose(2, 0, 1)
        np.testing.assert_array_equal(pixels, image)


def test_a_truncated_set_says_so_and_is_made_again(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    run(params(balance=20, truncation=0.5), workspace)
    assert verify(workspace.synthetic, None, workspace.models).problems == []
    assert read_about(workspace.synthetic / "manifest.parquet").truncation == 0.5
    generator, _ = load_generator(workspace.models)
    row = rows(workspace)[0]
    path = workspace.synthetic / row["file"]
    assert read_mark(path) == Mark(row["generator"], row["label"], row["index"], row["seed"], 0.5)
    z = torch.randn(BLOCK, generator.shape.latent_dim, generator=stream(row["seed"], "latent", row["label_index"], 0))
    labels = torch.full((BLOCK,), row["label_index"])
    near, far = (generator(psi * z, labels)[row["index"]] for psi in (0.5, 1.0))
    with Image.open(path) as file:
        pixels = np.asarray(file).transpose(2, 0, 1) / 127.5 - 1
    assert np.abs(pixels - near.numpy()).max() < 0.01 < np.abs(pixels - far.numpy()).max()


def test_a_second_run_gives_the_same_bytes_and_a_larger_one_the_same_first_images(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    run(params(balance=100), workspace)
    first = contents(workspace.synthetic)
    run(params(balance=100), workspace)
    assert contents(workspace.synthetic) == first
    run(params(balance=150), workspace)
    larger = contents(workspace.synthetic)
    images = {name: content for name, content in first.items() if name.endswith(".png")}
    assert len(images) == 290
    assert images.items() <= larger.items()


def test_max_leaves_the_largest_class_an_empty_folder_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = make(tmp_path)
    run(params(), workspace)
    assert [row["label"] for row in rows(workspace)] == ["cup"] * 2 + ["tail"] * 3
    said = capsys.readouterr().err
    assert "no image in the folder of class 'a/b'" in said
    assert "allow_empty=True" in said
    read = ImageFolder(str(workspace.synthetic / "images"), allow_empty=True)
    assert read.targets == [1] * 2 + [2] * 3  # the labels do not shift


def test_a_set_of_no_image_is_legal_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = make(tmp_path)
    run(params(balance=1), workspace)
    assert rows(workspace) == []
    assert "no synthetic image to make" in capsys.readouterr().err


@pytest.mark.parametrize("said", ["train", True])
def test_real_images_of_the_train_split_come_along_unmarked(tmp_path: Path, said: str | bool) -> None:
    workspace = make(tmp_path, channels=1)
    run(params(include_real=said), workspace)
    images, labels = np.load(workspace.store / "images.npy"), np.load(workspace.store / "labels.npy")
    real = [row for row in rows(workspace) if not row["synthetic"]]
    assert sorted(row["index"] for row in real) == list(range(10))  # the train split alone, each image once
    for row in real:
        path = workspace.synthetic / row["file"]
        assert row["seed"] is None
        assert row["generator"] is None
        assert read_mark(path) is None
        assert row["label_index"] == labels[row["index"]]
        with Image.open(path) as file:
            np.testing.assert_array_equal(np.asarray(file), images[row["index"], 0])
    read = ImageFolder(str(workspace.synthetic / "images"))
    assert [read.targets.count(label) for label in range(3)] == [5, 5, 5]


def test_real_images_of_all_splits_lie_in_split_folders(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    run(params(include_real="all"), workspace)
    images, starts = np.load(workspace.store / "images.npy"), {"train": 0, "val": 10, "test": 11}
    counts = {name: len(ImageFolder(workspace.synthetic / "images" / name, allow_empty=True)) for name in starts}
    assert counts == {"train": 15, "val": 1, "test": 3}
    for row in rows(workspace):
        assert row["file"].startswith(f"images/{row['split']}/")
        if not row["synthetic"]:
            pixels = decode((workspace.synthetic / row["file"]).read_bytes(), 3)
            np.testing.assert_array_equal(pixels, images[starts[row["split"]] + row["index"]])


def test_single_classes_may_have_a_balance_of_their_own(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    run(params(classes={"a/b": 2.0, "tail": 0}), workspace)
    figures = json.loads(workspace.metrics("export").read_text())
    assert [(each["class"], each["accepted"]) for each in figures["classes"]] == [("a/b", 10), ("cup", 2), ("tail", 0)]
    assert figures["images"] == len(rows(workspace)) == 12


def test_an_unknown_class_is_named_with_its_line_and_the_nearest_one(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    workspace.params.write_text("seed: 3\nexport:\n  classes:\n    cup: 5\n    tial: 2.0\n")
    with pytest.raises(UserError, match=r"params\.yaml:5: export\.classes\.tial: .*did you mean `tail`"):
        run(load_params(workspace.params), workspace)


@pytest.mark.parametrize("low", [None, -1000])
def test_a_set_says_by_which_range_its_real_images_became_grey(tmp_path: Path, low: int | None) -> None:
    """The store says it (``data.grey_range``); of images of 8 bits nothing is said, and ``verify`` takes both."""
    workspace = make(tmp_path)
    summary = json.loads((workspace.store / "summary.json").read_text(encoding="utf-8"))
    summary["ingest"] = {} if low is None else {"grey_range": {"low": low, "high": 3095}}
    (workspace.store / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    run(params(balance=3), workspace)
    assert read_about(workspace.synthetic / "manifest.parquet").grey_range == (None if low is None else (low, 3095))
    assert verify(workspace.synthetic, None, workspace.models).problems == []


def test_the_first_images_are_the_same_in_every_format(tmp_path: Path) -> None:
    pixels: dict[str, dict[str, bytes]] = {}
    for kind, number in (("imagefolder", 60), ("webdataset", 80), ("parquet", 100)):
        workspace = make(tmp_path / kind)
        run(params(balance=number, format=kind, shard_images=33), workspace)
        reader = open_reader(workspace.synthetic, read_about(workspace.synthetic / "manifest.parquet"))
        pixels[kind] = {image.name: decode(image.data, 3).tobytes() for image in reader}
        assert pixels[kind].keys() == {row["name"] for row in rows(workspace)}
    assert len(pixels["imagefolder"]) == 170
    assert pixels["imagefolder"].items() <= pixels["webdataset"].items() <= pixels["parquet"].items()


@pytest.mark.parametrize("kind", ["imagefolder", "parquet"])
def test_the_set_does_not_depend_on_the_cores(tmp_path: Path, kind: str) -> None:
    sets = []
    for cores in (1, 5):
        workspace = make(tmp_path / str(cores))
        chosen = params(balance=120, format=kind, shard_images=50, filters={"critic": 0.5}, include_real="train")
        run(chosen.model_copy(update={"workers": WorkersParams(count=cores)}), workspace)
        sets.append(contents(workspace.synthetic))
    assert sets[0] == sets[1]


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = make(tmp_path)
    before = contents(tmp_path)
    dry_run(params(balance=100, filters={"critic": 0.5}), workspace)
    assert contents(tmp_path) == before
    said = capsys.readouterr()
    assert "290" in said.err  # synthetic images of all classes
    assert "MB" in said.out
    assert "the filters keep" in said.out


def test_a_failed_gate_stops_the_export_unless_it_is_forced(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    workspace.metrics("quality").parent.mkdir()
    failed = {"figure": "coverage", "gate": ">= 0.6", "value": 0.1, "limit": 0.6, "passed": False}
    sources = quality_sources(params(), workspace)
    write_figures(workspace.metrics("quality"), {"gates": [failed], "floor": {}}, sources)
    with pytest.raises(UserError, match="coverage"):
        run(params(), workspace)
    assert not workspace.synthetic.exists()
    run(params(force=True), workspace)
    figures = json.loads(workspace.metrics("export").read_text())
    assert (figures["forced"], figures["overridden"]) == (True, ["coverage"])
    assert read_about(workspace.synthetic / "manifest.parquet").overridden == ("coverage",)


def test_a_generator_of_another_set_is_refused(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    make_models(workspace.models, channels=1)
    with pytest.raises(UserError, match=r"8x8 grey images .* holds 8x8 colour images"):
        run(params(), workspace)
    make_models(workspace.models, channels=3, classes=("cup", "a/b", "tail"))
    with pytest.raises(UserError, match="'cup', 'a/b', 'tail'"):
        run(params(), workspace)


def test_a_missing_generator_is_a_clear_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    make_store(workspace.store, 3)
    with pytest.raises(UserError, match="dvc repro train"):
        run(params(), workspace)


SCRIPT = """
import resource, sys
from pathlib import Path
from pipeline.errors import UserError
from pipeline.export import making
from pipeline.stages import export as stage
from pipeline.workspace import Workspace
from tests.pipeline.test_provenance import commit_all, git
from tests.pipeline.export_project import params
making.PART = 32
if sys.argv[2] != "all":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    stage.run(params(balance=int(sys.argv[3])), Workspace(Path(sys.argv[1])))
except UserError as error:
    sys.exit(str(error))
"""


def start(workspace: Workspace, largest: str, balance: int) -> subprocess.Popen[str]:
    """An export in a process of its own, which can write no file of more than ``largest`` bytes."""
    command = [sys.executable, "-c", SCRIPT, str(workspace.root), largest, str(balance)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_disk_that_takes_no_more_leaves_the_old_set_whole(tmp_path: Path) -> None:
    workspace = make(tmp_path)
    run(params(), workspace)
    before = contents(workspace.synthetic)
    process = start(workspace, "2000", 40)
    _, said = process.communicate()
    assert process.returncode == 1
    assert "File too large" in said
    assert "What was there before is untouched" in said
    assert contents(workspace.synthetic) == before


def test_a_killed_export_goes_on_and_ends_in_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "PART", 32)
    workspace, undisturbed = make(tmp_path / "killed"), make(tmp_path / "undisturbed")
    process = start(workspace, "all", 300)
    deadline = time.monotonic() + 120
    while not list(workspace.scratch.glob("export/*/parts/00000000.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not workspace.synthetic.exists()
    images = list(workspace.scratch.rglob("*.png"))
    assert 32 <= len(images) < 800
    first = next(path for path in images if path.name == "synthetic-0-000000.png")
    stamp = first.stat().st_mtime_ns
    run(params(balance=300), workspace)
    run(params(balance=300), undisturbed)
    assert contents(workspace.synthetic) == contents(undisturbed.synthetic)
    assert (workspace.synthetic / "images" / "a%2Fb" / first.name).stat().st_mtime_ns == stamp
    assert not (workspace.scratch / "export").exists()


@pytest.mark.parametrize("format", ["imagefolder", "webdataset"])
def test_an_end_after_the_set_was_moved_and_before_it_was_in_place_loses_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    workspace, undisturbed = make(tmp_path / "killed"), make(tmp_path / "undisturbed")
    move = shutil.move

    def move_and_end(*given: Path) -> None:
        move(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "move", move_and_end)
    with pytest.raises(KeyboardInterrupt):
        run(params(balance=20, format=format), workspace)
    monkeypatch.undo()
    for each in (workspace, undisturbed):
        run(params(balance=20, format=format), each)
    assert contents(workspace.synthetic) == contents(undisturbed.synthetic)
    assert len(rows(workspace)) == 50


def test_a_class_name_that_no_folder_can_have_is_refused_before_drawing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    classes = ("a\nb", "cup", "tail")
    make_store(workspace.store, 3, classes)
    make_models(workspace.models, 3, classes)
    with pytest.raises(UserError, match="rename the class"):
        run(params(), workspace)
    assert not workspace.synthetic.exists()


def test_a_shallow_clone_makes_the_same_bytes_and_says_that_it_knows_no_revision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = make(tmp_path / "whole")
    (whole.root / ".gitignore").write_text("*\n!/params.yaml\n!/dvc.lock\n!/.gitignore\n")
    git(whole.root, "init", "-q")
    for name in ("params.yaml", "dvc.lock"):  # an input, then a result
        (whole.root / name).write_text("1\n")
        commit_all(whole.root)
    commit = git(whole.root, "rev-parse", "HEAD^")
    git(tmp_path, "clone", "-q", "--depth=1", whole.root.as_uri(), "clone")
    clone = Workspace(tmp_path / "clone")
    for part in ("data", "models"):
        shutil.copytree(whole.root / part, clone.root / part)
    made = []
    for workspace, revision in ((whole, commit), (clone, "unknown (shallow clone)")):
        run(params(), workspace)
        assert f"Git revision {revision}\n" in capsys.readouterr().err
        made.append((contents(workspace.synthetic), workspace.metrics("export").read_bytes()))
        (workspace.root / "params.yaml").write_text("2\n")
        run(params(), workspace)  # in a tree that differs from the commit
        made.append((contents(workspace.synthetic), workspace.metrics("export").read_bytes()))
    assert made[1:] == made[:-1]
