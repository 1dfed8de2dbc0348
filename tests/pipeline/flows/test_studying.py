"""What `augmint study` does and says around the stages, which DVC runs (test_folds.py)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.flows import folds
from pipeline.params import load_params
from pipeline.progress import Report
from pipeline.study.estimate import Estimate
from pipeline.study.folds import Fold
from pipeline.study.running import run_summary
from pipeline.workers import CHOICE, Workers
from pipeline.workspace import Workspace
from tests.pipeline.study.made_study import make_folds, make_store


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An ingested set; its folds are made up when they are run, and what ran is remembered."""
    made = Workspace(tmp_path)
    made.store.mkdir(parents=True)
    make_store(made.store, given=True)
    made.params.write_text(
        "classify: {bootstrap: 300, metric: 'recall:crack@5%', force: true}\nstudy: {folds: 3}\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.study.estimate.estimate", lambda *_: Estimate(60.0, 240.0))
    monkeypatch.setattr(folds.dvc, "out_of_date", lambda _, stages: [s for s in stages if s not in _finished(made)])
    monkeypatch.setattr(folds, "reproduce", _stand_in(made))
    return made


def _finished(workspace: Workspace) -> list[str]:
    done = workspace.root / "done.txt"
    return ["ingest", *(done.read_text(encoding="utf-8").split() if done.exists() else [])]


def _stand_in(workspace: Workspace) -> Callable[..., None]:
    def reproduce(project: Path, stage: str, take: Callable[[str], None]) -> None:
        assert (workspace.study / "plan.json").is_file() and (workspace.study / "dvc.yaml").is_file()  # before all
        if stage == folds.SUMMARY:
            params = load_params(workspace.params)
            make_folds(workspace, params)
            run_summary(params, workspace)
        with (workspace.root / "done.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stage}\n")

    return reproduce


def test_it_says_how_long_it_takes_and_runs_what_is_missing(workspace: Workspace) -> None:
    told = CliRunner().invoke(main, ["study", "--dry-run"]).output
    assert "174 images in 3 folds; about 58 test images each" in told
    assert "gives its own splits (train, test); the study joins them" in told
    assert (
        "about 5 min a fold (generator 60 s, classifiers 4 min), 15 min for 3" in told and "half as much again" in told
    )
    assert not workspace.study.exists()
    told = CliRunner().invoke(main, ["study", "--folds", "1"]).output
    assert _finished(workspace)[1:] == [folds.target(Fold(0, 1))]
    assert told.index("for 1") < told.index("fold 0-1, 1 of 1")  # the time comes first
    assert "1 of 3 folds are finished; to run: 0-0, 0-2; `augmint study` runs the rest" in told
    told = CliRunner().invoke(main, ["study"]).output
    assert _finished(workspace)[2:] == [folds.target(Fold(0, 0)), folds.target(Fold(0, 2)), folds.SUMMARY]
    assert "recall of 'crack' at 0.05 false alarms" in " ".join(told.split())
    assert "smallest effect that the study could have seen" in told
    again = CliRunner().invoke(main, ["study"])
    assert (
        again.exit_code == 0 and "3 of 3 folds are finished" in again.output and "a fold (generator" not in again.output
    )


def test_a_cluster_gets_the_folds_and_each_is_kept_as_it_comes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Fold] = []

    def by_workers(project: Path, workers: Workers, at_once: int, todo: list[Fold], take: Callable) -> Iterator[Fold]:
        assert workers.elsewhere and at_once == 2
        given.extend(todo)
        for fold in reversed(todo):
            take(fold)(Report("train", 1, 1, "kimg", "train: 1/1 kimg").dumps())
            yield fold

    monkeypatch.setattr(folds, "by_workers", by_workers)
    monkeypatch.setenv(CHOICE, "dask")
    with workspace.params.open("a", encoding="utf-8") as file:
        file.write("workers: {count: 2}\n")
    CliRunner().invoke(main, ["study", "--folds", "1"])
    assert not given  # of one fold the cluster gets the parts of each stage
    told = CliRunner().invoke(main, ["study"]).output
    assert given == [Fold(0, 0), Fold(0, 2)]
    assert _finished(workspace)[1:] == [*(folds.target(Fold(0, number)) for number in (1, 2, 0)), folds.SUMMARY]
    assert "0-2: train: 1/1 kimg" in told and "study: fold 0-2 is finished, 1 of 2" in told


@pytest.mark.parametrize(
    ("arguments", "change", "says"),
    [
        (["--folds", "7"], ("", ""), "no fold '7'; params.yaml asks for 3 folds, 0 to 2"),
        ([], ("folds: 3", "folds: 1"), "study.folds: "),
        ([], ("folds: 3", "folds: 2"), "two folds once tell no spread"),
        ([], ("recall:crack@5%", "recall:cracks@5%"), "no class 'cracks' in this set; it has 'ok', 'dent', 'crack'"),
        ([], ("recall:crack@5%", "precision"), "params.yaml:1: classify.metric: 'precision' is none of"),
    ],
)
def test_what_cannot_be_studied_is_refused_before_anything_is_trained(
    workspace: Workspace, arguments: list[str], change: tuple[str, str], says: str
) -> None:
    text = workspace.params.read_text(encoding="utf-8")
    workspace.params.write_text(text.replace(*change) if change[0] else text, encoding="utf-8")
    done = CliRunner().invoke(main, ["study", *arguments])
    assert done.exit_code == 2
    assert says in " ".join(done.output.split()), done.output
    assert _finished(workspace) == ["ingest"]
