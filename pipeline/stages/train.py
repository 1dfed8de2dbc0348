"""``train``: the conditional WGAN-GP on the train split, resumable at any moment.

A run's state lies in ``.augmint/train`` while it is in work: DVC may remove a stage's outputs before it runs, and a
state must outlive that. It is keyed by everything that the result depends on, and goes when the stage ends.
"""

import csv
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan.checkpoint import load_state, save_network, save_state, sha256
from gan.config import Config
from gan.networks import Network
from gan.sampler import Sampler
from gan.seeds import derive
from gan.trainer import FIGURES, Labelled, Trainer
from pipeline.atomic import remove, replacing, write_json
from pipeline.errors import BusyError, UserError
from pipeline.locks import alone
from pipeline.params import Params, TrainParams
from pipeline.progress import Progress, track
from pipeline.report.pictures import grid
from pipeline.store import Store
from pipeline.workspace import Workspace

GRID_COLUMNS = 12
CURVE_POINTS = 100


def run(params: Params, workspace: Workspace) -> None:
    """Trains and writes ``models/``, ``plots/train/`` and ``metrics/train.json``.

    Raises:
        UserError: no ingested set, a class without a train image, no such device, or a run that diverged.
        BusyError: another training is in work in this folder, or the GPU has no room.
    """
    with alone(workspace.scratch / "train.lock", "a training"):
        try:
            _train(params, workspace)
        except torch.OutOfMemoryError as error:
            raise BusyError(
                f"train: the GPU has no room ({error}); wait for what else is on it, or lower train.batch_size or "
                "train.width"
            ) from None


def _train(params: Params, workspace: Workspace) -> None:
    store = Store.open(workspace.store)
    device = choose_device(params.train.device)
    config = gan_config(params.train, device)
    work = Run(config, store, params.seed, device, workspace.scratch / "train")
    if work.trainer.done:
        print(f"train: goes on from {work.kimg:.1f} kimg")
    with track(config.iterations * config.images_per_iteration, "train", "images", work.images) as progress:
        try:
            work.train(progress, params.train)
        except KeyboardInterrupt:
            work.save()
            progress.say(f"train: stopped at {work.kimg:.1f} kimg; `dvc repro` goes on from there")
            raise
    with replacing(workspace.models, workspace.plots("train"), workspace.metrics("train")) as (models, plots, metrics):
        figures = work.ship(models)
        work.draw(plots)
        write_json(metrics, figures)
    remove(work.folder)


def choose_device(name: str) -> torch.device:
    """The device that ``auto``, ``cpu`` or ``cuda`` stands for.

    Raises:
        UserError: ``cuda`` where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device: cuda is asked for, but torch sees no CUDA device; use auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def gan_config(params: TrainParams, device: torch.device) -> Config:
    """The GAN's own configuration; ``precision: auto`` is bfloat16 where the device has it in hardware."""
    precision = params.precision
    if precision == "auto":
        fast = device.type == "cuda" or torch.cpu.get_capabilities().get("avx512_bf16", False)
        precision = "bfloat16" if fast else "float32"
    fields = params.model_dump(exclude={"device", "precision", "grid_kimg", "checkpoint_seconds"})
    return Config(**fields, precision=precision)


class Run:
    """One training run: the trainer, its curves, and the state on disk."""

    def __init__(self, config: Config, store: Store, seed: int, device: torch.device, folder: Path) -> None:
        split = store.split("train")
        empty = [name for name, n in zip(store.classes, split.counts(len(store.classes)), strict=True) if n == 0]
        if empty:
            raise UserError(f"{store.folder}: no train image of class {', '.join(empty)}; mend the source or the split")
        self.config, self.store, self.seed, self.folder = config, store, seed, folder
        self.trainer = Trainer(config, Labelled(split.images, split.labels, len(store.classes)), seed, device)
        self.curve: list[Tensor] = []  # rows of kimg and FIGURES
        self._sum, self._count = torch.zeros(len(FIGURES)), 0
        self._key = self._identity()
        self._resume()

    @property
    def images(self) -> int:
        """Real images shown to the critic so far."""
        return self.trainer.done * self.config.images_per_iteration

    @property
    def kimg(self) -> float:
        """The same in thousands."""
        return self.images / 1000

    def train(self, progress: Progress, params: TrainParams) -> None:
        """Runs to the end of the budget.

        Raises:
            UserError: a figure is not finite any more.
        """
        saved = time.monotonic()
        every = max(1, self.config.iterations // CURVE_POINTS)
        grid_every = max(1, round(params.grid_kimg * 1000 / self.config.images_per_iteration))
        while self.trainer.done < self.config.iterations:
            self._sum += self.trainer.iteration().cpu()
            self._count += 1
            done = self.trainer.done
            if done % every == 0 or done == self.config.iterations:
                self._add_point()
            if done % grid_every == 0 or done == self.config.iterations:
                self._grid().save(self._grid_file())
            progress.advance(self.config.images_per_iteration, self._note())
            if time.monotonic() - saved >= params.checkpoint_seconds:
                self.save()
                saved = time.monotonic()

    def ship(self, folder: Path) -> dict[str, object]:
        """Writes the averaged generator and the critic with their cards; returns the figures for DVC."""
        card = {
            "family": self.config.family,
            "classes": list(self.store.classes),
            "channels": self.store.channels,
            "image_size": self.store.image_size,
            "kimg": self.kimg,
            "seed": self.seed,
        }
        trainer = self.trainer
        digest = save_network(folder, "generator", trainer.ema, card | {"part": "generator"})
        save_network(folder, "critic", trainer.critic, card | {"part": "critic"})
        last = dict(zip(FIGURES, self.curve[-1][1:].tolist(), strict=True))
        return {
            "kimg": self.kimg,
            "iterations": trainer.done,
            "precision": self.config.precision,
            "generator": digest,
            "generator_parameters": _size(trainer.ema),
            "critic_parameters": _size(trainer.critic),
            **{name: float(f"{value:.6g}") for name, value in last.items()},
        }

    def draw(self, folder: Path) -> None:
        """Writes the curves and the sample grids, the last one as ``samples.png``."""
        grids = folder / "grids"
        grids.mkdir(parents=True)
        with (folder / "curves.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["kimg", *FIGURES])
            writer.writerows([f"{value:.6g}" for value in row.tolist()] for row in self.curve)
        for picture in sorted(self.folder.glob("grid_*.png")):
            (grids / picture.name).write_bytes(picture.read_bytes())
        self._grid().save(folder / "samples.png")

    def save(self) -> None:
        """Writes the resumable state."""
        tensors = self.trainer.state() | {"run/sum": self._sum, "run/count": torch.tensor(self._count)}
        if self.curve:
            tensors["run/curve"] = torch.stack(self.curve)
        save_state(self.folder / "state.safetensors", tensors, self._key)

    def _resume(self) -> None:
        tensors = load_state(self.folder / "state.safetensors", self._key)
        if tensors is None:
            remove(self.folder)
            self.folder.mkdir(parents=True)
            return
        self._sum, self._count = tensors.pop("run/sum"), int(tensors.pop("run/count"))
        self.curve = list(tensors.pop("run/curve", torch.empty(0)))
        self.trainer.load_state(tensors)

    def _identity(self) -> str:
        """A hash of all that the result depends on: a state of anything else must not be taken up."""
        parts = {
            "config": repr(self.config),
            "seed": self.seed,
            "data": [sha256(self.store.folder / name) for name in ("images.npy", "labels.npy", "summary.json")],
            "device": self.trainer.device.type,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _add_point(self) -> None:
        figures = self._sum / self._count
        if not figures.isfinite().all():
            raise UserError(
                f"train: diverged before {self.kimg:.1f} kimg ({self._note()}); lower train.critic_lr and "
                "train.generator_lr, or raise train.penalty_weight"
            )
        self.curve.append(torch.cat([torch.tensor([self.kimg]), figures]))
        self._sum, self._count = torch.zeros(len(FIGURES)), 0

    def _note(self) -> str:
        row = self._sum / self._count if self._count else self.curve[-1][1:]
        named = dict(zip(FIGURES, row.tolist(), strict=True))
        return (
            f"critic {named['critic_loss']:.3f}, generator {named['generator_loss']:.3f}, "
            f"Wasserstein {named['wasserstein']:.3f}, penalty {named['penalty']:.4f}"
        )

    def _grid_file(self) -> Path:
        return self.folder / f"grid_{self.images:09d}_images.png"

    def _grid(self) -> Image.Image:
        sampler = Sampler(self.trainer.ema, derive(self.seed, "train.grid"), self.trainer.device)
        rows = [sampler.draw(label, 0, GRID_COLUMNS).numpy() for label in range(len(self.store.classes))]
        return grid(np.stack(rows), self.store.classes)


def _size(network: Network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
