import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gan.seeds import stream
from pipeline.classifier.experiment import Arm, Runner, SyntheticSet, copies, open_cache, read_synthetic, train_arm
from pipeline.classifier.training import Recipe
from pipeline.errors import UserError
from pipeline.formats import FORMATS
from pipeline.params import ClassifyParams, Params
from pipeline.progress import Progress
from pipeline.stages import classify
from pipeline.store import Store
from pipeline.workspace import Workspace
from tests.pipeline.made_set import make_set

Digits = tuple[np.ndarray, np.ndarray]
QUICK = Params(classify=ClassifyParams(seeds=5, steps=40, batch_size=32, width=8, bootstrap=500))
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
    table = pa.table({"file": pa.array(files, pa.string()), "name": stems, "label": names, "synthetic": flags})
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
    monkeypatch.setattr("pipeline.classifier.experiment.usable_cores", lambda: 1)


def _held_out_fewer(workspace: Workspace) -> None:
    """100 validation and 100 test images, where figures do not matter."""
    file = workspace.store / "summary.json"
    summary = json.loads(file.read_text())
    start = summary["splits"]["val"][0]
    splits = summary["splits"] | {"val": [start, start + 100], "test": [start + 100, start + 200]}
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
    assert set(utility["arms"]) == {*classify.WITHOUT_SYNTHETIC, "synthetic", "synthetic_only"}
    assert all(len(arm["seeds"]) == 5 for arm in utility["arms"].values())
    assert utility["arms"]["control"]["images_seen"] == utility["arms"]["synthetic"]["images_seen"] == 2 * 40 * 32
    best = max(classify.WITHOUT_SYNTHETIC, key=lambda name: utility["arms"][name]["validation"])
    assert utility["baseline"] == best
    gap = utility["arms"]["synthetic"]["balanced_accuracy"] - utility["arms"][best]["balanced_accuracy"]
    assert utility["delta"] == pytest.approx(gap, abs=2e-6)
    assert len(utility["candidates"]) == 4
    assert utility["per_class"][9]["train"] == 4
    assert any("fewer than 20 train images" in text and "9" in text for text in utility["warnings"])
    assert set(_outputs(workspace)) == {"utility.json", "arms.csv", "arms.png", "per_class.csv"}
    assert not (workspace.scratch / "classify").exists()
    shown = capsys.readouterr().out
    assert "HELPS" in shown
    assert "control" in shown


def test_the_control_is_matched_image_for_image(tail: tuple[Workspace, Digits, Digits]) -> None:
    """Were the synthetic images the very copies that the control draws, then both arms would be one."""
    workspace, (images, labels), (_, wanted) = tail
    _held_out_fewer(workspace)
    params = QUICK.classify.model_copy(update={"steps": 10})
    same = images[copies(wanted, labels, stream(7, "classify.copies"))]
    synthetic, control = (
        train_arm(
            Arm("x", Recipe("oversampling", "trivial"), extra=extra),
            7,
            Store.open(workspace.store),
            SyntheticSet(same, wanted),
            params,
        )
        for extra in ("synthetic", "copies")
    )
    assert np.array_equal(synthetic.test, control.test)
    assert np.array_equal(synthetic.val, control.val)


def _runner(params: Params, workspace: Workspace, workers: int) -> Runner:
    store = Store.open(workspace.store)
    cache = open_cache(params, workspace, store)
    read_synthetic(workspace.synthetic, store, cache)
    return Runner(params, workspace, cache, Progress(1, "test", "runs"), workers=workers)


ARMS = (Arm("real", Recipe()), Arm("synthetic", Recipe("oversampling", "trivial"), extra="synthetic"))


def test_results_do_not_depend_on_the_pool_and_are_not_computed_twice(
    tail: tuple[Workspace, Digits, Digits], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _, spare = tail
    _export(workspace.synthetic, *spare)
    _held_out_fewer(workspace)
    params = QUICK.model_copy(update={"classify": QUICK.classify.model_copy(update={"steps": 4})})
    with _runner(params, workspace, workers=1) as runner:
        alone = runner.run(*ARMS)
    monkeypatch.setattr("pipeline.classifier.experiment.train_arm", None)  # a second training would fail
    with _runner(params, workspace, workers=1) as runner:
        again = runner.run(*ARMS)
    with _runner(params.model_copy(update={"seed": 1}), workspace, workers=1):  # other parameters: what is there goes
        pass
    assert len(list((workspace.scratch / "classify").iterdir())) == 1
    with _runner(params, workspace, workers=2) as runner:
        pooled = runner.run(*ARMS)
    for first, second, third in zip(alone, again, pooled, strict=True):
        assert first.test.shape == (5, 100)
        assert first.val.shape == (5, 100)
        assert np.array_equal(first.test, second.test)
        assert np.array_equal(first.test, third.test)
        assert np.array_equal(first.val, third.val)


SCRIPT = """
import sys
from pathlib import Path
from pipeline.params import ClassifyParams, Params
from pipeline.stages.classify import run
from pipeline.workspace import Workspace
if __name__ == "__main__":
    params = Params(classify=ClassifyParams(seeds=5, steps=8, batch_size=8, width=4, bootstrap=200))
    run(params, Workspace(Path(sys.argv[1])))
"""


@pytest.mark.usefixtures("one_process")
def test_a_killed_run_goes_on_where_it_was_leaves_no_orphan_and_ends_the_same(
    tail: tuple[Workspace, Digits, Digits], tmp_path: Path
) -> None:
    workspace, _, spare = tail
    _export(workspace.synthetic, *spare)
    _held_out_fewer(workspace)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(workspace.root)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        finished = _wait_for(lambda: sorted((workspace.scratch / "classify").glob("*/*[0-9].npz")))
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not psutil.wait_procs(children, timeout=120)[1]
    params = Params(classify=ClassifyParams(seeds=5, steps=8, batch_size=8, width=4, bootstrap=200))
    stamps = {file: file.stat().st_mtime_ns for file in finished}
    with _runner(params, workspace, workers=1) as runner:
        runner.run(classify.CANDIDATES[0])
    assert stamps == {file: file.stat().st_mtime_ns for file in finished}
    classify.run(params, workspace)
    resumed = _outputs(workspace)
    classify.run(params, workspace)
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


def test_the_synthetic_set_is_decoded_once_and_without_real_images(
    tail: tuple[Workspace, Digits, Digits], tmp_path: Path
) -> None:
    workspace, _, (images, labels) = tail
    _export(workspace.synthetic, images[:40], labels[:40], [row % 2 == 0 for row in range(40)])
    store = Store.open(workspace.store)
    read = read_synthetic(workspace.synthetic, store, tmp_path)
    assert np.array_equal(read.images, images[:40:2])
    assert np.array_equal(read.labels, labels[:40:2])
    (workspace.synthetic / "manifest.parquet").unlink()
    assert np.array_equal(read_synthetic(workspace.synthetic, store, tmp_path).images, images[:40:2])


@pytest.mark.parametrize("name", FORMATS)
def test_a_set_of_any_format_is_decoded(tail: tuple[Workspace, Digits, Digits], tmp_path: Path, name: str) -> None:
    store = Store.open(tail[0].store)
    made = make_set(tmp_path / "set", channels=1, format=name)
    relabelled = Store(store.folder, {**store.summary, "classes": made.about.classes})
    read = read_synthetic(made.root, relabelled, tmp_path)
    expected = [row for row in made.rows if row.synthetic]
    assert read.labels.tolist() == [row.label_index for row in expected]
    assert np.array_equal(read.images, [made.items[row.name].image for row in expected])


def test_what_cannot_be_judged_is_said(tail: tuple[Workspace, Digits, Digits], tmp_path: Path) -> None:
    workspace, _, (images, labels) = tail
    store = Store.open(workspace.store)
    with pytest.raises(UserError, match=r"manifest\.parquet"):
        classify.run(QUICK, workspace)
    _export(workspace.synthetic, images[:0], labels[:0])
    with pytest.raises(UserError, match=r"export\.balance"):
        classify.run(QUICK, workspace)
    _export(workspace.synthetic, images[:2], np.array([3, 17]))
    with pytest.raises(UserError, match="'17'"):
        read_synthetic(workspace.synthetic, store, tmp_path)
    _export(workspace.synthetic, np.zeros((1, 1, 9, 9), np.uint8), np.array([3]))
    with pytest.raises(UserError, match="9x9"):
        read_synthetic(workspace.synthetic, store, tmp_path)
    next(workspace.synthetic.rglob("*.png")).write_bytes(b"no image")
    with pytest.raises(UserError, match="not readable"):
        read_synthetic(workspace.synthetic, store, tmp_path)


def test_a_class_without_train_images_or_an_empty_split_is_refused(tail: tuple[Workspace, Digits, Digits]) -> None:
    workspace, _, spare = tail
    _export(workspace.synthetic, *spare)
    summary = json.loads((workspace.store / "summary.json").read_text())
    for change, message in (
        ({"classes": [*summary["classes"], "ten"]}, "'ten' has no train image"),
        ({"splits": summary["splits"] | {"val": [5, 5]}}, "val split is empty"),
    ):
        (workspace.store / "summary.json").write_text(json.dumps(summary | change))
        with pytest.raises(UserError, match=message):
            classify.run(QUICK, workspace)
