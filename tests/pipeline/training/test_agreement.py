"""Processes that would not do the same run end before the first step, each with one sentence."""

from dataclasses import replace
from typing import Any

import pytest

from gan.ranks import Ranks
from pipeline.errors import BusyError, UserError
from pipeline.params import Params, TrainParams
from pipeline.stages.train import _setup
from pipeline.training.agreement import agreed
from pipeline.training.setup import TrainingSetup
from pipeline.workspace import Workspace

NAMES = ("params.yaml", "data/store", "train.init_from", "the device or its precision", "augmint", "torch")


class Second(Ranks):
    """The second of two processes, of which the first one says the same, but for ``facts`` and ``error``."""

    def __init__(self, facts: dict[str, str] | None = None, error: str = "") -> None:
        super().__init__()
        self.rank, self.count = 1, 2
        self._facts, self._error = facts or {}, error

    def gather(self, value: Any) -> list[Any]:
        first = value._replace(host="first", facts=value.facts | self._facts, error=self._error)
        return [first, value._replace(host="second")]


@pytest.fixture
def setup(digits_workspace: Workspace) -> TrainingSetup:
    return _setup(Params(train=TrainParams(kimg=1, batch_size=16, width=4)), digits_workspace)


def test_the_same_may_begin(setup: TrainingSetup) -> None:
    assert agreed(Second(), lambda: setup, 0) is setup
    assert agreed(Ranks(), lambda: setup, 0) is setup


@pytest.mark.parametrize("name", NAMES)
def test_what_differs_is_named_with_its_place(setup: TrainingSetup, name: str) -> None:
    with pytest.raises(UserError, match=f"process 1 on second does not have .* 0 on first has: {name} is another"):
        agreed(Second({name: "other"}), lambda: setup, 0)


def test_everything_that_differs_is_named(setup: TrainingSetup) -> None:
    with pytest.raises(UserError, match="data/store and torch are another there"):
        agreed(Second({"data/store": "other", "torch": "2.0"}), lambda: setup, 0)


def test_what_keeps_one_from_beginning_keeps_all(setup: TrainingSetup) -> None:
    with pytest.raises(UserError, match="process 0 on first: no ingested set"):
        agreed(Second(error="no ingested set"), lambda: setup, 0)

    def busy() -> TrainingSetup:
        raise BusyError("another training")

    with pytest.raises(BusyError, match=r"^another training$"):
        agreed(Second(), busy, 0)


def test_other_params_are_other_facts(digits_workspace: Workspace, setup: TrainingSetup) -> None:
    """Of what the processes do, nothing may differ unseen; where they do it, and with how many, may."""
    seen: list[dict[str, str]] = []

    class Hearing(Second):
        def gather(self, value: Any) -> list[Any]:
            seen.append(value.facts)
            return super().gather(value)

    changes: list[dict[str, Any]] = [{}, {"processes": 4, "launcher": "torchrun"}, {"width": 8}, {"critic_lr": 1e-3}]
    for change in changes:
        params = Params(train=TrainParams(**({"kimg": 1, "batch_size": 16, "width": 4} | change)))
        agreed(Hearing(), lambda params=params: _setup(params, digits_workspace), 0)
    agreed(Hearing(), lambda: setup, 1)
    assert seen[0] == seen[1]
    assert all(other["params.yaml"] != seen[0]["params.yaml"] for other in seen[2:])


def test_a_state_of_another_number_of_processes_is_none_of_this_run(setup: TrainingSetup) -> None:
    """Also where torchrun is called by hand, with a number that params.yaml does not have."""
    assert setup.ranks.count == setup.params.processes == 1
    assert replace(setup, ranks=Second()).key(0) != setup.key(0)
    launched = setup.params.model_copy(update={"launcher": "torchrun", "processes": 2})
    assert replace(setup, ranks=Second(), params=launched).key(0) == replace(setup, ranks=Second()).key(0)
