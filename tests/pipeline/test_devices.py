"""Which device a choice stands for: an Apple GPU is tried before it is taken, and never taken unasked."""

from collections.abc import Iterator

import pytest
import torch

from gan import fitness
from pipeline import doctor
from pipeline.errors import UserError
from pipeline.params import ClassifyParams, TrainParams
from pipeline.runtime import choose_device, taken_by_others, trouble_with_mps
from pipeline.training.settings import gan_config, has_bfloat16

CPU = torch.device("cpu")


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A machine with an Apple GPU, of which torch says so; this build of torch cannot use it."""
    trouble_with_mps.cache_clear()
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    yield monkeypatch
    trouble_with_mps.cache_clear()


def test_the_processor_can_train() -> None:
    assert fitness.trouble(CPU) is None


@pytest.mark.parametrize("device", ["meta", "mps"])  # without values; not in this build of torch
def test_a_device_that_cannot_is_named_by_what_it_says(device: str) -> None:
    reason = fitness.trouble(torch.device(device))
    assert reason and "\n" not in reason


def test_a_device_that_reckons_otherwise_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter([torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), torch.tensor([1.0, 2.0, 3.1, 4.0, 5.0, 6.0])])
    monkeypatch.setattr(fitness, "_figures", lambda device: next(figures))
    assert fitness.trouble(CPU) == "score gap is 3 there and 3.1 on the processor"


def test_figures_that_are_no_numbers_are_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter([torch.full((6,), torch.nan), torch.ones(6)])
    monkeypatch.setattr(fitness, "_figures", lambda device: next(figures))
    assert "nan there" in str(fitness.trouble(CPU))


def test_mps_is_taken_where_it_does(apple: pytest.MonkeyPatch) -> None:
    apple.setattr(fitness, "trouble", lambda device: None)
    assert choose_device("mps", "train.device").type == "mps"
    assert choose_device("auto", "train.device").type == "cpu"


def test_where_it_does_not_that_is_said_and_the_processor_taken(
    apple: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tried: list[torch.device] = []

    def trouble(device: torch.device) -> str:
        tried.append(device)
        return "no aten::grid_sampler_2d_backward"

    apple.setattr(fitness, "trouble", trouble)
    for _ in range(2):
        assert choose_device("mps", "classify.device").type == "cpu"
    assert len(tried) == 1
    said = capsys.readouterr().out
    assert "classify.device: torch" in said
    assert said.count("cannot train on this Apple GPU (no aten::grid_sampler_2d_backward); taking the processor") == 1


def test_mps_without_such_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        UserError, match=r"train\.device: mps is asked for, but torch sees no Apple GPU; use auto or cpu"
    ):
        choose_device("mps", "train.device")


@pytest.mark.parametrize(("trouble", "words"), [(None, "mps would take"), ("no double", "the Apple GPU (no double)")])
def test_the_doctor_tells_of_it(apple: pytest.MonkeyPatch, trouble: str | None, words: str) -> None:
    apple.setattr(fitness, "trouble", lambda device: trouble)
    (result,) = doctor.device()
    assert result.state == "ok"
    assert "on the processor" in result.found and words in result.found


def test_an_apple_gpu_is_given_neither_bfloat16_nor_graphs_unasked() -> None:
    mps = torch.device("mps")
    assert not has_bfloat16(mps)
    config = gan_config(TrainParams(), mps, [9], 8)
    assert (config.precision, config.compiled) == ("float32", False)
    assert TrainParams(device="mps").device == ClassifyParams(device="mps").device == "mps"


@pytest.mark.parametrize(("free", "own", "others"), [(60, 10, False), (10, 10, True), (10, 80, False)])
def test_who_fills_the_gpu(free: int, own: int, others: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: own)
    assert taken_by_others(torch.device("cuda")) == others
    assert not taken_by_others(CPU)
