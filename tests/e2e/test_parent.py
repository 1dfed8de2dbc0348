"""A stage ends with the DVC that runs it, whatever ended that one, and the next run goes on from its state."""

import os
import shutil
import signal
from pathlib import Path

from tests.e2e.conftest import Project
from tests.e2e.prefect.conftest import state_of, trainers_in, wait_for

TRAIN = ("dvc", "repro", "--force", "--single-item", "train")


def orphaned(project: Project, number: signal.Signals, begun: str) -> str:
    """Runs the training, sends a signal to DVC alone when ``begun`` was said or saved; what the training said."""
    log = project.root.with_name(f"{number.name}.log")
    process = project.start("sh", "-c", f"exec {' '.join(TRAIN)} >{log} 2>&1")
    wait_for("the training", lambda: state_of(project).exists() and log.exists() and begun in log.read_text())
    os.kill(process.pid, number)
    assert process.wait() == -number
    wait_for("the end of the training", lambda: not trainers_in(project.root))
    return log.read_text()


def test_a_training_ends_with_its_dvc_and_the_next_one_goes_on_to_the_same_bytes(
    tmp_path: Path, finished: Project
) -> None:
    project = Project(tmp_path / "copy")
    shutil.copytree(finished.root, project.root, symlinks=True)
    outputs = ("models", "plots/train", "metrics/train.json")
    before = project.bytes_of(*outputs)
    for number, begun in ((signal.SIGKILL, "Running stage"), (signal.SIGTERM, "goes on from")):
        said = orphaned(project, number, begun)
        assert "augmint: interrupted" in said  # with exit code 130, which nobody is left to see
        assert project.bytes_of(*outputs) == before
    assert "goes on from" in project.run(*TRAIN).stdout
    assert project.bytes_of(*outputs) == before
