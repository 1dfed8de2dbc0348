"""A project of its own in a temporary folder: this repository's ``dvc.yaml``, the digits, and a tiny budget."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[2]
TINY = {
    "train": {"kimg": 3, "width": 8, "latent_dim": 16, "grid_kimg": 1, "checkpoint_seconds": 0},
    "evaluate": {"samples": 120, "repeats": 3, "embedder_steps": 10, "gates": {}},  # so short a run would fail any
    "classify": {
        **{"seeds": 5, "draws": 2, "doses": [0.5, 1.0], "tuning": [[2e-2, 5e-2]], "tuning_seeds": 1},
        **{"steps": 6, "width": 4, "bootstrap": 200},
    },
}


class Project:
    """A folder with ``params.yaml`` and ``dvc.yaml``, and the commands that a user would run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "OMP_NUM_THREADS": "1",
        }

    def run(self, *command: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        """Runs a command here and checks that it ends as expected."""
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == fails, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Starts a command here in a process group of its own."""
        return subprocess.Popen(command, cwd=self.root, env=self.environment, start_new_session=True)

    def edit(self, group: str, **values: object) -> None:
        """Changes keys of one group of ``params.yaml``."""
        yaml, path = YAML(), self.root / "params.yaml"
        content = yaml.load(path.read_text())
        content[group].update(values)
        with path.open("w") as file:
            yaml.dump(content, file)

    def bytes_of(self, *names: str) -> dict[str, bytes]:
        """Every file below the named places, by its path."""
        files = [p for name in names for p in sorted((self.root / name).rglob("*")) if p.is_file()]
        files += [self.root / name for name in names if (self.root / name).is_file()]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}


def make_project(root: Path) -> Project:
    """A new project at a tiny budget, under Git and DVC."""
    (root / "data").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml", "data/digits.zip"):
        shutil.copy(REPOSITORY / name, root / name)
    project = Project(root)
    for group, values in TINY.items():
        project.edit(group, **values)
    project.run("git", "init", "-q")
    project.run("git", "config", "user.email", "a@example.org")
    project.run("git", "config", "user.name", "A")
    project.run("dvc", "init", "-q")
    shutil.copy(REPOSITORY / ".dvc" / "config", root / ".dvc" / "config")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "A new project")
    return project


@pytest.fixture
def new_project(tmp_path: Path) -> Callable[[], Project]:
    """Makes an empty project."""
    return lambda: make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after ``dvc repro``. Tests must leave its outputs as they are.

    Test processes side by side build it once and take a copy each.
    """
    own = tmp_path_factory.mktemp("finished") / "project"
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _built(own)
    shared = tmp_path_factory.getbasetemp().parent / "finished"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "whole").exists():
            _built(shared / "project")
            (shared / "whole").touch()
    shutil.copytree(shared / "project", own, symlinks=True)
    return Project(own)


def _built(root: Path) -> Project:
    project = make_project(root)
    project.run("dvc", "repro")
    return project
