"""A training that is looked at while it is in work: what it draws, how far it is, and that it takes no notice."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pipeline.cli import main
from pipeline.params import Params
from pipeline.progress import Progress
from pipeline.stages import train
from pipeline.training import snapshots, status
from pipeline.workspace import Workspace
from tests.pipeline.stages.test_train import shipped, tiny

CHOSEN = Params(train=tiny(kimg=0.32, grid_kimg=0.16, snapshot_kimg=0.16))  # ten iterations, two grids, two snapshots


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, digits_workspace: Workspace) -> None:
    monkeypatch.setattr(snapshots, "EMBEDDER_STEPS", 5)
    monkeypatch.setattr(status, "SECONDS_BETWEEN", 0.0)
    monkeypatch.chdir(digits_workspace.root)


def preview(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["preview", *arguments])


def ended_process() -> int:
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def looked_at(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> list[dict[str, Any]]:
    """Trains, and looks at it after each iteration; what was seen, each with the picture of the run's own."""
    seen: list[dict[str, Any]] = []
    advance = Progress.advance

    def look(self: Progress, count: int = 1, note: str = "") -> None:
        advance(self, count, note)
        done = preview("--json")
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        grids = sorted((workspace.scratch / "train").glob("grid_*.png"))
        seen.append(found | {"own": [pixels(path) for path in grids]})
        if found["picture"]:
            seen[-1]["drawn"] = pixels(Path(found["picture"]))

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "advance", look)
        train.run(CHOSEN, workspace)
    return seen


def test_a_run_that_is_looked_at_draws_the_same_and_is_not_disturbed(
    monkeypatch: pytest.MonkeyPatch, digits_workspace: Workspace
) -> None:
    train.run(CHOSEN, digits_workspace)
    alone = shipped(digits_workspace)
    seen = looked_at(monkeypatch, digits_workspace)
    assert shipped(digits_workspace) == alone
    assert [one["state"] for one in seen] == ["begins", *["trains"] * (len(seen) - 1)]
    assert [one["kimg"] for one in seen[1:]] == pytest.approx([0.032 * i for i in range(1, len(seen))])
    assert seen[1]["seconds_left"] > 0 and [one["share"] for one in seen[1:]] == pytest.approx(
        [i / len(seen) for i in range(1, len(seen))]
    )
    (taken,) = [i for i, one in enumerate(seen) if len(one["own"]) == 1][:1]
    after = seen[taken + 1]  # its checkpoint is that of the iteration at whose end the grid was taken
    assert (after["drawn"] == after["own"][0]).all()
    assert after["picture_kimg"] == pytest.approx(0.16)
    assert [shot["kimg"] for shot in seen[-1]["snapshots"]] == [pytest.approx(0.16)]


def test_a_stopped_run_says_so_and_a_finished_one_shows_what_ships(
    monkeypatch: pytest.MonkeyPatch, digits_workspace: Workspace, tmp_path: Path
) -> None:
    done = preview()
    assert done.exit_code == 2 and "nothing trains in this folder, and nothing has been trained" in done.stderr

    def stop(self: Progress, count: int = 1, note: str = "") -> None:
        self.done += count
        if self.done >= 160:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "advance", stop)
        with pytest.raises(KeyboardInterrupt):
            train.run(CHOSEN, digits_workspace)
    folder = digits_workspace.scratch / "train"
    content = json.loads((folder / "status.json").read_text()) | {"pid": ended_process()}
    (folder / "status.json").write_text(json.dumps(content))
    (digits_workspace.scratch / "train.lock").write_text(f"{content['pid']}\n")
    said = preview("--out", str(tmp_path / "new" / "stopped.webp")).stdout
    assert "stopped 0 s ago" in said and "`dvc repro` goes on" in said
    assert Image.open(tmp_path / "new" / "stopped.webp").format == "WEBP"
    (folder / "generator.safetensors").write_bytes(b"half")
    assert "picture: none yet" in preview().stdout

    train.run(CHOSEN, digits_workspace)
    (digits_workspace.scratch / "train.lock").write_text(f"{content['pid']}\n")
    found = json.loads(preview("--json").stdout)
    assert found["state"] == "finished"
    assert (pixels(Path(found["picture"])) == pixels(digits_workspace.plots("train") / "samples.png")).all()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": -1}', '{"pid": 1, "kimg": "ten"}', "\0" * 99])
def test_a_status_that_is_none_is_passed_over(digits_workspace: Workspace, text: str) -> None:
    (digits_workspace.scratch / "train").mkdir(parents=True)
    (digits_workspace.scratch / "train" / "status.json").write_text(text)
    (digits_workspace.scratch / "train.lock").write_text(text)
    done = preview()
    assert done.exit_code == 2 and "nothing has been trained" in done.stderr


def test_a_picture_of_no_known_kind_is_refused() -> None:
    assert preview("--out", "picture.txt").exit_code == 2


def test_watching_ends_with_the_run(monkeypatch: pytest.MonkeyPatch, digits_workspace: Workspace) -> None:
    from pipeline.report.terminal import preview as terminal

    (digits_workspace.scratch).mkdir(exist_ok=True)
    lock = digits_workspace.scratch / "train.lock"
    lock.write_text("1\n")
    pauses: list[float] = []

    def finish(seconds: float) -> None:
        pauses.append(seconds)
        train.run(CHOSEN, digits_workspace)
        lock.write_text(f"{ended_process()}\n")

    monkeypatch.setattr(terminal.time, "sleep", finish)
    said = preview("--watch").stdout
    assert pauses == [terminal.SECONDS]
    assert said.index("has begun") < said.index("nothing trains in this folder now")
