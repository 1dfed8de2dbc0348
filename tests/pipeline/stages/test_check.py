"""What is known before anything is trained, and that it is said in time."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.checks import after, dvc
from pipeline.cli import main
from pipeline.errors import BusyError, UserError
from pipeline.export.plan import balanced_counts, settled
from pipeline.params import Params
from pipeline.stages import check, train
from pipeline.store import Store
from pipeline.workspace import Workspace


def made(root: Path, train_counts: list[int], val: int = 60, test: int = 60) -> Workspace:
    """A store of grey images of so many classes; val and test take their classes in turn."""
    workspace = Workspace(root)
    workspace.store.mkdir(parents=True)
    size = len(train_counts)
    parts = [np.repeat(np.arange(size), train_counts), np.arange(val) % size, np.arange(test) % size]
    labels = np.concatenate(parts).astype(np.int64)
    np.save(workspace.store / "labels.npy", labels)
    np.save(workspace.store / "images.npy", np.zeros((len(labels), 1, 8, 8), np.uint8))
    stops = np.cumsum([len(part) for part in parts]).tolist()
    splits = dict(zip(("train", "val", "test"), zip([0, *stops], stops, strict=False), strict=True))
    classes = [f"class {label}" for label in range(size)]
    counts = {
        name: dict(zip(classes, np.bincount(part, minlength=size).tolist(), strict=True))
        for name, part in zip(splits, parts, strict=True)
    }
    summary = {"classes": classes, "channels": 1, "image_size": 8, "splits": splits, "counts": counts}
    (workspace.store / "summary.json").write_text(json.dumps(summary))
    return workspace


def chosen(**groups: dict[str, Any]) -> Params:
    return Params.model_validate(groups)


def said(params: Params, workspace: Workspace) -> list[tuple[str, bool, str]]:
    return [(finding.stage, finding.fatal, finding.text) for finding in check.findings(params, workspace)]


def test_a_set_in_order_has_nothing_in_its_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = made(tmp_path, [100, 40, 25])
    assert said(Params(), workspace) == []
    check.run(Params(), workspace)
    assert "nothing stands in the way" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["photos", "~/photos", "$HOME/photos", "photos/" + "x" * 300])
def test_images_that_are_not_there_are_said_before_ingest(path: str, tmp_path: Path) -> None:
    ((stage, fatal, text),) = said(chosen(data={"source": "folder", "path": path}), Workspace(tmp_path))
    assert (stage, fatal) == ("ingest", True)
    assert text.startswith(f"data.path: data.path: {path}: no such file or folder")
    assert ("are not expanded" in text) == (path[0] in "~$")


def test_images_that_are_elsewhere_or_were_ingested_are_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for path in ("photos", "s3://bucket/photos"):
        assert said(chosen(data={"source": "folder", "path": path}), Workspace(tmp_path)) == []
    loaded = {"source": "torchvision", "path": "data/cifar", "dataset": "CIFAR10", "download": True}
    assert said(chosen(data=loaded), Workspace(tmp_path)) == []
    assert said(chosen(data={"source": "folder", "path": "gone"}), made(tmp_path, [100, 40, 25])) == []


@pytest.mark.parametrize(
    ("counts", "groups", "stage", "message"),
    [
        ([40, 40, 40], {"export": {"balance": "max"}}, "export", "export.balance: max makes no synthetic image"),
        ([40, 30], {"export": {"classes": {"clas 1": 3}}}, "export", "did you mean `class 1`"),
        ([40, 30], {"evaluate": {"gates": {"fid": "<= 3"}}}, "evaluate", "fid can never pass"),
        ([40, 30], {"evaluate": {"neighbours": 60}}, "evaluate", "too few to compare halves of them by 60 neighbours"),
        ([40, 9, 8], {}, "classify", "fewer than 20 train images, so that none may be used"),
        ([40, 30], {"classify": {"classifier": "nowhere:net"}}, "classify", "no module 'nowhere'"),
        (
            [100, 60],
            {"export": {"encoding": "jpeg"}, "classify": {"doses": (1.0,)}},
            "classify",
            "too small for 3 draws of the least dose, 1.0, as a filtered or lossy set cannot be continued",
        ),
        ([40, 1], {"export": {"filters": {"manifold": 3}}, "classify": {"force": True}}, "export", "'class 1' has one"),
    ],
)
def test_what_would_end_a_stage_is_said_before_any_training(
    counts: list[int], groups: dict[str, Any], stage: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, params = made(tmp_path, counts), chosen(**groups)
    workspace.params.write_text(json.dumps(groups), encoding="utf-8")
    found = [text for where, fatal, text in said(params, workspace) if fatal and where == stage]
    assert any(message in text for text in found), found
    monkeypatch.setattr(train, "_all_members", None)  # a training would fail
    with pytest.raises(UserError, match=stage):
        train.run(params, workspace)


def test_everything_is_said_at_once(tmp_path: Path) -> None:
    workspace = made(tmp_path, [40, 40], val=0)
    params = chosen(export={"balance": "max"}, evaluate={"gates": {"fid": "<= 3"}})
    with pytest.raises(UserError) as caught:
        check.require(params, workspace, (*check.BEFORE_INGEST, *check.AFTER_INGEST))
    assert all(part in str(caught.value) for part in ("export.balance", "fid can never pass", "val split is empty"))


@pytest.mark.parametrize("path", ["data", "data/store", ".", "models/raw", "plots"])
def test_images_that_lie_where_a_stage_writes_are_refused(path: str, tmp_path: Path) -> None:
    params = chosen(data={"source": "folder", "path": path})
    assert [stage for stage, _, text in said(params, Workspace(tmp_path)) if "which a stage writes" in text] == [
        "ingest"
    ]


@pytest.mark.parametrize("path", ["data/digits.zip", "../tiles", "images", "data2", "stored"])
def test_images_beside_what_a_stage_writes_are_fine(path: str, tmp_path: Path) -> None:
    (tmp_path / path).mkdir(parents=True, exist_ok=True)
    assert said(chosen(data={"source": "folder", "path": path}), Workspace(tmp_path)) == []


def test_weak_spots_are_said_and_stop_nothing(tmp_path: Path) -> None:
    workspace = made(tmp_path, [100, 40, 25], val=20, test=2)
    found = said(chosen(evaluate={"neighbours": 3}), workspace)
    assert [(stage, fatal) for stage, fatal, _ in found] == [("train", False), ("classify", False)]
    assert "20 images in the val split, fewer than 50" in found[0][2]
    assert "no test image of class 'class 2'" in found[1][2]


def test_a_disk_that_is_too_small_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = made(tmp_path, [100, 40, 25])
    usage = after.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(after.shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    with pytest.raises(BusyError, match="1 MiB are free"):
        check.require(Params(), workspace, check.AFTER_INGEST)


def test_auto_fills_what_lacks_images_and_doubles_what_is_balanced(tmp_path: Path) -> None:
    assert settled("auto", [110, 50, 4]) == "max"
    assert settled("auto", [100, 100, 100]) == 1.0
    assert settled(7, [1, 2]) == 7
    store = Store.open(made(tmp_path, [50, 48]).store)
    counts = balanced_counts(Params().export, store, tmp_path / "params.yaml")
    assert counts == {"class 0": 50, "class 1": 48}


def test_the_command_ends_with_two_and_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = made(tmp_path, [40, 40])
    workspace.params.write_text("export: {balance: max}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 2
    assert "params.yaml:1: export.balance: max makes no synthetic image" in done.output
    workspace.params.write_text("export: {balance: auto}\n", encoding="utf-8")
    assert CliRunner().invoke(main, ["check"]).exit_code == 0


def test_a_key_that_dvc_asks_for_and_nobody_wrote_is_told_before_anything_runs(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    text = (root / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text((root / "dvc.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    params = tmp_path / "params.yaml"
    params.write_text(text, encoding="utf-8")
    assert not list(dvc.named_keys(Params(), Workspace(tmp_path)))
    params.write_text("".join(line for line in text.splitlines(True) if "truncation:" not in line), encoding="utf-8")
    (found,) = dvc.named_keys(Params(), Workspace(tmp_path))
    assert found.fatal and found.stage == "evaluate"
    assert "export.truncation is missing" in found.text and "its default, 1.0" in found.text
    params.write_text(text[: text.index("evaluate:")], encoding="utf-8")
    assert {one.stage for one in dvc.named_keys(Params(), Workspace(tmp_path))} == {"evaluate", "export", "classify"}
