"""The train stage: what it refuses, what it keeps, and whose state it takes up."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gan.checkpoint import load_generator
from gan.trainer import Trainer
from pipeline.errors import BusyError, UserError
from pipeline.locks import alone
from pipeline.params import Params, TrainParams
from pipeline.progress import Progress
from pipeline.stages import train
from pipeline.training import snapshots, status
from pipeline.training.settings import gan_config
from pipeline.training.status import Reporter
from pipeline.workspace import Workspace
from tests.gan.test_parts import Room


@pytest.fixture(autouse=True)
def _quick_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "EMBEDDER_STEPS", 5)


def tiny(**fields: object) -> TrainParams:
    """Some 20 iterations of a small network."""
    chosen = {"kimg": 0.64, "batch_size": 16, "width": 4, "latent_dim": 8, "grid_kimg": 0.2, "checkpoint_seconds": 0.0}
    return TrainParams(**(chosen | fields))


def shipped(workspace: Workspace) -> bytes:
    return (workspace.models / "generator.safetensors").read_bytes()


def test_it_ships_a_generator_with_its_card_and_leaves_no_state(digits_workspace: Workspace) -> None:
    train.run(Params(train=tiny()), digits_workspace)
    generator, card = load_generator(digits_workspace.models)
    assert card["classes"] == [str(digit) for digit in range(10)]
    assert (card["channels"], card["image_size"]) == (1, 8)
    assert generator(torch.zeros(2, 8), torch.tensor([0, 9])).shape == (2, 1, 8, 8)
    figures = json.loads(digits_workspace.metrics("train").read_text())
    assert figures["iterations"] == 20
    assert figures["generator"] == card["sha256"]
    assert not (digits_workspace.scratch / "train").exists()
    assert len(list((digits_workspace.plots("train") / "grids").glob("*.png"))) == 4  # at 224, 416, 608 and 640 images


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_device_is_said(digits_workspace: Workspace) -> None:
    with pytest.raises(UserError, match=r"train\.device: cuda is asked for"):
        train.run(Params(train=tiny(device="cuda")), digits_workspace)


def test_a_run_that_diverges_says_what_to_do_and_keeps_the_last_model(digits_workspace: Workspace) -> None:
    train.run(Params(train=tiny()), digits_workspace)
    before = shipped(digits_workspace)
    with pytest.raises(UserError, match=r"diverged before .* lower train\.critic_lr"):
        train.run(Params(train=tiny(critic_lr=1e6, generator_lr=1e6)), digits_workspace)
    assert shipped(digits_workspace) == before


def test_a_second_training_in_a_folder_is_refused(digits_workspace: Workspace) -> None:
    with (
        alone(digits_workspace.scratch / "train.lock", "a training"),
        pytest.raises(BusyError, match=r"a training is in work in this folder \(PID \d+\)"),
    ):
        train.run(Params(train=tiny()), digits_workspace)
    assert not digits_workspace.models.exists()


def test_a_full_gpu_is_worth_another_try(digits_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Trainer, share: float | None = None) -> None:
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr(Trainer, "iteration", full)
    with pytest.raises(BusyError, match=r"no room \(tried to allocate 2 GiB\).*lower train.batch_size"):
        train.run(Params(train=tiny()), digits_workspace)


def test_a_batch_without_room_is_taken_in_parts_and_that_is_told(
    digits_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(status, "SECONDS_BETWEEN", 0.0)
    told: list[list[str]] = []
    write = Reporter.write
    monkeypatch.setattr(Reporter, "write", lambda self, *args: (told.append(args[-1][:]), write(self, *args)))
    with Room(8):
        train.run(Params(train=tiny(kimg=0.064)), digits_workspace)
    said = capsys.readouterr().err
    for parts in (2, 4):
        assert said.count(f"it is taken in {parts} parts, with the same gradients but for rounding") == 1
    assert "in 4 parts" in told[-1][1]
    with Room(0), pytest.raises(UserError, match=r"even for a batch in 16 parts \(.*lower train\.width"):
        train.run(Params(train=tiny(kimg=0.064)), digits_workspace)
    monkeypatch.setattr(train, "taken_by_others", lambda device: True)
    with Room(0), pytest.raises(BusyError, match="wait for what else is on it"):
        train.run(Params(train=tiny(kimg=0.064)), digits_workspace)


def stop_after(iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises ``KeyboardInterrupt`` after so many iterations of the next run."""
    advance, left = Progress.advance, iter(range(iterations - 1))

    def advance_or_stop(self: Progress, count: int = 1, note: str = "") -> None:
        advance(self, count, note)
        if next(left, None) is None:
            monkeypatch.setattr(Progress, "advance", advance)
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "advance", advance_or_stop)


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """See :func:`stop_after`."""
    return lambda iterations: stop_after(iterations, monkeypatch)


def test_an_interrupted_run_goes_on_to_the_same_weights(
    digits_workspace: Workspace, interrupt: Callable[[int], None], capsys: pytest.CaptureFixture
) -> None:
    params = Params(train=tiny(checkpoint_seconds=1000.0))
    train.run(params, digits_workspace)
    whole = shipped(digits_workspace)
    curves = (digits_workspace.plots("train") / "curves.csv").read_bytes()
    interrupt(7)
    with pytest.raises(KeyboardInterrupt):
        train.run(params, digits_workspace)
    assert "`dvc repro` goes on from there" in capsys.readouterr().err
    train.run(params, digits_workspace)
    assert "goes on from 0.2 kimg" in capsys.readouterr().out
    assert shipped(digits_workspace) == whole
    assert (digits_workspace.plots("train") / "curves.csv").read_bytes() == curves


def test_a_state_of_other_parameters_is_not_taken_up(
    digits_workspace: Workspace, interrupt: Callable[[int], None], capsys: pytest.CaptureFixture
) -> None:
    interrupt(7)
    with pytest.raises(KeyboardInterrupt):
        train.run(Params(train=tiny()), digits_workspace)
    train.run(Params(seed=1, train=tiny()), digits_workspace)
    assert "goes on" not in capsys.readouterr().out


@pytest.mark.parametrize(("major", "expected"), [(7, "float32"), (8, "bfloat16")])  # a T4 or V100, and an A100
def test_bfloat16_is_chosen_only_on_gpus_that_have_it(
    major: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(major=major))
    assert gan_config(tiny(), torch.device("cuda"), [9], 8).precision == expected


def test_bfloat16_is_chosen_only_where_the_processor_has_it() -> None:
    cpu = torch.device("cpu")
    fast = "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8") if sys.platform == "linux" else False
    restricted = "ATEN_CPU_CAPABILITY" in os.environ
    assert gan_config(tiny(), cpu, [9], 8).precision == ("bfloat16" if fast and not restricted else "float32")
    assert gan_config(tiny(precision="float32"), cpu, [9], 8).precision == "float32"


def test_a_processor_told_to_do_without_avx512_is_not_asked_for_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert gan_config(tiny(), torch.device("cpu"), [9], 8).precision == "float32"


def test_a_class_without_train_images_is_named(digits_workspace: Workspace) -> None:
    summary = digits_workspace.store / "summary.json"
    content = json.loads(summary.read_text())
    summary.write_text(json.dumps(content | {"classes": [*content["classes"], "ten"]}))
    with pytest.raises(UserError, match="no train image of class 'ten'"):
        train.run(Params(train=tiny()), digits_workspace)
