"""The arms of the classify stage, and their training: arm by seed, in a pool of one-thread processes, resumable."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import pyarrow.parquet as pq
import torch

from gan.checkpoint import sha256
from gan.seeds import derive, stream
from pipeline.atomic import remove
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import ExtraPass, Recipe, fit, logits, shuffled_rounds
from pipeline.errors import UserError
from pipeline.formats import read_file
from pipeline.formats.encoding import decode
from pipeline.params import ClassifyParams, Params
from pipeline.progress import Progress
from pipeline.runtime import usable_cores
from pipeline.store import Store
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Arm:
    """One way to train the classifier.

    Attributes:
        name: its key in ``metrics/utility.json``.
        recipe: how its main images are used.
        images: what the main pass sees.
        extra: what a second forward pass of each step sees, if there is one: the synthetic images, or ``copies``: for
            each synthetic image a real train image of the same class.
    """

    name: str
    recipe: Recipe
    images: Literal["real", "synthetic"] = "real"
    extra: Literal["none", "synthetic", "copies"] = "none"

    def images_seen(self, params: ClassifyParams) -> dict[str, int]:
        """Images that one seed's training takes in, by kind."""
        batches = params.steps * params.batch_size
        seen = {"real": 0, "synthetic": 0, "copies": 0}
        seen[self.images] += batches
        if self.extra != "none":
            seen[self.extra] += batches
        return seen


@dataclass(frozen=True)
class Predictions:
    """Class indices that an arm's classifiers gave: int64 (seeds, images) for the validation and the test split."""

    val: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class SyntheticSet:
    """The exported set's synthetic images, decoded once and shared by all processes through the page cache.

    Attributes:
        images: uint8 (M, C, H, W), memory-mapped.
        labels: int64 (M,), indices into the store's classes.
    """

    images: np.ndarray
    labels: np.ndarray


def read_synthetic(folder: Path, store: Store, cache: Path) -> SyntheticSet:
    """Decodes what ``manifest.parquet`` in ``folder`` lists into two files in ``cache``; a second call opens those.

    Raises:
        UserError: no manifest, no synthetic image in it, or one that does not fit the store.
    """
    images, labels = cache / "synthetic.npy", cache / "synthetic_labels.npy"
    if not labels.exists():  # written last
        places, indices = _listed(folder, store.classes)
        part = cache / "synthetic.part.npy"
        shape = (len(places), store.channels, store.image_size, store.image_size)
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        for row, (path, content) in enumerate(_contents(folder, places)):
            out[row] = _decode(path, content, store)
        out.flush()
        part.replace(images)
        np.save(cache / "labels.part.npy", indices)
        (cache / "labels.part.npy").replace(labels)
    return SyntheticSet(np.load(images, mmap_mode="r"), np.load(labels))


def _listed(folder: Path, classes: Sequence[str]) -> tuple[list[tuple[str, str]], np.ndarray]:
    """File and name of each synthetic image, and their labels."""
    manifest = folder / "manifest.parquet"
    try:
        rows = pq.read_table(manifest, columns=["file", "name", "label", "synthetic"]).to_pydict()
    except (OSError, ValueError) as error:
        raise UserError(f"{manifest}: no readable exported set ({error}); run `dvc repro export` first") from None
    indices = {name: index for index, name in enumerate(classes)}
    unknown = sorted(set(rows["label"]) - set(indices))
    if unknown:
        raise UserError(f"{manifest}: class {unknown[0]!r} is not in the ingested set; run `dvc repro export`")
    kept = [i for i, synthetic in enumerate(rows["synthetic"]) if synthetic]
    if not kept:
        raise UserError(
            f"{manifest}: no synthetic image to judge; raise `export.balance` in params.yaml and run `dvc repro`"
        )
    labels = np.array([indices[rows["label"][i]] for i in kept], dtype=np.int64)
    return [(rows["file"][i], rows["name"][i]) for i in kept], labels


def _contents(folder: Path, places: list[tuple[str, str]]) -> Iterator[tuple[Path, bytes]]:
    """Path and encoded bytes of each image; a shard's are in memory while they are asked for."""
    for file, images in groupby(places, key=itemgetter(0)):
        found = {stored.name: stored.data for stored in read_file(folder, Path(file))}
        for _, name in images:
            yield folder / file, found.get(name, b"")


def _decode(path: Path, content: bytes, store: Store) -> np.ndarray:
    try:
        pixels = decode(content, store.channels)
    except OSError as error:
        raise UserError(
            f"{path}: listed in the manifest, but not readable ({error}); run `dvc repro --force export`"
        ) from None
    if pixels.shape[1:] != (store.image_size, store.image_size):
        raise UserError(
            f"{path}: {pixels.shape[2]}x{pixels.shape[1]} pixels, but the ingested set has "
            f"{store.image_size}x{store.image_size}; run `dvc repro export`"
        )
    return pixels


def copies(labels: np.ndarray, train_labels: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """For each of ``labels`` (K,) the row of a real image of that class, int64 (K,), all of a class equally often.

    Raises:
        UserError: a class has no real train image.
    """
    rows = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        real = np.flatnonzero(train_labels == label)
        if not len(real):
            raise UserError(
                f"class number {label} has synthetic images but no real train image; add some, or raise its share"
            )
        places = np.flatnonzero(labels == label)
        rows[places] = shuffled_rounds(real, len(places), generator)
    return rows


def train_arm(arm: Arm, seed: int, store: Store, synthetic: SyntheticSet, params: ClassifyParams) -> Predictions:
    """Trains one classifier and predicts the validation and the test split: int64 (images,) each.

    The initial weights depend on ``seed`` alone; batches and augmentation are the same in every arm as far as its
    recipe allows, and those of the two kinds of second pass are the same, image for image.
    """
    train = store.split("train")
    extra = None
    if arm.extra != "none":
        real = arm.extra == "copies"
        rows = (
            copies(synthetic.labels, train.labels, stream(seed, "classify.copies"))
            if real
            else np.arange(len(synthetic.labels))
        )
        extra = ExtraPass(train.images if real else synthetic.images, rows, synthetic.labels, params.synthetic_weight)
    network = SmallResNet(len(store.classes), store.channels, store.image_size, width=params.width, seed=seed)
    main = train if arm.images == "real" else synthetic
    fit(
        network,
        main.images,
        main.labels,
        seed=seed,
        steps=params.steps,
        batch_size=params.batch_size,
        lr=params.lr,
        weight_decay=params.weight_decay,
        recipe=arm.recipe,
        extra=extra,
    )
    val, test = (logits(network, store.split(name).images).argmax(axis=1) for name in ("val", "test"))
    return Predictions(val, test)


def open_cache(params: Params, workspace: Workspace, store: Store) -> Path:
    """The folder of finished runs that belong to these images and parameters; what belongs to others is removed."""
    digest = hashlib.sha256(json.dumps([params.seed, params.classify.model_dump()]).encode())
    for path in (
        *(store.folder / name for name in ("images.npy", "labels.npy", "summary.json")),
        workspace.synthetic / "manifest.parquet",
    ):
        if not path.exists():
            raise UserError(f"{path}: not there; run `dvc repro classify`, which makes what it needs first")
        digest.update(sha256(path).encode())
    cache = workspace.scratch / "classify" / digest.hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    for other in cache.parent.iterdir():
        if other != cache:
            remove(other)
    return cache


class Runner:
    """Trains arms over all seeds, each run once: what ``cache`` holds is not run again.

    Every process computes with one thread, so that results do not depend on the pool's size.

    Args:
        workers: processes; 1 runs within this one. The number of usable cores if left out.
    """

    def __init__(
        self, params: Params, workspace: Workspace, cache: Path, progress: Progress, workers: int | None = None
    ) -> None:
        self.seeds = params.classify.seeds
        self._seed, self._cache, self._progress = params.seed, cache, progress
        self._where = (workspace, cache, params.classify)
        self._workers = workers or usable_cores()
        self._exits = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._workers > 1:
            self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"), initializer=_start_worker)
            self._exits.callback(self._pool.shutdown, wait=True, cancel_futures=True)
        else:
            self._exits.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def run(self, *arms: Arm, seeds: int | None = None) -> list[Predictions]:
        """Trains what is not yet trained of ``arms`` and returns their predictions, in that order.

        Args:
            seeds: the first so many alone; all if left out.

        Raises:
            UserError: a training process was killed.
        """
        numbers = range(seeds or self.seeds)
        runs = [(arm, number) for arm in arms for number in numbers]
        missing = [(arm, number) for arm, number in runs if not self._file(arm, number).exists()]
        self._progress.advance(len(runs) - len(missing))
        jobs = [
            (arm, derive(self._seed, "classify", number), self._file(arm, number), *self._where)
            for arm, number in missing
        ]
        if self._pool is None:
            for job in jobs:
                _work(*job)
                self._progress.advance(note=job[0].name)
        else:
            futures = {self._pool.submit(_work, *job): job[0].name for job in jobs}
            try:
                for future in as_completed(futures):
                    future.result()
                    self._progress.advance(note=futures[future])
            except BrokenProcessPool:
                raise UserError(
                    "classify: a training process was killed, most likely because memory ran out; free some and run "
                    "`dvc repro` again: finished runs are kept"
                ) from None
        return [self._load(arm, numbers) for arm in arms]

    def _file(self, arm: Arm, number: int) -> Path:
        return self._cache / f"{arm.name}-{arm.recipe.balance}-{arm.recipe.augment}-{number}.npz"

    def _load(self, arm: Arm, numbers: range) -> Predictions:
        parts = []
        for number in numbers:
            with np.load(self._file(arm, number), allow_pickle=False) as saved:
                parts.append((saved["val"], saved["test"]))
        return Predictions(*(np.stack(column) for column in zip(*parts, strict=True)))


def _start_worker() -> None:
    torch.set_num_threads(1)
    parent = parent_process()
    if parent is not None:  # a killed parent must leave no orphan behind
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _work(arm: Arm, seed: int, file: Path, workspace: Workspace, cache: Path, params: ClassifyParams) -> None:
    store = Store.open(workspace.store)
    result = train_arm(arm, seed, store, read_synthetic(workspace.synthetic, store, cache), params)
    part = file.with_suffix(".part.npz")
    np.savez(part, val=result.val, test=result.test)
    part.replace(file)
