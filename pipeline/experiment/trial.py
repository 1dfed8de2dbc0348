"""One classifier of one arm: trained, asked about every image, its logits kept in a file."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple, Self
from zipfile import BadZipFile

import numpy as np
import torch
from torch import nn

from gan.files import regular
from gan.seeds import derive, stream
from pipeline.classifier.architectures import build
from pipeline.classifier.batches import Joined, copies
from pipeline.classifier.head import head_steps, retrain_head
from pipeline.classifier.learners import together
from pipeline.classifier.training import ExtraPass, Recipe, Task, fit_all, logits
from pipeline.experiment.arms import Arm
from pipeline.experiment.pool import Pool
from pipeline.params import ClassifyParams
from pipeline.runtime import choose_device
from pipeline.store import Split, Store

MOST_SYNTHETIC = 1000  # images of the pool on which classifiers of real ones are tested


@dataclass(frozen=True)
class TrialSetup:
    """What every trial of an experiment shares; small, as it goes to each process.

    Attributes:
        root: the project's folder.
        store: the ingested set's folder.
        pool: the synthetic images' folder.
    """

    root: Path
    store: Path
    pool: Path
    params: ClassifyParams


@dataclass(frozen=True)
class Asked:
    """How many classes there are, and of how many images a classifier is asked."""

    classes: int
    val: int
    test: int
    synthetic: int

    @classmethod
    def of(cls, setup: TrialSetup) -> Self:
        """What the trials of ``setup`` are asked."""
        store, pool = Store.open(setup.store), Pool.open(setup.pool)
        return cls(len(store.classes), len(store.split("val")), len(store.split("test")), len(tested_rows(pool)))


@dataclass(frozen=True)
class Predictions:
    """What classifiers answered: of one of them, or of (seeds, draws) of an arm in front of the axes named here.

    Answers and probabilities are made of logits by :mod:`pipeline.experiment.accuracies`.

    Attributes:
        val: logits for the validation split, float32 (images, classes).
        test: the same for the test split.
        synthetic: class indices for the pool's :func:`tested_rows`, int64 (images,); of none for a classifier trained
            on such.
    """

    val: np.ndarray
    test: np.ndarray
    synthetic: np.ndarray

    def save(self, file: Path) -> None:
        """Writes the arrays in one step."""
        part = file.with_suffix(".part.npz")
        np.savez(part, **{field.name: getattr(self, field.name) for field in fields(self)})
        part.replace(file)

    @classmethod
    def load(cls, file: Path) -> Self:
        """What :meth:`save` wrote.

        Raises:
            OSError, ValueError: it is not there, or not whole.
        """
        try:
            with np.load(regular(file), allow_pickle=False) as saved:
                found = cls(**{field.name: saved[field.name] for field in fields(cls)})
        except (BadZipFile, zlib.error, KeyError, TypeError, EOFError, NotImplementedError, MemoryError) as error:
            raise ValueError(f"{file}: damaged ({error})") from None
        kinds = {name: (1, np.int64) if name == "synthetic" else (2, np.float32) for name in vars(found)}
        if any((array.ndim, array.dtype) != kinds[name] for name, array in vars(found).items()):
            raise ValueError(f"{file}: damaged (other arrays than were written)")
        return found

    def check(self, asked: Asked) -> None:
        """Raises ValueError if these are no answers to what was asked."""
        for name, images in (("val", asked.val), ("test", asked.test)):
            if (shape := getattr(self, name).shape) != (images, asked.classes):
                raise ValueError(f"{shape} answers for {name}")
        told = self.synthetic
        if len(told) not in (0, asked.synthetic):
            raise ValueError(f"{len(told)} answers for synthetic")
        if len(told) and not 0 <= told.min() <= told.max() < asked.classes:
            raise ValueError("answers for synthetic that are no classes")

    @classmethod
    def stack(cls, grid: list[list["Predictions"]]) -> Self:
        """One for each (seed, draw) as arrays (seeds, draws, …)."""
        return cls(
            **{
                field.name: np.stack([np.stack([getattr(cell, field.name) for cell in row]) for row in grid])
                for field in fields(cls)
            }
        )


class Cell(NamedTuple):
    """One classifier: how it is trained, from which seed, and with which draw of the synthetic images."""

    arm: Arm
    seed: int
    draw: int


def train_stack(cells: Sequence[Cell], setup: TrialSetup) -> list[Predictions]:
    """Trains classifiers and asks each; see :func:`train_networks`."""
    store, pool = Store.open(setup.store), Pool.open(setup.pool)
    synthetic = None if cells[0].arm.draws_matter else pool.images[tested_rows(pool)]
    return [_ask(network, store, synthetic) for network in train_networks(cells, setup)]


def train_networks(cells: Sequence[Cell], setup: TrialSetup) -> list[nn.Module]:
    """Trains classifiers, all together where that can be.

    The initial weights depend on the seed alone; batches and augmentation are the same in every arm as far as its
    recipe allows, and those of the two kinds of second pass are the same, image for image. What else is in the stack
    has no bearing on any of it.

    Args:
        cells: of arms that differ in their rates at most, see :meth:`Arm.stack`.
    """
    store, pool, params = Store.open(setup.store), Pool.open(setup.pool), setup.params
    device = choose_device(params.device, "classify.device")
    sizes = len(store.classes), store.channels, store.image_size
    train = store.split("train")
    tasks = []
    for arm, seed, draw in cells:
        main = train if arm.images == "real" else _synthetic(pool, draw)
        extra = _extra(arm, pool, train, seed, draw, params)
        tasks.append(Task(main.images, main.labels, seed, extra, arm.lr, arm.weight_decay))
    with torch.random.fork_rng():
        networks = [build(params, setup.root, *sizes, cell.seed).to(device) for cell in cells]
        alike = together(networks, (sizes[1], *sizes[2:] * 2))
        for own in [slice(None)] if alike else [slice(index, index + 1) for index in range(len(cells))]:
            torch.manual_seed(derive(cells[own][0].seed, "classify.dropout"))  # what a network draws by itself
            _train(networks[own], tasks[own], cells[0].arm.recipe, params)
    return networks


def _train(networks: Sequence[nn.Module], tasks: Sequence[Task], recipe: Recipe, params: ClassifyParams) -> None:
    steps, batch_size = params.steps, params.batch_size
    if recipe.head == "joint":
        fit_all(networks, tasks, steps=steps, batch_size=batch_size, recipe=recipe)
        return
    last, joint = head_steps(steps), [replace(task, extra=None) for task in tasks]
    fit_all(networks, joint, steps=steps - last, batch_size=batch_size, recipe=recipe)
    for network, task in zip(networks, tasks, strict=True):
        retrain_head(network, task, steps=last, batch_size=batch_size, recipe=recipe)


def tested_rows(pool: Pool) -> np.ndarray:
    """Up to :data:`MOST_SYNTHETIC` of the pool's images for train-on-real, test-on-synthetic, spread over all."""
    return np.arange(0, len(pool.labels), max(1, -(-len(pool.labels) // MOST_SYNTHETIC)))


def _synthetic(pool: Pool, draw: int) -> Split:
    rows = pool.rows_alone(draw)
    return Split("train", pool.images[rows], pool.labels[rows])


def _extra(arm: Arm, pool: Pool, train: Split, seed: int, draw: int, params: ClassifyParams) -> ExtraPass | None:
    if arm.extra == "none":
        return None
    rows = pool.rows(arm.dose, draw)
    labels = pool.labels[rows]
    share = 1.0 if arm.extra == "copies" else params.copies_share
    if share:  # of both arms the same rows give way to the same copies
        copied = torch.rand(len(rows), generator=stream(seed, "classify.copied")).numpy() < share
        of_train = copies(labels, train.labels, stream(seed, "classify.copies"))
        rows = np.where(copied, len(pool.images) + of_train, rows)
    return ExtraPass(
        Joined(pool.images, train.images),
        rows,
        labels,
        params.synthetic_weight,
        params.second_batch,
        params.synthetic_until,
        params.pretrain,
        arm.own_norms,
    )


def _ask(network: nn.Module, store: Store, synthetic: np.ndarray | None) -> Predictions:
    val, test = (logits(network, store.split(name).images) for name in ("val", "test"))
    told = np.empty(0, np.int64) if synthetic is None else logits(network, synthetic).argmax(axis=1)
    return Predictions(val, test, told)
