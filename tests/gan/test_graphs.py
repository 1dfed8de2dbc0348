"""An iteration that is recorded once and replayed is the iteration that is done step by step, bit for bit.

``Tape`` does on the processor what a CUDA graph does on a GPU: it notes the operations of one run, and does them again
on the same memory, whatever Python would have done by then.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan.augment import OPERATIONS
from gan.config import Config
from gan.graphs import WARM_UP, CaptureError, CudaRecorder, FixedIterations, Work
from gan.networks import FAMILIES, Family, resnet
from gan.probe import EVERY, Probe
from gan.sampler import Sampler
from gan.trainer import Trainer
from tests.gan.test_trainer import CPU, bars

WAITS = {"_local_scalar_dense", "is_nonzero", "equal", "allclose", "item"}  # for a value
OF_ANY_SIZE = {"nonzero", "masked_select", "unique", "_unique2", "unique_dim", "unique_consecutive", "bincount"}
TINY: dict[str, Any] = {"kimg": 0.5, "batch_size": 8, "width": 4, "latent_dim": 4}
CASES = {
    "wgan-gp": {"recipe": "wgan-gp", "lr_warmup": 0.1},
    "packed": {"recipe": "wgan-gp", "packing": 2, "minibatch_std": 2, "augment": OPERATIONS, "label_delay": 0.2},
    "adaptive": {"recipe": "wgan-gp", "adaptive": True, "penalty_every": 3, "precision": "bfloat16"},
    "r3": {"recipe": "r3", "family": "dcgan", "penalty_every": 4, "drift_weight": 0.01, "burn_in": 0.9},
    "progressive": {"recipe": "wgan-gp", "family": "progressive", "kimg": 0.32},
    "dcgan": {"recipe": "dcgan", "ema_kimg": 0.0},
    "wgan": {"recipe": "wgan", "n_critic": 3},
    "regularised": {
        **{"recipe": "gan", "lecam": 0.3, "spectral_weight": 0.5, "feature_matching": 0.1, "label_smoothing": 0.1},
        **{"historical_averaging": 0.01, "minibatch_discrimination": 4, "latent_prior": "class"},
    },
    "stylegan2": {"recipe": "stylegan2"},  # lazy terms
    "adain": {"recipe": "stylegan2", "style": "adain"},
}


class Tape(TorchDispatchMode):
    """The operations done while it is active, with their results."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.noted.append((func, args, kwargs or {}, made))
        return made

    @torch.no_grad()
    def play(self) -> None:
        """Does them again; what they make goes where it went."""
        for func, args, kwargs, made in self.noted:
            for old, new in zip(_tensors(made), _tensors(func(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr():  # neither a view nor done in place
                    old.copy_(new)


def _tensors(made: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]


class TapeRecorder:
    """Records as a GPU does: nothing that is recorded is done."""

    def __init__(self, held: Callable[[], Iterator[Tensor]]) -> None:
        self.held, self.tapes, self.warm_ups = held, list[Tape](), 0

    def warm(self, work: Work) -> Tensor:
        self.warm_ups += 1
        return work()

    def record(self, work: Work) -> Work:
        held = list(self.held())
        before = [tensor.detach().clone() for tensor in held]
        with Tape() as tape:
            figures = work()
        with torch.no_grad():
            for tensor, value in zip(held, before, strict=True):
                tensor.copy_(value)
        self.tapes.append(tape)

        def replay() -> Tensor:
            tape.play()
            return figures.clone()

        return replay


def made(case: dict[str, Any]) -> Trainer:
    choices = TINY | case
    return Trainer.on_images(Config.of(choices.pop("recipe"), **choices), bars(), 0, CPU)


def fixed(trainer: Trainer, recorder: Any = None) -> Trainer:
    """The same, whose iterations find their inputs at fixed addresses."""
    trainer._fixed = FixedIterations(trainer._update, trainer._held, CPU, recorder)
    return trainer


def recorded(case: dict[str, Any]) -> tuple[Trainer, TapeRecorder]:
    trainer = made(case)
    recorder = TapeRecorder(trainer._held)
    return fixed(trainer, recorder), recorder


def go(trainer: Trainer, first: int, last: int) -> list[Tensor]:
    """Iterations; an adaptive augmentation begins with the third, and grows."""
    figures = []
    for done in range(first, last):
        if trainer.config.adaptive:
            trainer.strength = max(0.0, (done - 2) / 20)
        figures.append(trainer.iteration())
    return figures


def same(one: Trainer, other: Trainer) -> None:
    states = one.state(), other.state()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def copied(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.state().items()}


@pytest.mark.parametrize("name", CASES)
def test_a_replayed_iteration_is_the_same_bits(name: str) -> None:
    eager, direct = made(CASES[name]), fixed(made(CASES[name]))
    replayed, recorder = recorded(CASES[name])
    figures = [torch.stack(go(trainer, 0, 12)) for trainer in (eager, direct, replayed)]
    assert torch.equal(figures[0], figures[1]) and torch.equal(figures[0], figures[2])
    same(eager, direct)
    same(eager, replayed)
    assert recorder.tapes and not replayed.notes
    assert recorder.warm_ups < 12  # so that some iterations were replayed


@pytest.mark.parametrize("name", ["adaptive", "r3", "regularised"])
def test_a_record_stays_true_when_a_state_is_taken_up(name: str) -> None:
    """A rollback: back to the fourth iteration, and to the very beginning, with lower learning rates."""
    eager, (replayed, recorder) = made(CASES[name]), recorded(CASES[name])
    starts = [copied(trainer) for trainer in (eager, replayed)]
    go(eager, 0, 4), go(replayed, 0, 4)
    fourth = [copied(trainer) for trainer in (eager, replayed)]
    for states in (fourth, starts):
        go(eager, 4, 12), go(replayed, 4, 12)
        tapes = len(recorder.tapes)
        for trainer, state in zip((eager, replayed), states, strict=True):
            trainer.load_state(state)
            trainer.lr_scale = 0.25
            go(trainer, trainer.done, trainer.done + 3)
        same(eager, replayed)
        assert len(recorder.tapes) >= tapes > 0


def test_what_is_recorded_waits_for_nothing_and_makes_nothing_to_keep() -> None:
    """For every kind of iteration: no value is asked for, no size hangs on values, no tensor comes from elsewhere."""
    for case in CASES.values():
        trainer, recorder = recorded(case)
        before = [(tensor.data_ptr(), tensor.shape) for tensor in trainer._held()]
        go(trainer, 0, 12)
        assert [(tensor.data_ptr(), tensor.shape) for tensor in trainer._held()] == before
        for tape in recorder.tapes:
            names = {func.overloadpacket.__name__ for func, *_ in tape.noted}
            assert not names & (WAITS | OF_ANY_SIZE)
            assert not {name for name in names if name.startswith(("rand", "normal", "uniform", "bernoulli"))}
            known = {tensor.data_ptr() for tensor in trainer._held()}
            for _, args, kwargs, results in tape.noted:  # each input was held, given, or made by what came before
                assert not {t.device for t in (*_tensors(args), *_tensors(kwargs))} - {CPU}
                known |= {tensor.data_ptr() for tensor in _tensors(results)}
            assert len(tape.noted) > 100


def test_what_a_run_does_by_the_way_leaves_everything_in_its_place() -> None:
    """Drawing, looking at scores, taking up a state and its parts: a record would go on writing to the old places."""
    trainer = made(CASES["wgan-gp"])
    before = [tensor.data_ptr() for tensor in trainer._held()]
    trainer.iteration()
    state = copied(trainer)
    Sampler(trainer.ema, 0, CPU).draw(1, 0, 3)
    trainer.done = EVERY
    assert Probe(trainer, bars(), bars()).look()
    trainer.load_state(state)
    trainer.ema.load_state_dict(made(CASES["wgan-gp"]).ema.state_dict())
    trainer.iteration()
    assert [tensor.data_ptr() for tensor in trainer._held()] == before


def test_there_is_a_record_for_each_layout_alone() -> None:
    trainer, recorder = recorded({"recipe": "r3", "penalty_every": 4, "burn_in": 0.0})  # with the penalty, and without
    go(trainer, 0, 24)
    assert len(recorder.tapes) == 2 and recorder.warm_ups == 2 * WARM_UP


class Failing(TapeRecorder):
    """A GPU that does not take an iteration."""

    def record(self, work: Work) -> Work:
        raise CaptureError("operation not permitted when stream is capturing")


def test_what_cannot_be_recorded_is_done_step_by_step_and_said_once() -> None:
    eager, trainer = made(CASES["r3"]), made(CASES["r3"])
    fixed(trainer, Failing(trainer._held))
    go(eager, 0, 12), go(trainer, 0, 12)
    same(eager, trainer)
    assert len(trainer.notes) == 1
    assert "cannot be replayed as one CUDA graph (operation not permitted when stream" in trainer.notes[0]


def test_a_network_that_exchanges_its_buffers_is_not_recorded() -> None:
    trainer, recorder = recorded(CASES["r3"])
    trainer.iteration()
    embed = trainer.critic.head.embed
    embed._buffers["strength"] = torch.ones(())
    go(trainer, 1, 12)
    assert not recorder.tapes
    assert "puts new tensors in the place" in trainer.notes[0]


@pytest.mark.parametrize(
    ("added", "word"),
    [
        ({"schedule": lambda network, share: None}, "a schedule"),
        ({"generator_terms": (lambda generator, made: torch.zeros(()),)}, "terms of the generator"),
    ],
)
def test_a_family_that_decides_each_time_is_not_recorded(
    added: dict[str, Any], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "plugged", Family(resnet.Generator, resnet.Critic, **added))
    monkeypatch.setattr("torch.compile", lambda function, **_: function)
    trainer = made({"recipe": "gan", "family": "plugged", "compiled": True})
    assert trainer._fixed is None
    assert word in trainer.notes[0]


def test_compiled_means_fixed_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", lambda function, **_: function)
    eager, compiled = made(CASES["r3"]), made(CASES["r3"] | {"compiled": True})
    assert isinstance(compiled._fixed, FixedIterations) and eager._fixed is None
    for _ in range(3):
        torch.testing.assert_close(compiled.iteration(), eager.iteration(), rtol=1e-4, atol=1e-5)


def test_a_step_that_does_not_compile_is_done_uncompiled_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(function: object, **_: object) -> Callable[..., object]:
        def fail(*_: object) -> object:
            raise RuntimeError("Cannot find a working triton installation\nmore")

        return fail

    monkeypatch.setattr("torch.compile", refusing)
    eager, trainer = made(CASES["wgan-gp"]), made(CASES["wgan-gp"] | {"compiled": True})
    go(eager, 0, 2), go(trainer, 0, 2)
    same(eager, trainer)
    assert len(trainer.notes) == 1 and "Cannot find a working triton" in trainer.notes[0]


class FakeCuda:
    """Streams and graphs that note what is asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.error, self.said = error, list[str]()
        for name in ("Stream", "graph", "stream", "CUDAGraph", "current_stream", "graph_pool_handle"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name), raising=False)

    def Stream(self, device: object) -> "FakeCuda":  # noqa: N802
        return self

    current_stream = graph_pool_handle = CUDAGraph = lambda self: self

    def stream(self, stream: object) -> "FakeCuda":
        return self

    def graph(self, graph: object, **choices: object) -> "FakeCuda":
        assert choices["pool"] is choices["stream"] is self
        self.said.append("graph")
        return self

    def wait_stream(self, stream: object) -> None:
        self.said.append("wait")

    def replay(self) -> None:
        self.said.append("replay")

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self.error and self.said[-1] == "graph":
            raise self.error


def test_a_cuda_graph_is_warmed_up_aside_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCuda(monkeypatch)
    recorder = CudaRecorder(torch.device("cuda"))
    ones = torch.ones(6)
    assert recorder.warm(lambda: ones) is ones
    replay = recorder.record(lambda: ones)
    first = replay()
    assert fake.said == ["wait", "wait", "graph", "replay"]
    assert first.data_ptr() != ones.data_ptr()  # the next replay writes there


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: capture\nlong"), torch.OutOfMemoryError("no room")])
def test_a_capture_that_fails_is_one_kind_of_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCuda(monkeypatch, error)
    with pytest.raises(CaptureError, match=str(error).split("\n")[0]):
        CudaRecorder(torch.device("cuda")).record(lambda: torch.ones(6))
