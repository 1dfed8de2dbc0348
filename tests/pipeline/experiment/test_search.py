from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.classifier.architectures import build
from pipeline.classifier.training import Recipe
from pipeline.experiment import trial
from pipeline.experiment.adjustment import Counts, adjustable, class_mass
from pipeline.experiment.arms import FLIPS, Arm, flipped, without_synthetic
from pipeline.experiment.endpoints import BALANCED_ACCURACY
from pipeline.experiment.pool import save
from pipeline.experiment.runner import Runner
from pipeline.experiment.search import Experiment, _Search, experiment, trainings, trials
from pipeline.experiment.trial import Predictions, TrialSetup
from pipeline.params import ClassifyParams
from pipeline.progress import Progress
from pipeline.store import Store, write_store
from pipeline.workers import Local

COUNTS = Counts(np.array([40, 8]), np.array([0, 32]), np.array([32, 32]))
LABELS = np.arange(50) % 2


class Chances:
    """In the place of a runner: what an arm answers hangs on its key and its seed, and on nothing else."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, int, int]] = Counter()
        self.calls: list[tuple[int, list[Arm]]] = []

    def run(self, *arms: Arm, seeds: int, draws: int, crossed: bool = True) -> list[Predictions]:
        """Logits (seeds, draws, images, classes)."""
        self.calls.append((seeds, list(arms)))
        return [self._of(arm, seeds, draws, crossed) for arm in arms]

    def _of(self, arm: Arm, seeds: int, draws: int, crossed: bool) -> Predictions:
        cells = [
            [(arm.key(), seed, draw) for draw in (range(draws) if crossed else [seed % draws])]
            if arm.draws_matter
            else [(arm.key(), seed, 0)]
            for seed in range(seeds)
        ]
        self.asked.update(cell for row in cells for cell in row)
        logits = np.array([[self._logits(arm, *cell) for cell in row] for row in cells])
        return Predictions(logits, logits, np.zeros((*logits.shape[:2], 0), np.int64))

    def _logits(self, arm: Arm, key: str, seed: int, draw: int) -> np.ndarray:
        rng = np.random.default_rng([int(key, 16), seed, draw])
        return (rng.normal(size=(50, 2)) + 0.7 * np.eye(2)[LABELS]).astype(np.float32)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("tuning_seeds", [1, 2, 3])
def test_as_many_are_asked_for_and_trained_as_are_said(alone: bool, tuning_seeds: int) -> None:
    params, runner = ClassifyParams(tuning_seeds=tuning_seeds, seeds=5, draws=2), Chances()
    counts = COUNTS if alone else Counts(COUNTS.train, COUNTS.synthetic, np.zeros(2, np.int64))
    found = experiment(runner, params, [0.5, 1.0, 2.0], counts, LABELS)  # type: ignore[arg-type]
    assert runner.asked.total() == trials(params, 3, alone)
    same = found.arms["control"][0].dose == 1.0  # the dose at which it was tuned
    assert len(runner.asked) == trainings(params, 3, alone) - (tuning_seeds if same else 0)
    assert set(found.arms) == {*without_synthetic(), "synthetic", *(["synthetic_only"] if alone else [])}


def test_an_experiment_takes_no_more_than_a_quarter_more_time_than_before_flips_and_retrained_heads() -> None:
    """Twelve recipes of two rates and two seeds, five doses, six arms and two of synthetic images: 116 at most."""
    assert trainings(ClassifyParams(), doses=5) <= 116 * 1.25


def test_every_group_has_the_same_budget_and_the_better_half_goes_on() -> None:
    params, runner = ClassifyParams(tuning_seeds=3), Chances()
    search = _Search(runner, params, COUNTS, LABELS, BALANCED_ACCURACY)  # type: ignore[arg-type]
    groups = [[Arm(f"{n}", Recipe(), extra="copies", dose=i + n / 10) for i in range(n)] for n in (1, 2, 3)]
    best = search.best(*groups)
    assert [arm.name for arm in runner.calls[0][1]] == [*"11", *"2222", *"333333"]
    assert runner.calls[0][0] == 1
    assert [arm.name for arm in runner.calls[1][1]] == [*"1", *"22", *"333"]
    assert runner.calls[1][0] == 3
    assert len(search.tried) == 12
    for name, winner in zip("123", best, strict=True):
        own = [one for one in search.tried if one.arm.name == name]
        longer, shorter = ([one for one in own if len(one.validation) == n] for n in (3, 1))
        assert min(one.validation[0] for one in longer) >= 0.5
        assert winner == max(longer, key=lambda one: one.mean)
        assert len(longer) == len(shorter) == len(own) / 2


def test_the_arms_are_judged_with_their_logits_adjusted_and_say_by_how_much() -> None:
    class Biased(Chances):
        """Plain training favours the large class by log π; all else is right."""

        def _logits(self, arm: Arm, key: str, seed: int, draw: int) -> np.ndarray:
            mass = class_mass(arm, COUNTS, ClassifyParams())
            right = np.random.default_rng(seed).normal(size=(50, 2)) * 0.05 + 0.3 * np.eye(2)[LABELS]
            return (right + np.log(mass)).astype(np.float32)

    found: Experiment = experiment(Biased(), ClassifyParams(), [1.0], COUNTS, LABELS)  # type: ignore[arg-type]
    for name, (arm, predictions) in found.arms.items():
        told = (predictions.test.argmax(-1) == LABELS).mean()
        assert told == 1, name
        assert (arm.tau > 0) == adjustable(class_mass(arm, COUNTS, ClassifyParams())), name
    assert found.arms["real"][0].tau == 1.0
    assert found.arms["oversampling"][0].tau == 0.0


def _digits_setup(digits: tuple[np.ndarray, np.ndarray], folder: Path) -> TrialSetup:
    images, labels = digits
    (folder / "store").mkdir()
    parts = {"train": slice(0, 500), "val": slice(500, 1000), "test": slice(1000, 1050)}
    blocks = [images[part] for part in parts.values()]
    labelled = {name: labels[part] for name, part in parts.items()}
    write_store(folder / "store", blocks, labelled, [str(c) for c in range(10)], (1, 8, 8), {})  # type: ignore[arg-type]
    save(folder / "pool", images[1700:1790], np.sort(labels[1700:1790]), np.zeros(90, np.int64), np.full(10, 1))
    params = ClassifyParams(seeds=5, tuning_seeds=1, tuning=((2e-2, 5e-2),), draws=1, steps=50, batch_size=32, width=8)
    return TrialSetup(folder, folder / "store", folder / "pool", params)


def test_on_digits_which_mirrored_are_others_validation_rejects_every_flip(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    setup = _digits_setup(digits, tmp_path)
    labels = Store.open(setup.store).split("val").labels
    plain = Arm("classical", Recipe("oversampling"))
    (tmp_path / "cache").mkdir()
    with Runner(0, setup, tmp_path / "cache", Progress(3, "test", "runs"), workers=Local(1)) as runner:
        search = _Search(runner, setup.params, Counts(*np.full((3, 10), 50)), labels, BALANCED_ACCURACY)
        (best,) = search.best([plain, *flipped(plain)])
    assert [one.arm.recipe.flips for one in search.tried] == ["none", *FLIPS]
    none, horizontal, dihedral = (one.mean for one in search.tried)
    assert none > horizontal + 0.02 and horizontal > dihedral
    assert best.arm.recipe.flips == "none"


class _StopError(Exception):
    pass


@pytest.mark.parametrize("classifier", ["small-resnet", "torchvision:resnet18"])
def test_every_arm_begins_with_the_same_weights_pretrained_ones_too(
    classifier: str, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = _digits_setup(digits, tmp_path)
    choices = {"classifier": classifier, "steps": 5}
    if classifier != "small-resnet":
        from torchvision import models

        trained = models.resnet18(weights=None, num_classes=10)
        torch.save(trained.state_dict(), tmp_path / "weights.pth")
        choices["weights"] = "weights.pth"
    params = setup.params.model_copy(update=choices)
    begun: list[dict[str, torch.Tensor]] = []

    def watch(networks: list[torch.nn.Module], *_: object, **__: object) -> None:
        begun.append({name: value.clone() for name, value in networks[0].state_dict().items()})
        raise _StopError

    monkeypatch.setattr(trial, "fit_all", watch)
    asked = Chances()
    counts = Counts(*np.full((3, 10), 50))
    experiment(asked, params, [1.0], counts, LABELS)  # type: ignore[arg-type]
    arms = {arm.key(): arm for _, called in asked.calls for arm in called}
    one_each = {(arm.name, arm.recipe.head, arm.own_norms): arm for arm in arms.values()}
    for arm in one_each.values():
        with pytest.raises(_StopError):
            trial.train_stack([trial.Cell(arm, 7, 0)], TrialSetup(setup.root, setup.store, setup.pool, params))
    assert len(one_each) >= 10
    for weights in begun:
        assert all(torch.equal(value, begun[0][name]) for name, value in weights.items())
    expected = build(params, tmp_path, 10, 1, 8, seed=7).state_dict()
    assert all(torch.equal(value, begun[0][name]) for name, value in expected.items())
    if classifier != "small-resnet":
        assert torch.equal(begun[0]["network.conv1.weight"], trained.state_dict()["conv1.weight"])
