"""``torchrun``: two real processes, started by augmint or each as on a machine of its own; one dies in the middle."""

import shutil
import socket
import subprocess
import sys
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


def on_machines(*projects: Project) -> list[tuple[int, str]]:
    """Exit codes and words of ``augmint train`` on machines that have a copy of the project each."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
    options = [
        "--nnodes",
        str(len(projects)),
        "--nproc-per-node",
        "1",
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        place,
    ]
    command = [sys.executable, "-m", "torch.distributed.run", *options, "-m", "augmint", "train"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen(command, cwd=one.root, env=one.environment, **pipes) for one in projects]
    said = [process.communicate()[0] for process in started]
    return [(process.returncode, words) for process, words in zip(started, said, strict=True)]


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

    other = Project(tmp_path / "other")
    shutil.copytree(project.root, other.root, symlinks=True)
    assert [code for code, _ in on_machines(project, other)] == [0, 0]
    assert whole in (project.bytes_of(*OUTPUTS), other.bytes_of(*OUTPUTS))
    other.edit("train", batch_size=24)
    for code, said in on_machines(project, other):
        assert code != 0
        assert "augmint: train: process 1 on" in said and "params.yaml is another there" in said

    project.edit("train", processes=2, batch_size=2, packing=2, kimg=1)
    done = project.run("augmint", "train", fails=True)
    assert done.returncode == 2
    assert "augmint: train.processes: 2 processes cannot share a batch of 2 images" in done.stderr
    assert project.bytes_of(*OUTPUTS) == whole
