"""How long a fold will take on this machine, from what a few steps of its trainings take."""

import time
from typing import NamedTuple

import torch

from gan.trainer import Labelled, Trainer
from pipeline.classifier.architectures import build
from pipeline.classifier.training import ExtraPass, Recipe, fit
from pipeline.experiment.search import trainings
from pipeline.params import ClassifyParams, Params
from pipeline.runtime import choose_device, one_thread, usable_cores
from pipeline.store import Store
from pipeline.training.estimate import seconds_per_iteration
from pipeline.training.settings import gan_config
from pipeline.workspace import Workspace

STEPS = 6  # of a classifier that are timed, after one that warms up
AUGMENTED = Recipe("oversampling", "trivial")  # as most candidates are


class Estimate(NamedTuple):
    """Seconds of one fold."""

    generator: float
    classifiers: float

    @property
    def total(self) -> float:
        """Of both; evaluation and export take some more."""
        return self.generator + self.classifiers

    def said(self, folds: int) -> str:
        """A sentence for ``folds`` folds, one after the other."""
        return (
            f"about {_minutes(self.total)} a fold (generator {_minutes(self.generator)}, classifiers "
            f"{_minutes(self.classifiers)}), {_minutes(folds * self.total)} for {folds}, from a few steps of "
            "each; rough: half or twice as long is possible, and evaluation and export come on top"
        )


def estimate(params: Params, workspace: Workspace) -> Estimate:
    """Trains a generator and classifiers for a few steps on the project's own train split; some seconds.

    Raises:
        UserError: no ingested set, or no such device.
    """
    store = Store.open(workspace.store)
    return Estimate(_generator(params, store), _classifiers(params, workspace, store))


def _generator(params: Params, store: Store) -> float:
    if params.train.minutes:
        return 60 * params.train.minutes * params.train.seeds
    device, split = choose_device(params.train.device, "train.device"), store.split("train")
    config = gan_config(params.train, device, split.counts(len(store.classes)).tolist())
    trainer = Trainer.on_images(config, Labelled(split.images, split.labels, len(store.classes)), params.seed, device)
    return seconds_per_iteration(trainer) * config.iterations * params.train.seeds


def _classifiers(params: Params, workspace: Workspace, store: Store) -> float:
    classify = params.classify
    device = choose_device(classify.device, "classify.device")
    with one_thread():
        alone, doubled = (_seconds_a_step(classify, workspace, store, device, second) for second in (False, True))
    asked = trainings(classify, len(classify.doses))
    twice = classify.tuning_seeds * (2 * len(classify.tuning) + len(classify.doses)) + classify.seeds * (
        1 + classify.draws
    )
    processes = 1 if device.type == "cuda" else usable_cores()
    return classify.steps * (alone * max(asked - twice, 0) + doubled * twice) / processes


def _seconds_a_step(
    params: ClassifyParams, workspace: Workspace, store: Store, device: torch.device, second: bool
) -> float:
    split = store.split("train")
    network = build(params, workspace.root, len(store.classes), store.channels, store.image_size, 0).to(device)
    extra = None
    if second:
        rows = torch.arange(len(split)).numpy()
        extra = ExtraPass(split.images, rows, split.labels, params.synthetic_weight, params.second_batch)
    began = 0.0
    for steps in (1, STEPS):
        began = time.perf_counter()
        fit(
            network,
            split.images,
            split.labels,
            seed=0,
            steps=steps,
            batch_size=params.batch_size,
            recipe=AUGMENTED,
            extra=extra,
        )
    return (time.perf_counter() - began) / STEPS


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
