"""The folds of a study by DVC itself; the program that DVC runs is stood in for, so that nothing is trained."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.errors import UserError
from pipeline.flows import dvc, folds
from pipeline.params import load_params
from pipeline.progress import Report
from pipeline.study import dvc_file
from pipeline.study.folds import Fold, all_folds
from pipeline.workspace import Workspace

REPOSITORY = Path(__file__).parents[3]
STAND_IN = """#!/bin/sh
echo "$@" >> ran.txt
case "$1" in
  ingest) mkdir -p metrics && echo {} > metrics/ingest.json;;
  study-fold) mkdir -p "study/folds/$2" && echo "$2" > "study/folds/$2/answers.npz";;
  study-summary) mkdir -p metrics && cat study/folds/*/answers.npz > metrics/study.json;;
esac
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project with an ingested set and a study of three folds, and a program that leaves what folds leave."""
    root = tmp_path / "project"
    (root / "data" / "store").mkdir(parents=True)
    (root / "data" / "store" / "images.npy").write_bytes(b"images")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(REPOSITORY / name, root)
    _edit(root, "study", folds=3)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "augmint").write_text(STAND_IN)
    (tmp_path / "bin" / "augmint").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("pipeline.flows.processes._environment", lambda: dict(os.environ))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=root, check=True)
    (root / "study").mkdir()
    dvc_file.write(load_params(root / "params.yaml"), Workspace(root))
    return root


def _edit(root: Path, group: str, **values: object) -> None:
    yaml, path = YAML(), root / "params.yaml"
    content = yaml.load(path.read_text(encoding="utf-8"))
    content[group].update(values)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def _ran(root: Path) -> list[str]:
    file = root / "ran.txt"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _missing(root: Path) -> list[str]:
    study = load_params(root / "params.yaml").study
    return [str(fold) for fold in folds.missing(root, all_folds(study))]


def test_a_finished_fold_is_not_run_again_until_what_it_hangs_on_changes(project: Path) -> None:
    assert _missing(project) == ["0-0", "0-1", "0-2"]
    both = [  # two at a time, as two terminals would
        subprocess.Popen([*dvc.DVC, "repro", "--single-item", folds.target(Fold(0, number))], cwd=project)
        for number in (0, 1)
    ]
    assert [process.wait() for process in both] == [0, 0]
    assert sorted(_ran(project)) == ["study-fold 0-0", "study-fold 0-1"]
    assert _missing(project) == ["0-2"]
    for stage in (folds.target(Fold(0, 1)), folds.target(Fold(0, 2)), folds.SUMMARY):
        folds.reproduce(project, stage, print)
    assert _ran(project)[2:] == ["study-fold 0-2", "study-summary"]
    assert (project / "metrics" / "study.json").read_text(encoding="utf-8") == "0-0\n0-1\n0-2\n"
    # more repeats leave those that there are alone; other folds and other choices do not
    _edit(project, "study", repeats=2)
    dvc_file.write(load_params(project / "params.yaml"), Workspace(project))
    assert _missing(project) == ["1-0", "1-1", "1-2"]
    _edit(project, "classify", steps=20)
    assert len(_missing(project)) == 6


def test_a_fold_that_fails_says_why(project: Path) -> None:
    (project.parent / "bin" / "augmint").write_text("#!/bin/sh\necho 'augmint: no such class' >&2; exit 2\n")
    with pytest.raises(UserError, match=r"^no such class$"):
        folds.reproduce(project, folds.target(Fold(0, 0)), print)


def test_the_files_of_the_users_own_classifier_are_dependencies(tmp_path: Path) -> None:
    (tmp_path / "mynet.py").write_text("")
    (tmp_path / "params.yaml").write_text("classify: {classifier: 'mynet:make'}\nstudy: {folds: 2, repeats: 2}\n")
    content = YAML(typ="safe").load(dvc_file.text(load_params(tmp_path / "params.yaml"), tmp_path))
    fold, summary = content["stages"]["fold"], content["stages"]["summary"]
    assert fold["deps"] == ["data/store", "mynet.py"]
    assert fold["matrix"]["fold"] == ["0-0", "0-1", "1-0", "1-1"]
    assert "study.folds" in fold["params"] and "study" not in fold["params"]
    assert summary["deps"][1:] == [f"study/folds/{name}" for name in fold["matrix"]["fold"]]


def test_of_what_stages_say_the_command_passes_on_what_is_worth_it(capsys: pytest.CaptureFixture[str]) -> None:
    told = folds.Told()
    lines = ["Running stage 'study/dvc.yaml:fold@0-0':", "> augmint study-fold 0-0", "study: fold 0-0: train", "┃ a ┃"]
    lines += [Report("train", done, 10, "images", f"train: {done}/10").dumps() for done in (1, 2, 10)]
    for line in [*lines, "", "Use `dvc push` to send your updates to remote storage."]:
        told.take(line)
    assert capsys.readouterr().out.splitlines() == ["study: fold 0-0: train", "train: 1/10", "train: 10/10"]
