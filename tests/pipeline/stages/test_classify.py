import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import roc_curve

from gan.seeds import stream
from pipeline.binding import write_figures
from pipeline.classifier.batches import copies
from pipeline.classifier.training import Recipe
from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.experiment.arms import REAL, Arm, without_synthetic
from pipeline.experiment.pool import Pool, save
from pipeline.experiment.runner import Runner
from pipeline.experiment.search import trials
from pipeline.experiment.trial import Cell, TrialSetup, train_stack
from pipeline.formats.manifest import ABOUT
from pipeline.params import ClassifyParams, Params
from pipeline.prediction.predict import predict
from pipeline.progress import Progress
from pipeline.stages import classify
from pipeline.store import Store
from pipeline.workspace import Workspace
from tests.pipeline.made_set import made_about

Digits = tuple[np.ndarray, np.ndarray]
SHORT = {"seeds": 5, "draws": 1, "doses": (0.5, 1.0, 2.0), "tuning": ((2e-2, 5e-2),), "tuning_seeds": 1, "force": True}
QUICK = Params(classify=ClassifyParams(**SHORT, steps=40, batch_size=32, width=8, bootstrap=500))  # type: ignore[arg-type]
TINY = Params(classify=ClassifyParams(**SHORT, steps=4, batch_size=8, width=4, bootstrap=200))  # type: ignore[arg-type]
TAIL = np.round(60 * (4 / 60) ** (np.arange(10) / 9)).astype(int)


def _export(folder: Path, images: np.ndarray, labels: np.ndarray, synthetic: Iterable[bool] | None = None) -> None:
    """An exported set as far as ``classify`` reads it."""
    files = [f"images/{label}/{row:05d}.png" for row, label in enumerate(labels)]
    for file, image in zip(files, images, strict=True):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(folder / file)
    folder.mkdir(exist_ok=True)
    flags = pa.array(list(synthetic) if synthetic is not None else [True] * len(files), pa.bool_())
    names = pa.array([str(label) for label in labels], pa.string())
    stems = pa.array([Path(file).stem for file in files], pa.string())
    index = pa.array([int((labels[:row] == label).sum()) for row, label in enumerate(labels)], pa.int64())
    origin = {"seed": pa.array([0] * len(files), pa.int64()), "generator": pa.array(["x"] * len(files), pa.string())}
    columns = {"file": pa.array(files, pa.string()), "name": stems, "label": names, "synthetic": flags, "index": index}
    table = pa.table(columns | origin).replace_schema_metadata({ABOUT: made_about(Params()).dump()})
    pq.write_table(table, folder / "manifest.parquet")


@pytest.fixture
def tail(digits: Digits, tmp_path: Path) -> tuple[Workspace, Digits, Digits]:
    """A workspace with a long tail of train images, these images, and as many held-back ones as fill its classes."""
    images, labels = digits
    train = np.concatenate([np.flatnonzero(labels[:900] == c)[: TAIL[c]] for c in range(10)])
    spare = np.concatenate([np.flatnonzero(labels[:900] == c)[TAIL[c] : TAIL[0]] for c in range(10)])
    rows = np.concatenate([train, np.arange(900, 1797)])
    workspace = Workspace(tmp_path)
    workspace.store.mkdir(parents=True)
    np.save(workspace.store / "images.npy", images[rows])
    np.save(workspace.store / "labels.npy", labels[rows])
    first, second = len(train), len(train) + 400
    splits = {"train": [0, first], "val": [first, second], "test": [second, len(rows)]}
    summary = {"classes": [str(c) for c in range(10)], "channels": 1, "image_size": 8, "splits": splits}
    (workspace.store / "summary.json").write_text(json.dumps(summary))
    return workspace, (images[train], labels[train]), (images[spare], labels[spare])


def _outputs(workspace: Workspace) -> dict[str, bytes]:
    files = [workspace.metrics("utility"), *sorted(workspace.plots("classify").iterdir())]
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the start of a pool, which costs more than the work of a test."""
    monkeypatch.setattr("pipeline.experiment.runner.usable_cores", lambda: 1)


def _held_out_fewer(workspace: Workspace) -> None:
    """100 validation and 100 test images, where figures do not matter."""
    file = workspace.store / "summary.json"
    summary = json.loads(file.read_text())
    start = summary["splits"]["val"][0]
    splits = summary["splits"] | {"val": [start, start + 100], "test": [start + 100, start + 200]}
    for name in ("images", "labels"):
        array = np.load(workspace.store / f"{name}.npy")
        np.save(workspace.store / f"{name}.npy", array[: start + 200])
    file.write_text(json.dumps(summary | {"splits": splits}))


@pytest.mark.usefixtures("one_process")
def test_real_images_held_back_help(tail: tuple[Workspace, Digits, Digits], capsys: pytest.CaptureFixture[str]) -> None:
    workspace, _, spare = tail
    _export(workspace.synthetic, *spare)
    classify.run(QUICK, workspace)
    utility = json.loads(workspace.metrics("utility").read_text())
    assert utility["verdict"] == "HELPS"
    assert utility["delta"] > 0.01
    assert utility["ci95"][0] > 0
    assert set(utility["arms"]) == {*without_synthetic(), "synthetic"}
    assert all(len(arm["seeds"]) == 5 and arm["optimizer_steps"] == 40 for arm in utility["arms"].values())
    assert utility["arms"]["control"]["images_seen"] == utility["arms"]["synthetic"]["images_seen"]
    best = max(without_synthetic(), key=lambda name: utility["arms"][name]["validation"])
    assert utility["baseline"] == best
    gap = utility["arms"]["synthetic"]["balanced_accuracy"] - utility["arms"][best]["balanced_accuracy"]
    assert utility["delta"] == pytest.approx(gap, abs=2e-6)
    assert 0 < utility["smallest_effect"] < 0.1
    assert len(utility["candidates"]) == 3 + 6 + 2 + 3 + 1 + 3 + 3
    assert [row["dose"] for row in utility["doses"]] == [0, 0.5, 1.0]
    assert utility["dose"] == max(utility["doses"][1:], key=lambda row: row["validation"])["dose"]
    assert utility["train_real_test_synthetic"]["balanced_accuracy"] > 0.6  # these are real ones
    ninth = utility["per_class"][9]
    assert ninth["train"] == 4
    low, high = ninth["recall_ci95"]["synthetic"]
    assert low <= ninth["recall"]["synthetic"] <= high
    said = " ".join(utility["warnings"])
    assert "fewer than 20 train images" in said and "used all the same" in said
    assert "doses left out, as there is no generator in models/ to draw more: 2" in said
    assert "trained on synthetic images alone, as there are not enough of '0', and" in said
    assert utility["arms"]["oversampling"]["tau"] is None and utility["arms"]["real"]["tau"] in (0, 0.5, 1, 1.5)
    flips = {row["flips"] for row in utility["candidates"] if row["arm"] == "classical"}
    assert flips == {"none", "horizontal", "dihedral"} and utility["arms"]["classical"]["flips"] == "none"
    assert set(_outputs(workspace)) == {"utility.json", "arms.csv", "arms.png", "per_class.csv", "dose.csv", "dose.png"}
    assert not (workspace.scratch / "classify").exists()
    shown = capsys.readouterr().out
    assert "HELPS" in shown
    assert "control" in shown
    assert f"HELPS: {utility['recommended']['sentence']} The synthetic images help" in " ".join(shown.split())
    _check_recommended(utility)
    _check_classifier(workspace, utility)
    assert classify.current(QUICK, workspace) == utility
    changed = QUICK.model_copy(update={"classify": QUICK.classify.model_copy(update={"min_effect": 0.01})})
    assert classify.current(changed, workspace) is None


def _check_recommended(utility: dict[str, Any]) -> None:
    """Against the table of arms, and recalls by class."""
    found, arms = utility["recommended"], utility["arms"]
    assert found["arm"] == "synthetic"  # as the verdict is HELPS
    gain = arms["synthetic"]["balanced_accuracy"] - found["plain"]
    adjusted = arms["real"]["tau"]  # plain training is told as it comes, without that
    assert adjusted or found["plain"] == arms["real"]["balanced_accuracy"]
    assert found["gain"] == pytest.approx(gain, abs=2e-6)
    assert 0 < found["gain_ci95"][0] < gain < found["gain_ci95"][1]
    assert found["sentence"].startswith("Use ") and f"{gain * 100:+.1f} points over plain" in found["sentence"]
    rows = sorted(utility["per_class"], key=lambda row: row["train"])[:3]
    assert [row["class"] for row in found["rarest"]] == [row["class"] for row in rows]
    for told, row in zip(found["rarest"], rows, strict=True):
        assert told["recall"] == row["recall"]["synthetic"]
        assert adjusted or told["recall_plain"] == row["recall"]["real"]
        assert told["recall_plain_ci95"][0] <= told["recall_plain"] <= told["recall_plain_ci95"][1]
        assert f"'{row['class']}' ({row['train']} train images)" in found["sentence"]


def _check_classifier(workspace: Workspace, utility: dict[str, Any]) -> None:
    """It is the best seed's: asked about files of the test images, it is right as often as in its trial."""
    best = max(utility["arms"]["synthetic"]["seeds"], key=lambda row: row["validation"])
    test = Store.open(workspace.store).split("test")
    for row, image in enumerate(test.images):
        file = workspace.root / "asked" / f"{row:04d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image[0]).save(file)
    predict(workspace.root / "asked", workspace.classifier, workspace.root / "found.json", None)
    rows = json.loads((workspace.root / "found.json").read_text(encoding="utf-8"))
    assert [row["file"] for row in rows] == [f"{row:04d}.png" for row in range(len(test))]
    right = np.array([int(row["class"]) for row in rows]) == test.labels
    recalls = [right[test.labels == label].mean() for label in range(10)]
    assert np.mean(recalls) == pytest.approx(best["balanced_accuracy"], abs=2e-6)
    card = json.loads((workspace.classifier / "classifier.json").read_text(encoding="utf-8"))
    assert card["accuracy"]["seed_test"] == best["balanced_accuracy"]
    assert (card["arm"], card["seed"], card["training"]["steps"]) == ("synthetic", best["seed"], 40)


@pytest.mark.usefixtures("one_process")
def test_the_verdict_is_about_what_classify_metric_says(tail: tuple[Workspace, Digits, Digits]) -> None:
    workspace, _, spare = tail
    _held_out_fewer(workspace)
    _export(workspace.synthetic, *spare)
    chosen = TINY.classify.model_copy(update={"metric": "recall:9@5%"})
    classify.run(TINY.model_copy(update={"classify": chosen}), workspace, workspace.root / "answers.npz")
    utility = json.loads(workspace.metrics("utility").read_text())
    assert utility["metric"] == {"name": "recall:9@0.05", "title": "recall of '9' at 0.05 false alarms"}
    assert "in recall of '9' at 0.05 false alarms against" in utility["sentence"]
    store = Store.open(workspace.store)
    nines = int((store.split("val").labels == 9).sum())
    for row in utility["candidates"]:  # what is chosen by, too
        assert row["validation"] * nines * row["seeds"] == pytest.approx(
            round(row["validation"] * nines * row["seeds"])
        )
    labels = store.split("test").labels
    with np.load(workspace.root / "answers.npz") as saved:
        for name in (utility["baseline"], "synthetic"):
            values = []
            for logits in saved[f"scores_{name}"].reshape(-1, len(labels), 10):
                of_nine = np.exp(logits - logits.max(axis=1, keepdims=True))
                of_nine = of_nine[:, 9] / of_nine.sum(axis=1)
                alarms, hits, _ = roc_curve(labels == 9, of_nine, drop_intermediate=False)
                values.append(hits[alarms <= 0.05].max())
            assert utility["arms"][name]["metric"] == pytest.approx(np.mean(values), abs=1e-6)
    arms = utility["arms"]
    gain = arms["synthetic"]["metric"] - arms[utility["baseline"]]["metric"]
    assert utility["delta"] == pytest.approx(gain, abs=2e-6)
    assert utility["ci95"][0] <= utility["delta"] <= utility["ci95"][1]


def test_a_metric_of_a_class_that_is_not_there_is_refused_before_anything_is_trained(
    tail: tuple[Workspace, Digits, Digits],
) -> None:
    workspace, _, spare = tail
    _export(workspace.synthetic, *spare)
    chosen = TINY.classify.model_copy(update={"metric": "average_precision:nine"})
    with pytest.raises(UserError, match="no class 'nine' in this set; it has '0', '1'"):
        classify.run(TINY.model_copy(update={"classify": chosen}), workspace)


def test_the_progress_counts_a_classifier_a_draw_where_draws_matter() -> None:
    params = ClassifyParams(**SHORT | {"draws": 2})  # type: ignore[arg-type]
    assert trials(params, doses=2) == 22 + 2 + 5 * (7 + 2 * 2)


def _pool_of(workspace: Workspace, images: np.ndarray, labels: np.ndarray, draws: int = 1) -> TrialSetup:
    """The setting of an experiment on any images, drawn in turns."""
    folder = workspace.root / "pool"
    order = np.argsort(labels, kind="stable")
    unit = np.bincount(labels, minlength=10)
    save(folder, images[order], labels[order], np.concatenate([np.arange(n) % draws for n in unit]), unit)
    return TrialSetup(workspace.root, workspace.store, folder, TINY.classify)


def test_the_control_is_matched_image_for_image(tail: tuple[Workspace, Digits, Digits]) -> None:
    """Were the synthetic images the very copies that the control draws, then both arms would be one."""
    workspace, (images, labels), (_, wanted) = tail
    _held_out_fewer(workspace)
    wanted = np.sort(wanted)
    setting = _pool_of(workspace, images[copies(wanted, labels, stream(7, "classify.copies"))], wanted)
    recipe = Recipe("oversampling", "trivial", "cutmix")
    synthetic, control = (
        train_stack([Cell(Arm("x", recipe, extra=extra, dose=1.0, lr=1e-2), 7, 0)], setting)[0]
        for extra in ("synthetic", "copies")
    )
    assert np.array_equal(synthetic.test, control.test)
    assert np.array_equal(synthetic.val, control.val)


def test_a_share_of_the_synthetic_pass_are_the_very_copies_of_the_control(
    tail: tuple[Workspace, Digits, Digits], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, (images, _), spare = tail
    _held_out_fewer(workspace)
    setting = _pool_of(workspace, *spare)
    setting = replace(setting, params=setting.params.model_copy(update={"copies_share": 0.4}))
    passes = []
    monkeypatch.setattr("pipeline.experiment.trial.fit_all", lambda _, tasks, **__: passes.append(tasks[0].extra))
    for extra in ("synthetic", "copies"):
        train_stack([Cell(Arm("x", Recipe(), extra=extra, dose=1.0, lr=1e-2), 7, 0)], setting)  # type: ignore[arg-type]
    mixed, control = passes
    same = mixed.rows == control.rows
    assert 0.3 < same.mean() < 0.5
    assert np.array_equal(mixed.rows[~same], np.flatnonzero(~same))  # the pool's own
    assert np.array_equal(mixed.labels, control.labels)
    pool = np.sort(spare[1])
    assert np.array_equal(mixed.images[mixed.rows[~same]], spare[0][np.argsort(spare[1], kind="stable")][~same])
    assert np.array_equal(mixed.images[mixed.rows[same]], images[control.rows[same] - len(pool)])
    seen = Arm("x", Recipe(), extra="synthetic").images_seen(setting.params)
    assert seen == {"real": 32, "synthetic": 19, "copies": 13}


def test_synthetic_images_alone_are_of_every_class(
    tail: tuple[Workspace, Digits, Digits], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the plan makes none of the largest: without them it would be a class that is never answered."""
    workspace, _, (images, labels) = tail
    _held_out_fewer(workspace)
    order, unit = np.argsort(labels, kind="stable"), np.bincount(labels, minlength=10)
    folder, alone = workspace.root / "pool", np.full(10, 3)
    images = np.concatenate([images[:6], images[order]])
    labels = np.concatenate([np.zeros(6, np.int64), labels[order]])
    save(folder, images, labels, np.arange(len(labels)) % 2, np.where(np.arange(10) == 0, 0, unit), alone)
    seen: list[np.ndarray] = []
    monkeypatch.setattr("pipeline.experiment.trial.fit_all", lambda _, tasks, **__: seen.append(tasks[0].labels))
    arm = Arm("synthetic_only", Recipe(), images="synthetic", lr=1e-2)
    train_stack([Cell(arm, 7, 1)], TrialSetup(workspace.root, workspace.store, folder, TINY.classify))
    assert unit[0] == 0
    assert np.bincount(seen[0]).tolist() == [3] * 10


def test_equal_trials_share_their_name_and_others_do_not() -> None:
    arm = Arm("classical", Recipe("oversampling"), lr=1e-2)
    assert replace(arm, name="other").key() == arm.key()
    others = [replace(arm, dose=1.0), replace(arm, lr=2e-2), replace(arm, recipe=Recipe("oversampling", mix="mixup"))]
    assert len({one.key() for one in (arm, *others)}) == 4


def _runner(setting: TrialSetup, workspace: Workspace, workers: int, seed: int = 0) -> Runner:
    cache = workspace.root / "cache"
    cache.mkdir(exist_ok=True)
    return Runner(seed, setting, cache, Progress(1, "test", "runs"), workers=workers)


ARMS = (REAL, Arm("synthetic", Recipe("oversampling", "trivial"), extra="synthetic", dose=0.5, lr=1e-2))


def test_results_do_not_depend_on_the_pool_and_are_not_computed_twice(
    tail: tuple[Workspace, Digits, Digits], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _, spare = tail
    _held_out_fewer(workspace)
    setting = _pool_of(workspace, *spare, draws=2)
    with _runner(setting, workspace, workers=1) as runner:
        alone = runner.run(*ARMS, seeds=3, draws=2)
    monkeypatch.setattr("pipeline.experiment.runner.train_stack", None)  # a second training would fail
    with _runner(setting, workspace, workers=1) as runner:
        again = runner.run(*ARMS, seeds=3, draws=2)
        uncrossed = runner.run(ARMS[1], seeds=2, draws=2, crossed=False)[0]
    shutil.rmtree(workspace.root / "cache")
    with _runner(setting, workspace, workers=2) as runner:
        pooled = runner.run(*ARMS, seeds=3, draws=2)
    assert [result.test.shape for result in alone] == [(3, 1, 100, 10), (3, 2, 100, 10)]
    assert alone[0].synthetic.shape == (3, 1, len(spare[1]))
    assert np.array_equal(uncrossed.test[:, 0], alone[1].test[[0, 1], [0, 1]])
    for first, second, third in zip(alone, again, pooled, strict=True):
        assert np.array_equal(first.test, second.test)
        assert np.array_equal(first.test, third.test)
        assert np.array_equal(first.val, third.val)


SCRIPT = """
import sys
from pathlib import Path
from pipeline.params import load_params
from pipeline.stages.classify import run
from pipeline.workspace import Workspace
from tests.pipeline.made_set import made_about
if __name__ == "__main__":
    params = load_params(Path(sys.argv[1]) / "params.yaml")
    run(params, Workspace(Path(sys.argv[1])))
"""


@pytest.mark.usefixtures("one_process")
def test_a_killed_run_goes_on_where_it_was_leaves_no_orphan_and_ends_the_same(
    tail: tuple[Workspace, Digits, Digits], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _, spare = tail
    _export(workspace.synthetic, *spare)
    _held_out_fewer(workspace)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    workspace.params.write_text(json.dumps(TINY.model_dump(mode="json", include={"classify"})))
    command = [sys.executable, str(script), str(workspace.root)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        finished = _wait_for(lambda: sorted((workspace.scratch / "classify").glob("*/*-[0-9]-0.npz")))
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not psutil.wait_procs(children, timeout=120)[1]
    stamps = {file: file.stat().st_mtime_ns for file in finished}
    monkeypatch.setattr(classify, "remove", lambda path: None)  # leaves the finished trials where they are
    classify.run(TINY, workspace)
    assert stamps == {file: file.stat().st_mtime_ns for file in finished}
    resumed = _outputs(workspace)
    shutil.rmtree(workspace.scratch)
    classify.run(TINY, workspace)
    assert _outputs(workspace) == resumed


def _wait_for(found: Callable[[], list[Path]]) -> list[Path]:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if files := found():
            return files
        time.sleep(0.02)
    raise AssertionError("no run was finished in time")


def test_copies_have_the_classes_asked_for_and_use_all_images_equally_often() -> None:
    labels, train = np.array([2, 0, 2, 2, 2, 0]), np.array([0, 1, 2, 2, 0])
    rows = copies(labels, train, stream(0, "x"))
    assert np.array_equal(train[rows], labels)
    assert np.array_equal(np.bincount(rows, minlength=5), [1, 0, 2, 2, 1])
    with pytest.raises(UserError, match="class number 3"):
        copies(np.array([3]), train, stream(0, "x"))


def test_classes_below_twenty_train_images_get_no_synthetic_ones_unless_forced(
    tail: tuple[Workspace, Digits, Digits],
) -> None:
    workspace, (_, labels), _ = tail
    refused = classify._small(Store.open(workspace.store))
    assert refused == np.flatnonzero(np.bincount(labels) < 20).tolist()
    said = classify._warnings(Store.open(workspace.store), refused)
    assert "none of their synthetic images is used (classify.force: true uses them): " in said[0]
    assert said[1].startswith("fewer than 50 train images")


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("force", [False, True])
def test_what_is_refused_is_in_no_training(force: bool, tail: tuple[Workspace, Digits, Digits]) -> None:
    workspace, (_, labels), spare = tail
    _held_out_fewer(workspace)
    _export(workspace.synthetic, *spare)
    params = TINY.model_copy(update={"classify": TINY.classify.model_copy(update={"force": force})})
    classify.run(params, workspace)
    utility = json.loads(workspace.metrics("utility").read_text())
    small = np.bincount(labels) < 20
    made = np.array([row["synthetic"] for row in utility["per_class"]])
    exported = np.bincount(spare[1], minlength=10)
    wanted = np.floor(utility["dose"] * np.where(small & (not force), 0, exported) + 0.5)
    assert small.any() and not small.all()
    np.testing.assert_array_equal(made, wanted)
    assert any("none of their synthetic images is used" in warning for warning in utility["warnings"]) != force


@pytest.mark.usefixtures("one_process")
def test_a_pool_of_refused_classes_holds_none_of_their_images(tail: tuple[Workspace, Digits, Digits]) -> None:
    workspace, (_, labels), spare = tail
    _held_out_fewer(workspace)
    _export(workspace.synthetic, *spare)
    small, cache = np.flatnonzero(np.bincount(labels) < 20), workspace.scratch / "trials"
    classify.judge(TINY, workspace, Store.open(workspace.store), cache, small.tolist())
    pool = Pool.open(cache / "pool")
    assert not np.isin(pool.labels, small).any()
    assert set(pool.labels.tolist()) | set(small.tolist()) >= set(spare[1].tolist())


def test_trials_of_another_torch_or_generator_are_not_taken_up(
    tail: tuple[Workspace, Digits, Digits], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _, spare = tail
    _export(workspace.synthetic, *spare)
    first = classify._open_cache(TINY, workspace)
    assert classify._open_cache(TINY, workspace) == first
    workspace.models.mkdir()
    (workspace.models / "generator.safetensors").write_bytes(b"one")
    of_generator = classify._open_cache(TINY, workspace)
    (workspace.models / "generator.safetensors").write_bytes(b"another")
    of_another = classify._open_cache(TINY, workspace)
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    of_torch = classify._open_cache(TINY, workspace)
    assert len({first, of_generator, of_another, of_torch}) == 4
    assert [path for path in (first, of_generator, of_another, of_torch) if path.exists()] == [of_torch]


@pytest.mark.parametrize(("verdict", "code"), [("HELPS", 0), ("INCONCLUSIVE", 1)])
def test_what_is_required_is_an_exit_code_without_another_training(
    verdict: str, code: int, tail: tuple[Workspace, Digits, Digits], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _, (images, labels) = tail
    _export(workspace.synthetic, images[:1], labels[:1])
    workspace.params.write_text("seed: 0\n")
    finished = {"verdict": verdict, "sentence": "So."}
    empty = {"warnings": [], "arms": {}, "baseline": "real", "recipe": ""}
    workspace.metrics("utility").parent.mkdir()
    made_from = classify.utility_sources(Params(), workspace)
    write_figures(workspace.metrics("utility"), finished | empty, made_from)
    monkeypatch.chdir(workspace.root)
    monkeypatch.setattr(classify, "run", None)  # a training would fail
    result = CliRunner().invoke(main, ["classify", "--require", "helps"])
    assert result.exit_code == code, result.output
    assert f"{verdict}: So." in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_device_is_said(tail: tuple[Workspace, Digits, Digits]) -> None:
    workspace, _, spare = tail
    _export(workspace.synthetic, *spare)
    params = TINY.model_copy(update={"classify": TINY.classify.model_copy(update={"device": "cuda"})})
    with pytest.raises(UserError, match=r"classify\.device: cuda is asked for"):
        classify.run(params, workspace)


def test_what_cannot_be_judged_is_said(tail: tuple[Workspace, Digits, Digits]) -> None:
    workspace, _, (images, labels) = tail
    with pytest.raises(UserError, match=r"manifest\.parquet"):
        classify.run(QUICK, workspace)
    _export(workspace.synthetic, images[:0], labels[:0])
    with pytest.raises(UserError, match=r"export\.balance"):
        classify.run(QUICK, workspace)
    _export(workspace.synthetic, images[:1], labels[:1])
    small = QUICK.model_copy(update={"classify": QUICK.classify.model_copy(update={"doses": (0.25,)})})
    with pytest.raises(UserError, match=r"too small for 1 draws of the least dose, 0\.25"):
        classify.run(small, workspace)


def test_a_class_without_train_images_or_an_empty_split_is_refused(tail: tuple[Workspace, Digits, Digits]) -> None:
    workspace, _, spare = tail
    _export(workspace.synthetic, *spare)
    summary = json.loads((workspace.store / "summary.json").read_text())
    rows = summary["splits"]["test"][1]
    for change, message in (
        ({"classes": [*summary["classes"], "ten"]}, "'ten' has no train image"),
        ({"splits": {"train": [0, 100], "val": [100, 100], "test": [100, rows]}}, "val split is empty"),
    ):
        (workspace.store / "summary.json").write_text(json.dumps(summary | change))
        with pytest.raises(UserError, match=message):
            classify.run(QUICK, workspace)


def test_a_sure_verdict_says_that_it_is_of_one_split() -> None:
    said = {name: classify.of_one_split(name) for name in ("HELPS", "HURTS", "EQUIVALENT", "INCONCLUSIVE")}
    assert [name for name, notes in said.items() if notes] == ["HELPS", "HURTS"]
    assert "augmint study" in said["HELPS"][0]
