"""What a user installs: the wheel alone, in an environment of its own, far from this repository."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, TINY, Project
from tests.pipeline.projects.conftest import make_folder

# the other stages in one process on one core: to start each by DVC costs more than its work
REST = """
import os
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from pipeline.params import load_params
from pipeline.stages import classify, evaluate, export, train
from pipeline.workspace import Workspace
workspace = Workspace()
for stage in (train, evaluate, export, classify):
    stage.run(load_params(workspace.params), workspace)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment that holds the wheel, and for all else borrows this one's packages."""
    root = tmp_path_factory.mktemp("wheel")
    source = root / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "gan", "pipeline", "augmint"):
        if (REPOSITORY / name).exists():
            (source / name).symlink_to(REPOSITORY / name)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "build", "--wheel", "--no-build-isolation", "--offline", "-q", "-o", root, source], check=True)
    venv.create(root / "env", with_pip=False)
    python = root / "env" / "bin" / "python"
    (wheel,) = root.glob("*.whl")
    subprocess.run([*uv, "pip", "install", "-q", "--offline", "--no-deps", "--python", python, wheel], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(root / "env")}))
    borrowed = sysconfig.get_path("purelib")
    # a plain line adds the packages, not what their own .pth files point to: this repository is not among them
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    return root / "env" / "bin"


def test_init_and_repro_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    make_folder(tmp_path / "fruit", {"apple": 40, "pear": 30})
    project = Project(tmp_path)
    own = f"{installed}{os.pathsep}{Path(sys.executable).parent}"
    project.environment |= {"PATH": f"{own}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}
    where = project.run(str(installed / "python"), "-c", "import pipeline, gan; print(pipeline.__file__, gan.__file__)")
    assert str(REPOSITORY) not in where.stdout
    said = project.run("augmint", "init", "study", "--images", "fruit", "--size", "8", "--minutes", "0.1")
    assert "next: cd study && dvc repro" in said.stdout
    study = Project(tmp_path / "study")
    study.environment = project.environment
    study.edit("train", kimg=1, width=4, latent_dim=8)  # else minutes
    study.edit("evaluate", **TINY["evaluate"])
    study.edit("classify", **TINY["classify"])
    study.run("dvc", "repro", "ingest")  # DVC finds the command, which finds the images
    study.run(str(installed / "python"), "-c", REST)
    assert (study.root / "report" / "index.html").is_file()
    assert "synthetic" in study.run("augmint", "results").stdout
