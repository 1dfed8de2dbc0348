"""A run in work: what it rolls back, what it ships, how it stops, and what it says of itself."""

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gan.checkpoint import load_generator, save_state
from gan.config import Config
from gan.probe import Probe
from gan.sampler import Sampler
from gan.trainer import Trainer
from pipeline.cli import main
from pipeline.errors import UserError
from pipeline.params import Params, TrainParams
from pipeline.progress import Progress
from pipeline.sampling import write_grid
from pipeline.stages import train
from pipeline.store import Store
from pipeline.training import estimate, snapshots
from pipeline.training.budget import Budget
from pipeline.training.interrupt import deferred
from pipeline.training.run import Run
from pipeline.training.snapshots import LEAST, Album, Judge, Snapshot, best
from pipeline.training.watch import Watch
from pipeline.workspace import Workspace
from tests.pipeline.stages.test_train import shipped, tiny

OUTPUTS = ("models", "plots/train", "metrics")


@pytest.fixture(autouse=True)
def _quick_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "EMBEDDER_STEPS", 5)


def content(workspace: Workspace) -> dict[str, bytes]:
    """Every output's bytes, by path."""
    files = [path for name in OUTPUTS for path in sorted((workspace.root / name).rglob("*")) if path.is_file()]
    return {str(path.relative_to(workspace.root)): path.read_bytes() for path in files}


def figures(workspace: Workspace) -> dict:
    return json.loads(workspace.metrics("train").read_text())


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sends this process SIGTERM after so many iterations."""

    def after(iterations: int) -> None:
        advance, left = Progress.advance, iter(range(iterations - 1))

        def advance_and_stop(self: Progress, count: int = 1, note: str = "") -> None:
            advance(self, count, note)
            if next(left, None) is None:
                monkeypatch.setattr(Progress, "advance", advance)
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(Progress, "advance", advance_and_stop)

    return after


@pytest.fixture
def diverge_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float], None]:
    """Ruins the critic's weights at an iteration, as long as the learning rate is above a bound."""

    def at(iteration: int, bound: float) -> None:
        step = Run._step

        def ruin(self: Run) -> torch.Tensor | None:
            if self.trainer.done == iteration and self.trainer.lr_scale > bound:
                next(self.trainer.critic.parameters()).data.fill_(torch.inf)
            return step(self)

        monkeypatch.setattr(Run, "_step", ruin)

    return at


# Rollback ----------------------------------------------------------------------------------------------------------


def test_a_diverged_run_goes_back_with_lower_rates_and_says_so(
    digits_workspace: Workspace, diverge_at: Callable[[int, float], None], capsys: pytest.CaptureFixture
) -> None:
    diverge_at(12, 0.1)
    train.run(Params(train=tiny()), digits_workspace)
    found = figures(digits_workspace)
    assert found["rollbacks"] == 2
    assert [one["signal"] for one in found["health"] if one["signal"] == "divergence"] == ["divergence"] * 2
    assert "learning rates times 0.0625 (rollback 2 of 3)" in capsys.readouterr().err
    assert load_generator(digits_workspace.models)[0](torch.zeros(1, 8), torch.tensor([0])).isfinite().all()


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are read some iterations late."""
    monkeypatch.setattr(Watch, "full", property(lambda watch: len(watch._unread) >= 7))


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_divergence_that_is_seen_late_leads_back_to_the_same_state(
    digits_workspace: Workspace, diverge_at: Callable[[int, float], None]
) -> None:
    diverge_at(12, 0.1)
    train.run(Params(train=tiny()), digits_workspace)
    found = figures(digits_workspace)
    assert found["rollbacks"] == 2
    assert load_generator(digits_workspace.models)[0](torch.zeros(1, 8), torch.tensor([0])).isfinite().all()


def test_when_figures_are_read_changes_none_of_them(
    digits_workspace: Workspace, request: pytest.FixtureRequest, stop_after: Callable[[int], None]
) -> None:
    """Nor does a run that is stopped between: it stops where they have been read, and goes on from there."""
    params = Params(train=tiny(augment=("translate",)))  # of full strength: an adaptive one would be adapted later
    train.run(params, digits_workspace)
    whole = content(digits_workspace)
    request.getfixturevalue("as_on_a_gpu")
    stop_after(9)
    with pytest.raises(KeyboardInterrupt):
        train.run(params, digits_workspace)
    train.run(params, digits_workspace)
    assert content(digits_workspace) == whole


def test_sizes_that_stay_a_hundredfold_lead_back_too(
    digits_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Figures stay finite here: three readings in a row tell it, and the run goes on from before the first of them."""
    step, back = Run._step, []

    def swell(self: Run) -> torch.Tensor | None:
        if self.trainer.done == 8:
            back.append(self.trainer.lr_scale)
            if self.trainer.lr_scale == 1:
                next(self.trainer.critic.parameters()).data.mul_(1e4)
        return step(self)

    monkeypatch.setattr(Run, "_step", swell)
    train.run(Params(train=tiny(rollbacks=1)), digits_workspace)
    found = figures(digits_workspace)
    assert back == [1, 0.25]
    assert found["rollbacks"] == 1
    (alarm,) = [one for one in found["health"] if one["signal"] == "divergence"]
    assert alarm["value"] > 100
    assert alarm["kimg"] == alarm["until"] == pytest.approx(11 * 0.032)  # the third iteration of the kind
    assert "back to 0.3 kimg with learning rates times 0.25 (rollback 1 of 1)" in capsys.readouterr().err


def test_a_run_stopped_between_rollback_and_end_gives_the_same_bytes(
    digits_workspace: Workspace, diverge_at: Callable[[int, float], None], stop_after: Callable[[int], None]
) -> None:
    diverge_at(12, 0.1)
    train.run(Params(train=tiny()), digits_workspace)
    whole = content(digits_workspace)
    for iterations in (5, 13):
        stop_after(iterations)
        with pytest.raises(KeyboardInterrupt):
            train.run(Params(train=tiny()), digits_workspace)
    train.run(Params(train=tiny()), digits_workspace)
    assert content(digits_workspace) == whole


def test_without_rollbacks_left_a_divergence_ends_the_run(
    digits_workspace: Workspace, diverge_at: Callable[[int, float], None]
) -> None:
    diverge_at(12, 0.1)
    with pytest.raises(UserError, match="after 1 rollbacks; lower"):
        train.run(Params(train=tiny(rollbacks=1)), digits_workspace)


# Stopping and damage -------------------------------------------------------------------------------------------------


def test_a_stop_leaves_a_generator_to_look_at_and_no_outputs(
    digits_workspace: Workspace, stop_after: Callable[[int], None], capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    stop_after(7)
    with pytest.raises(KeyboardInterrupt):
        train.run(Params(train=tiny()), digits_workspace)
    assert content(digits_workspace) == {}
    assert "augmint sample --model" in capsys.readouterr().err
    write_grid(digits_workspace.scratch / "train", "3", 4, 0, tmp_path / "three.png")
    assert (tmp_path / "three.png").exists()


def test_the_first_signal_waits_and_the_second_does_not() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with deferred() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("damage", ["newest", "both", "snapshot"])
def test_damage_on_disk_costs_time_and_not_a_bit(
    digits_workspace: Workspace, stop_after: Callable[[int], None], capsys: pytest.CaptureFixture, damage: str
) -> None:
    params = Params(train=tiny(snapshot_kimg=0.2))
    train.run(params, digits_workspace)
    whole = content(digits_workspace)
    stop_after(13)
    with pytest.raises(KeyboardInterrupt):
        train.run(params, digits_workspace)
    folder = digits_workspace.scratch / "train"
    named = {"newest": ["state.safetensors"], "both": ["state.safetensors", "state.before.safetensors"]}
    for name in named.get(damage, ["ema_000000224_images.safetensors"]):
        damaged = bytearray((folder / name).read_bytes())
        damaged[-9] ^= 4
        (folder / name).write_bytes(damaged)
    capsys.readouterr()
    train.run(params, digits_workspace)
    said = capsys.readouterr().out
    assert ("goes on from" in said) == (damage == "newest")
    assert "damaged" in said or "snapshots are lost" in said
    assert content(digits_workspace) == whole


# Snapshots -----------------------------------------------------------------------------------------------------------


def test_the_best_has_the_highest_coverage_among_those_of_about_the_lowest_kid() -> None:
    def of(images: int, kid: float, coverage: float) -> Snapshot:
        return Snapshot(images, kid, 0.1, coverage)

    assert best([of(1, 0.5, 0.9), of(2, 0.3, 0.5), of(3, 0.9, 0.9)]).images == 2
    assert best([of(1, 0.32, 0.9), of(2, 0.3, 0.5), of(3, 0.35, 0.95)]).images == 1
    assert best([of(1, 0.3, 0.5), of(2, 0.3, 0.5)]).images == 2


def test_a_snapshot_of_another_network_is_refused_and_goes(digits_workspace: Workspace) -> None:
    """It is whole, and says that it is this run's: only its tensors tell."""
    setup = train._setup(Params(train=tiny()), digits_workspace)
    album = Album(setup.judge, digits_workspace.scratch, "key")
    album.taken = [Snapshot(8, 0.1, 0.1, 0.5)]
    save_state(album._file(8), {"weight": torch.zeros(3)}, "key")
    with pytest.raises(UserError, match="begins anew"):
        album.load_best(setup.trainer(0).ema)
    assert not album.load_rows(album.rows())


def test_what_ships_is_the_snapshot_that_the_figures_name(digits_workspace: Workspace) -> None:
    train.run(Params(train=tiny(snapshot_kimg=0.2)), digits_workspace)
    found = figures(digits_workspace)["snapshot"]
    assert [one["kimg"] for one in found["of"]] == [0.224, 0.416, 0.608, 0.64]
    assert {key: value for key, value in found.items() if key != "of"} in found["of"]
    assert load_generator(digits_workspace.models)[1]["kimg"] == found["kimg"]


def test_an_earlier_snapshot_that_was_better_is_the_one_that_ships(
    digits_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.run(Params(train=tiny(kimg=0.416, lr_decay=0.0)), digits_workspace)
    early = shipped(digits_workspace)
    monkeypatch.setattr(Judge, "look", lambda *args: Snapshot(args[2], float(args[2] != 416), 0.0, 0.5))
    train.run(Params(train=tiny(snapshot_kimg=0.2, lr_decay=0.0)), digits_workspace)
    assert figures(digits_workspace)["snapshot"]["kimg"] == 0.416
    assert shipped(digits_workspace) == early


def test_with_few_held_out_images_the_last_one_ships(digits_workspace: Workspace) -> None:
    summary = digits_workspace.store / "summary.json"
    found = json.loads(summary.read_text())
    start, _ = found["splits"]["val"]
    found["splits"] |= {"val": [start, start + LEAST - 1], "test": [start + LEAST - 1, found["splits"]["test"][1]]}
    del found["counts"]
    summary.write_text(json.dumps(found))
    train.run(Params(train=tiny(snapshot_kimg=0.2)), digits_workspace)
    assert figures(digits_workspace)["snapshot"] == {
        "kimg": 0.64,
        "kid": None,
        "standard_error": None,
        "coverage": None,
        "of": [],
    }


def test_the_judge_prefers_real_images_to_noise(digits_store: Store) -> None:
    judge = Judge(digits_store, 0)
    train_split = digits_store.split("train")

    class Real(torch.nn.Module):
        """Draws images of the train split."""

        shape = type("S", (), {"latent_dim": 2, "image_size": 8})

        def __init__(self) -> None:
            super().__init__()
            self.dummy = torch.nn.Parameter(torch.zeros(1))

        def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            rows = [np.flatnonzero(train_split.labels == label)[i % 80] for i, label in enumerate(labels.tolist())]
            return torch.from_numpy(train_split.images[rows]).float() / 127.5 - 1

    class Noise(Real):
        """Draws noise."""

        def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return torch.rand(len(z), 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    real, noise = judge.look(Real(), 1), judge.look(Noise(), 1)  # type: ignore[arg-type]
    assert real.kid < noise.kid / 10
    assert real.coverage > 0.8 > noise.coverage + 0.3


# Budget, ensemble, plan ----------------------------------------------------------------------------------------------


def test_minutes_are_counted_over_all_sittings(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.0, 130.0, 500.0, 515.0])
    monkeypatch.setattr("pipeline.training.budget.time.monotonic", lambda: next(clock))
    budget = Budget(Config(kimg=1), minutes=1.0)
    assert budget.share(0) == 0
    assert budget.share(5) == 0.5
    budget.resume(0.5)
    assert budget.share(5) == 0.75


def test_a_budget_of_minutes_ends_when_they_are_over(digits_workspace: Workspace) -> None:
    train.run(Params(train=tiny(kimg=None, minutes=0.03, snapshot_kimg=1e6)), digits_workspace)
    found = figures(digits_workspace)
    assert found["iterations"] >= 1
    assert found["kimg"] == pytest.approx(found["iterations"] * 0.032)


def test_an_ensemble_ships_every_member_and_draws_from_them_in_turn(
    digits_workspace: Workspace, stop_after: Callable[[int], None]
) -> None:
    single = Params(train=tiny())
    train.run(single, digits_workspace)
    alone = content(digits_workspace)
    stop_after(27)  # the first of two is trained by then, the other in work
    with pytest.raises(KeyboardInterrupt):
        train.run(Params(train=tiny(seeds=2)), digits_workspace)
    train.run(Params(train=tiny(seeds=2)), digits_workspace)
    both = content(digits_workspace)
    assert both["models/generator.safetensors"] == alone["models/generator.safetensors"]
    assert both["models/member_1/generator.safetensors"] != alone["models/generator.safetensors"]
    assert len(figures(digits_workspace)["members"]) == 1
    generator, card = load_generator(digits_workspace.models)
    whole = Sampler(generator, 0).draw(3, 0, 8)
    assert torch.equal(Sampler(generator, 0).draw(3, 2, 4), whole[2:6])
    assert card["sha256"] != figures(digits_workspace)["generator"]
    assert not [place for place in digits_workspace.scratch.glob("train*") if place.is_dir()]


def test_a_dry_run_tells_all_and_writes_nothing(digits_workspace: Workspace, capsys: pytest.CaptureFixture) -> None:
    before = sorted(digits_workspace.root.rglob("*"))
    train.dry_run(Params(train=tiny(recipe="gan")), digits_workspace)
    said = capsys.readouterr().out
    for told in ("parameters of the generator", "MiB at the peak", "iterations", "s an iteration", "penalty: r1"):
        assert told in said
    assert sorted(digits_workspace.root.rglob("*")) == before


def test_an_adaptive_augmentation_follows_the_probe(
    digits_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A critic that overfits fully at each look: one look in 8 iterations of 32 images, 20 kimg from nothing to all."""
    monkeypatch.setattr(Probe, "overfitting", property(lambda self: 1.0))
    train.run(Params(train=tiny(augment="auto")), digits_workspace)
    with (digits_workspace.plots("train") / "curves.csv").open(encoding="utf-8") as file:
        strengths = [float(row["augment_strength"]) for row in csv.DictReader(file)]
    step = 8 * 32 / 20_000
    assert strengths == pytest.approx([0.0] * 7 + [step] * 8 + [2 * step] * 5)


def test_the_time_is_measured_all_over_the_budget(digits_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that grows takes longer at the end."""
    shares, iteration = [], Trainer.iteration

    def noted(self: Trainer, share: float | None = None) -> torch.Tensor:
        shares.append(share)
        return iteration(self, share)

    monkeypatch.setattr(Trainer, "iteration", noted)
    train.dry_run(Params(train=tiny()), digits_workspace)
    assert shares[-estimate.TIMED :] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])


@pytest.mark.parametrize("fields", [{"minutes": 3.0}, {"kimg": None}])
def test_a_budget_is_one_of_two(fields: dict) -> None:
    with pytest.raises(ValueError, match="give the budget as kimg or as minutes"):
        TrainParams(**fields)


def test_the_command_offers_the_dry_run() -> None:
    assert "--dry-run" in [option for one in main.commands["train"].params for option in one.opts]
