"""How long a fold will take on this machine, from what a few steps of its trainings take."""

from typing import NamedTuple

from gan.trainer import Labelled, Trainer
from pipeline.classifier.architectures import build
from pipeline.experiment import costs
from pipeline.params import Params
from pipeline.runtime import choose_device, usable_cores
from pipeline.store import Store
from pipeline.training.estimate import seconds_per_iteration
from pipeline.training.settings import gan_config
from pipeline.workspace import Workspace


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
            "each; a third less or half as much again is possible, and evaluation and export come on top"
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
    config = gan_config(params.train, device, split.counts(len(store.classes)).tolist(), store.image_size)
    trainer = Trainer.on_images(config, Labelled(split.images, split.labels, len(store.classes)), params.seed, device)
    return seconds_per_iteration(trainer) * config.iterations * params.train.seeds


def _classifiers(params: Params, workspace: Workspace, store: Store) -> float:
    classify, train = params.classify, store.split("train")
    device = choose_device(classify.device, "classify.device")
    sizes = len(store.classes), store.channels, store.image_size
    steps = costs.measure(
        lambda seed: build(classify, workspace.root, *sizes, seed).to(device), classify, train.images, train.labels
    )
    asked = len(store.split("val")) + len(store.split("test"))
    processes = 1 if device.type == "cuda" else usable_cores()
    return costs.seconds(classify, steps, asked) / processes


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
