"""One classifier of one arm: trained, asked about every image, its logits kept in a file."""

import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import torch
from torch import nn

from gan.files import regular
from gan.seeds import derive, stream
from pipeline.classifier.architectures import build
from pipeline.classifier.batches import Joined, copies
from pipeline.classifier.head import head_steps, retrain_head
from pipeline.classifier.training import ExtraPass, fit, logits
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


def train_arm(arm: Arm, seed: int, draw: int, setup: TrialSetup) -> Predictions:
    """Trains one classifier and asks it.

    The initial weights depend on ``seed`` alone; batches and augmentation are the same in every arm as far as its
    recipe allows, and those of the two kinds of second pass are the same, image for image.

    Args:
        draw: of the synthetic images; copies take its classes.
    """
    store, pool, params = Store.open(setup.store), Pool.open(setup.pool), setup.params
    train = store.split("train")
    device = choose_device(params.device, "classify.device")
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, "classify.dropout"))  # what a network draws by itself
        network = build(params, setup.root, len(store.classes), store.channels, store.image_size, seed).to(device)
        main = train if arm.images == "real" else _synthetic(pool, draw)
        extra, last = _extra(arm, pool, train, seed, draw, params), 0
        how: dict[str, Any] = {"seed": seed, "batch_size": params.batch_size, "recipe": arm.recipe}
        how |= {"lr": arm.lr, "weight_decay": arm.weight_decay}
        if arm.recipe.head == "retrained":
            last = head_steps(params.steps)
        steps = params.steps - last
        fit(network, main.images, main.labels, **how, steps=steps, extra=None if last else extra)
        if last:
            retrain_head(network, main.images, main.labels, **how, steps=last, extra=extra)
    return _ask(network, store, None if arm.draws_matter else pool.images[tested_rows(pool)])


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
