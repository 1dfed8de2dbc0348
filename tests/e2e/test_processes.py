"""``train.launcher: torchrun``: two real processes on this machine, one of which is killed in the middle."""

import shutil
import time
from pathlib import Path

import psutil

from tests.e2e.conftest import Project

OUTPUTS = ("models", "plots/train", "metrics/train.json")


def ranks(of: int) -> dict[int, psutil.Process]:
    """The processes that torchrun started below a process, by their number."""
    found = {}
    for process in psutil.Process(of).children(recursive=True):
        try:
            found[int(process.environ()["RANK"])] = process
        except (psutil.Error, KeyError):
            continue
    return found


def test_a_killed_process_is_started_again_and_the_result_is_whole(tmp_path: Path, finished: Project) -> None:
    shutil.copytree(finished.root, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project")
    project.edit("train", kimg=2, launcher="torchrun", processes=2)
    project.run("augmint", "train")
    whole = project.bytes_of(*OUTPUTS)
    assert whole != finished.bytes_of(*OUTPUTS)

    state = project.root / ".augmint" / "train" / "state.safetensors"
    process = project.start("augmint", "train")
    while process.poll() is None and not state.exists():
        time.sleep(0.02)
    ranks(process.pid)[1].kill()
    assert process.wait() == 0
    assert project.bytes_of(*OUTPUTS) == whole

    project.edit("train", processes=2, batch_size=2, packing=2, kimg=1)
    done = project.run("augmint", "train", fails=True)
    assert done.returncode == 2
    assert "augmint: train.processes: 2 processes cannot share a batch of 2 images" in done.stderr
    assert project.bytes_of(*OUTPUTS) == whole
