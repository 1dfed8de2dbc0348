import csv
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from gan.checkpoint import save_network
from gan.networks import Shape, build
from pipeline.errors import UserError
from pipeline.params import EvaluateParams, Params
from pipeline.stages import evaluate
from pipeline.store import Store
from pipeline.tables import read_csv
from pipeline.workspace import Workspace

CLASSES = [str(digit) for digit in range(10)]
TABLES = ("per_class", "intensity", "confusions", "spectrum", "confusion")
PARAMS = Params(evaluate=EvaluateParams(samples=120, repeats=2, embedder_steps=20))


def save_generator(workspace: Workspace, classes: list[str] = CLASSES, **card: str) -> None:
    """An untrained generator: the stage asks no more of it than that it draws."""
    torch.manual_seed(0)
    shape = Shape(image_size=8, channels=1, classes=len(classes), latent_dim=4, width=4)
    network = build("resnet", "generator", shape)
    save_network(workspace.models, "generator", network, {"family": "resnet", "classes": classes, **card})


def outputs(workspace: Workspace) -> dict[str, str]:
    files = [workspace.metrics("quality"), *sorted(workspace.plots("evaluate").iterdir())]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture
def workspace(digits_workspace: Workspace) -> Workspace:
    save_generator(digits_workspace)
    return digits_workspace


def test_the_outputs_are_whole_and_byte_identical_on_a_second_run(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.run(PARAMS, workspace)
    first = outputs(workspace)
    pictures = {f"{name}.png" for name in ("grid", "nearest", "extremes", "interpolation", "confusion", "spectrum")}
    assert set(first) == {"quality.json", *(f"{name}.csv" for name in TABLES), *pictures}
    quality = json.loads(workspace.metrics("quality").read_text())
    assert quality["images"] == {"synthetic": 120, "held_out": 899, "compared": 120, "train": 898}
    assert quality["embedder"].startswith("domain:")
    assert set(quality["copies"]) == {"pixel", "feature", "exact_duplicates"}
    assert quality["coverage"] < quality["floor"]["coverage"]["ci95"][0]
    assert "coverage" in quality["below_floor"]
    for name in pictures:
        assert min(Image.open(workspace.plots("evaluate") / name).size) > 200
    assert not (workspace.scratch / "evaluate").exists()
    assert "worst class" in capsys.readouterr().out
    evaluate.run(PARAMS, workspace)
    assert outputs(workspace) == first


@pytest.fixture(scope="module")
def done(digits_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace after the stage; read it, do not write to it."""
    workspace = Workspace(tmp_path_factory.mktemp("done"))
    shutil.copytree(digits_store.folder, workspace.store)
    save_generator(workspace)
    evaluate.run(PARAMS, workspace)
    return workspace


def test_the_copy_check_knows_how_the_generator_was_trained(done: Workspace, tmp_path: Path) -> None:
    """By its card: `none` stands in none, so that nothing changes for generators of before."""
    workspace = Workspace(tmp_path)
    shutil.copytree(done.store, workspace.store)
    save_generator(workspace, mirror="horizontal")
    evaluate.run(PARAMS, workspace)
    plain, mirrored = (json.loads(one.metrics("quality").read_text()) for one in (done, workspace))
    assert any("train.mirror" in note for note in mirrored["notes"])
    assert not any("train.mirror" in note for note in plain["notes"])
    assert mirrored["copies"]["pixel"]["threshold"] <= plain["copies"]["pixel"]["threshold"]


def test_synthetic_images_have_the_class_proportions_of_the_held_out_ones(done: Workspace) -> None:
    for row in read_csv(done.plots("evaluate") / "per_class.csv"):
        assert row["n"] == pytest.approx(120 * row["n_real"] / 899, abs=1)


def test_the_tables_for_dvc_say_what_the_figures_say(done: Workspace) -> None:
    quality = json.loads(done.metrics("quality").read_text())
    tables = {}
    for name in TABLES:
        with (done.plots("evaluate") / f"{name}.csv").open() as file:
            tables[name] = list(csv.DictReader(file))
    assert [row["class"] for row in tables["per_class"]] == CLASSES
    assert [float(row["synthetic"]) for row in tables["spectrum"]] == quality["bias"]["spectrum"]["synthetic"]
    counted = Counter((int(row["asked"]), int(row["seen"])) for row in tables["confusion"])
    pairs = {(int(row["asked"]), int(row["seen"])): int(row["synthetic"]) for row in tables["confusions"]}
    assert counted == {pair: count for pair, count in pairs.items() if count}
    assert sum(int(row["real"]) for row in tables["confusions"]) == quality["images"]["held_out"]
    assert [(row["class"], row["tone"]) for row in tables["intensity"]][:2] == [("0", "mean"), ("0", "contrast")]
    assert len(tables["intensity"]) == 2 * len(CLASSES)


def test_a_gate_that_fails_is_written_and_said_and_the_stage_goes_on(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    gates = {"coverage": ">= 0.99", "copies": "<= 1"}
    evaluate.run(Params(evaluate=PARAMS.evaluate.model_copy(update={"gates": gates})), workspace)
    judged = json.loads(workspace.metrics("quality").read_text())["gates"]
    assert [(gate["figure"], gate["passed"]) for gate in judged] == [("coverage", False), ("copies", True)]
    shown = capsys.readouterr()
    assert "gates: 1 of 2 passed" in shown.out
    assert "the gate is >= 0.99" in shown.out
    assert "export will stop" in shown.err


def test_a_failure_leaves_the_last_good_outputs(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate.run(PARAMS, workspace)
    before = outputs(workspace)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(evaluate, "write_plots", fail)
    with pytest.raises(OSError, match="disk full"):
        evaluate.run(PARAMS.model_copy(update={"seed": 1}), workspace)
    assert outputs(workspace) == before
    assert not (workspace.scratch / "evaluate").exists()


def test_no_generator_is_said_with_the_remedy(digits_workspace: Workspace) -> None:
    with pytest.raises(UserError, match="dvc repro train"):
        evaluate.run(PARAMS, digits_workspace)


def test_no_store_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro ingest"):
        evaluate.run(PARAMS, Workspace(tmp_path))


def test_a_generator_of_other_classes_is_refused(digits_workspace: Workspace) -> None:
    save_generator(digits_workspace, CLASSES[:9])
    with pytest.raises(UserError, match="other classes"):
        evaluate.run(PARAMS, digits_workspace)


def test_too_few_held_out_images_are_refused(workspace: Workspace) -> None:
    path = workspace.store / "summary.json"
    summary = json.loads(path.read_text())
    summary["splits"] = {"train": [0, 1786], "val": [1786, 1790], "test": [1790, 1797]}
    del summary["counts"]
    path.write_text(json.dumps(summary))
    with pytest.raises(UserError, match=r"11 images.*evaluate\.neighbours"):
        evaluate.run(PARAMS, workspace)


def test_many_held_out_images_are_thinned_in_their_proportions(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "MOST", 250)
    evaluate.run(PARAMS, workspace)
    quality = json.loads(workspace.metrics("quality").read_text())
    assert quality["images"]["held_out"] == 250
    assert all(20 <= row["n_real"] <= 30 for row in read_csv(workspace.plots("evaluate") / "per_class.csv"))
