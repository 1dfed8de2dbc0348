"""What several processes are to train is handed over to them, whatever folder they are started in."""

import json
from pathlib import Path

import pytest

from pipeline.params import DataParams, Params, TrainParams
from pipeline.stages import train
from pipeline.training.processes import TASK, handed_over
from pipeline.workspace import Workspace
from tests.pipeline.stages.test_train import shipped, tiny


def test_what_is_handed_over_is_what_was_given_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What params.yaml leaves open stays open: the family and the recipe have their say in it."""
    params = Params(seed=7, train=TrainParams(recipe="stylegan2", kimg=1, augment=("scale",)))
    params = params.model_copy(update={"data": DataParams(image_size=16)})
    (tmp_path / "task.json").write_text(
        json.dumps({"root": "fold", "params": params.model_dump(mode="json", exclude_unset=True)})
    )
    assert handed_over(params, Workspace()) == (params, Workspace())
    monkeypatch.setenv(TASK, str(tmp_path / "task.json"))
    found, workspace = handed_over(Params(), Workspace())
    assert (found, workspace) == (params, Workspace(Path("fold")))
    assert found.train.config == params.train.config
    assert found.train.model_fields_set == params.train.model_fields_set


def test_a_training_elsewhere_leaves_its_outputs_there_and_none_here(
    digits_workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a fold of a study is: its folder is not that of the params.yaml which the processes would find."""
    params = Params(seed=3, train=tiny(kimg=0.064, launcher="torchrun", processes=1, device="cpu"))
    (here := tmp_path / "here").mkdir()
    (here / "params.yaml").write_text("seed: 1\n", encoding="utf-8")
    monkeypatch.chdir(here)
    elsewhere = Workspace(digits_workspace.root.absolute())
    train.run(params, elsewhere)
    assert [path.name for path in here.iterdir() if not path.name.startswith(".")] == ["params.yaml"]
    assert json.loads((elsewhere.models / "generator.json").read_text(encoding="utf-8"))["seed"] == 3
    assert shipped(elsewhere) and not (elsewhere.scratch / "train_task.json").exists()
