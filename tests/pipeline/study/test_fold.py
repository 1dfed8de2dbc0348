"""A fold's workspace: what runs in it, what a stop leaves, what is kept; the stages themselves are stood in for."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.binding import write_figures
from pipeline.errors import BusyError
from pipeline.experiment.answers import ANSWERS
from pipeline.locks import alone
from pipeline.params import Params, StudyParams
from pipeline.stages import classify, evaluate, export, train
from pipeline.store import Store
from pipeline.study import fold as one_fold
from pipeline.study.folds import Fold
from pipeline.workspace import Workspace
from tests.pipeline.study.made_study import PARAMS, make_store

GATES = [{"figure": "kid", "gate": "<= 1", "value": 2.0, "limit": 1.0, "passed": False}]
UTILITY = {"verdict": "HELPS", "sentence": "It helps."}


class Stages:
    """Stand-ins that leave their figures, remember how they were called, and stop where they are told."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        self.seen: list[Params] = []
        self.stop_in = ""
        stages = {"train": train, "quality": evaluate, "export": export, "utility": classify}
        for name, module in stages.items():
            patched.setattr(module, "run", self._stand_in(name))

    def _stand_in(self, name: str) -> Callable[..., None]:
        def run(params: Params, workspace: Workspace, answers: Path | None = None) -> None:
            if self.stop_in == name:
                raise KeyboardInterrupt
            self.ran.append(name)
            self.seen.append(params)
            figures = {"quality": {"gates": GATES}, "utility": UTILITY}.get(name, {})
            write_figures(workspace.metrics(name), figures)
            if answers:
                answers.write_bytes(b"the answers")
                (workspace.report).mkdir()
                (workspace.report / "index.html").write_text("a page", encoding="utf-8")

        return run


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    """All four stood in for."""
    return Stages(monkeypatch)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An ingested set."""
    made = Workspace(tmp_path)
    made.store.mkdir(parents=True)
    make_store(made.store)
    return made


def test_a_fold_runs_the_stages_and_leaves_what_the_study_needs(
    workspace: Workspace, stages: Stages, capsys: pytest.CaptureFixture[str]
) -> None:
    one_fold.run(PARAMS, workspace, Fold(1, 2))
    assert stages.ran == ["train", "quality", "export", "utility"]
    kept = workspace.fold("1-2")
    assert sorted(path.name for path in kept.iterdir()) == [
        *("answers.npz", "export.json", "fold.json", "index.html", "ingest.json", "quality.json", "test_rows.npy"),
        *("train.json", "utility.json"),
    ]
    facts = json.loads((kept / "fold.json").read_text(encoding="utf-8"))
    assert facts["gates_failed"] == ["kid"] and facts["verdict"] == "HELPS"
    assert facts["planned"][0] == "balanced_accuracy"
    assert not list((workspace.scratch / "study").iterdir())  # generator and images are gone, and it is said
    said = capsys.readouterr().out
    assert "kept predictions, figures and report" in said and "dropped its split, generator and synthetic" in said


def test_everything_in_a_fold_is_drawn_anew_and_no_gate_ends_it(workspace: Workspace, stages: Stages) -> None:
    for fold in (Fold(0, 0), Fold(0, 1)):
        one_fold.run(PARAMS, workspace, fold)
    seeds = [params.seed for params in stages.seen]
    assert len(set(seeds[:4])) == len(set(seeds[4:])) == 1 and seeds[0] != seeds[4]
    assert all(params.export.force for params in stages.seen)
    assert all(params.train == PARAMS.train for params in stages.seen)


@pytest.mark.parametrize("stop_in", ["train", "export", "utility"])
def test_a_fold_that_was_stopped_goes_on(workspace: Workspace, stages: Stages, stop_in: str) -> None:
    stages.stop_in = stop_in
    with pytest.raises(KeyboardInterrupt):
        one_fold.run(PARAMS, workspace, Fold(0, 0))
    assert not workspace.fold("0-0").exists()
    stages.stop_in = ""
    one_fold.run(PARAMS, workspace, Fold(0, 0))
    assert stages.ran == ["train", "quality", "export", "utility"]  # each once, over both runs


def test_what_was_in_work_for_other_choices_or_images_is_begun_anew(workspace: Workspace, stages: Stages) -> None:
    stages.stop_in = "export"
    with pytest.raises(KeyboardInterrupt):
        one_fold.run(PARAMS, workspace, Fold(0, 0))
    stages.stop_in = ""
    other = PARAMS.model_copy(update={"study": StudyParams(folds=5)})
    one_fold.run(other, workspace, Fold(0, 0))
    assert stages.ran == ["train", "quality", *("train", "quality", "export", "utility")]


def test_a_folds_store_holds_the_very_images_of_the_projects(workspace: Workspace) -> None:
    store, tested = Store.open(workspace.store), []
    for number in range(4):
        own = Workspace(workspace.root / f"fold{number}")
        one_fold.split(PARAMS, store, own, Fold(0, number))
        made = Store.open(own.store)
        rows = np.load(own.store / one_fold.ROWS)
        assert np.array_equal(made.split("test").images, store.images[rows])
        assert np.array_equal(made.split("test").labels, store.labels[rows])
        assert made.classes == store.classes and len(made.labels) == len(store.labels)
        assert np.array_equal(np.sort(made.images.sum(axis=(1, 2, 3))), np.sort(store.images.sum(axis=(1, 2, 3))))
        tested.append(rows)
    assert np.array_equal(np.sort(np.concatenate(tested)), np.arange(len(store.labels)))  # each once


def test_the_users_own_classifier_and_weights_are_found_from_a_fold(workspace: Workspace, stages: Stages) -> None:
    (workspace.root / "weights.pth").write_bytes(b"weights")
    choices = PARAMS.classify.model_copy(update={"classifier": "torchvision:resnet18", "weights": "weights.pth"})
    one_fold.run(PARAMS.model_copy(update={"classify": choices}), workspace, Fold(0, 0))
    weights = stages.seen[0].classify.weights
    assert (workspace.root / "somewhere" / "else" / weights).read_bytes() == b"weights"


def test_the_answers_of_a_fold_are_the_ones_that_the_study_reads(workspace: Workspace, stages: Stages) -> None:
    one_fold.run(PARAMS, workspace, Fold(0, 0))
    assert (workspace.fold("0-0") / ANSWERS).read_bytes() == b"the answers"


def test_a_worker_runs_the_stages_and_who_keeps_them_runs_none(workspace: Workspace, stages: Stages) -> None:
    one_fold.run(PARAMS, workspace, Fold(0, 1))
    one_fold.work(PARAMS, workspace, Fold(0, 0))
    assert not workspace.fold("0-0").exists()
    ran = list(stages.ran)
    for _ in range(2):  # a worker that was lost was at it too
        one_fold.work(PARAMS, workspace, Fold(0, 0))
    one_fold.run(PARAMS, workspace, Fold(0, 0))
    assert stages.ran == ran
    names = [{path.name for path in workspace.fold(fold).iterdir()} for fold in ("0-0", "0-1")]
    assert names[0] == names[1]


def test_a_fold_is_in_work_once(workspace: Workspace, stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_fold, "PATIENCE", 0.0)
    with alone(workspace.scratch / "folds" / "0-0.lock", "another"):
        for way in (one_fold.work, one_fold.run):
            with pytest.raises(BusyError, match="fold 0-0 is in work"):
                way(PARAMS, workspace, Fold(0, 0))
        one_fold.run(PARAMS, workspace, Fold(0, 1))
    assert stages.ran == ["train", "quality", "export", "utility"]
