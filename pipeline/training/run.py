"""One training run: the loop, what watches over it, and its state on disk."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan.checkpoint import load_state, save_network, save_state
from gan.config import Config
from gan.health import DIVERGENCE, Monitor, explosion
from gan.probe import Probe
from gan.sampler import Sampler
from gan.seeds import derive
from gan.trainer import FIGURES, Labelled, Trainer
from pipeline.atomic import remove
from pipeline.errors import UserError
from pipeline.identity import key
from pipeline.params import TrainParams
from pipeline.progress import Progress
from pipeline.sheets import grid
from pipeline.store import Split, Store
from pipeline.training.budget import Budget
from pipeline.training.snapshots import Album, Judge

GRID_COLUMNS = 12
POINTS = 100  # of the curves, and readings of the run's health
COLUMNS = ("kimg", *FIGURES, "overfitting", "augment_strength")
SIZES = ("penalty", "critic_gradient", "generator_gradient")  # what explodes when a run diverges
ROLLBACK_FACTOR = 0.25  # on both learning rates at each rollback
IMAGES_PER_KIMG = 1000


@dataclass(frozen=True)
class TrainingSetup:
    """What all members of an ensemble share.

    Attributes:
        params: the choices of the train stage.
        config: the GAN's own, nothing ``auto`` in it.
        store: the ingested set.
        data: SHA-256 of the set's files, by name.
        device: where to run.
        judge: of snapshots.
    """

    params: TrainParams
    config: Config
    store: Store
    data: dict[str, str]
    device: torch.device
    judge: Judge


class Run:
    """A trainer, its curves and its health, resumable at any moment.

    Args:
        setup: what it shares with others.
        seed: its own.
        folder: where its state lies while it is in work.
        say: takes lines for the log.
    """

    def __init__(self, setup: TrainingSetup, seed: int, folder: Path, say: Callable[[str], None]) -> None:
        self.setup, self.seed, self.folder, self.say = setup, seed, folder, say
        config, store = setup.config, setup.store
        train, held_out = (_labelled(store.split(name), store) for name in ("train", "val"))
        self.trainer = Trainer.on_images(config, train, seed, setup.device)
        self.probe = Probe(self.trainer, train, held_out)
        self.monitor = Monitor()
        self.budget = Budget(config, setup.params.minutes)
        self.rollbacks = 0
        self.share = 0.0  # of the budget, spent by the end of the last iteration
        self.curve: list[Tensor] = []  # rows of COLUMNS
        self._sum, self._count = torch.zeros(len(FIGURES)), 0
        self._key = self._identity()
        self.album = Album(setup.judge, folder, self._key)
        self._good = self._own_state()
        self._resume()

    @property
    def images(self) -> int:
        """Real images shown to the critic so far."""
        return self.trainer.done * self.setup.config.images_per_iteration

    @property
    def kimg(self) -> float:
        """The same in thousands."""
        return self.images / IMAGES_PER_KIMG

    # The loop ------------------------------------------------------------------------------------------------------

    def train(self, progress: Progress, stop: Callable[[], bool]) -> None:
        """Runs to the end of the budget.

        Args:
            progress: counts the budget's units.
            stop: asked after each iteration.

        Raises:
            UserError: diverged once more than ``train.rollbacks`` allow.
            KeyboardInterrupt: ``stop`` said so; the state is on disk, and a generator to look at.
        """
        saved = time.monotonic()
        while self.share < 1:
            self._step()
            progress.advance(self.budget.units(self.share) - progress.done, self._note())
            if stop():
                raise KeyboardInterrupt
            if time.monotonic() - saved >= self.setup.params.checkpoint_seconds:
                self.save()
                saved = time.monotonic()

    def _step(self) -> None:
        share, images = self.share, self.images
        figures = self.trainer.iteration(share).cpu()
        if not figures.isfinite().all():
            self.monitor.diverged(self.kimg)
            self._roll_back(figures)
            return
        self.share = self.budget.share(self.trainer.done)
        self._sum += figures
        self._count += 1
        self.probe.after_iteration()
        ended = self.share >= 1
        if ended or int(self.share * POINTS) > int(share * POINTS):
            self._add_point()
            if self.images <= images:  # it rolled back
                return
        if ended or self._passed(self.setup.params.grid_kimg, images):
            self.samples().save(self._grid_file(self.images))
        labelled = self.trainer.label_strength == 1
        if labelled and (ended or self._passed(self.setup.params.snapshot_kimg, images)):
            self.album.take(self.trainer.ema, self.images)

    def _passed(self, kimg: float, before: int) -> bool:
        """Whether the last iteration took the run over a multiple of ``kimg``; ``before`` images were seen ahead."""
        step = kimg * IMAGES_PER_KIMG
        return int(self.images / step) > int(before / step)

    def _add_point(self) -> None:
        """Ends a stretch of the curves, and reads the run's health."""
        figures = self._sum / self._count
        self._sum, self._count = torch.zeros(len(FIGURES)), 0
        overfitting = self.probe.overfitting
        watched = [math.nan if overfitting is None else overfitting, self.trainer.strength]
        signals = self.probe.signals() | {"explosion": self._explosion(figures)}
        self.curve.append(torch.cat([torch.tensor([self.kimg]), figures, torch.tensor(watched)]))
        for alarm in self.monitor.read(self.kimg, self.share, signals):
            self.say(f"train: {alarm}")
            if alarm.sign is DIVERGENCE and alarm.until is None and self.rollbacks < self.setup.params.rollbacks:
                alarm.until = self.kimg
                self._roll_back(figures)
                return
        if self.monitor.sound(signals):
            self._good = self._own_state()

    def _explosion(self, figures: Tensor) -> float:
        latest = dict(zip(FIGURES, figures.tolist(), strict=True))
        return max(explosion([float(row[COLUMNS.index(name)]) for row in self.curve], latest[name]) for name in SIZES)

    def _roll_back(self, figures: Tensor) -> None:
        """Back to the last good state with lower learning rates.

        Raises:
            UserError: that has been done as often as is allowed.
        """
        allowed, at = self.setup.params.rollbacks, self.kimg
        if self.rollbacks == allowed:
            raise UserError(
                f"train: diverged before {at:.1f} kimg ({_note(figures)}), after {allowed} rollbacks; lower "
                "train.critic_lr and train.generator_lr, or raise train.penalty_weight"
            )
        share = self.share
        rollbacks, scale, monitor = self.rollbacks + 1, self.trainer.lr_scale * ROLLBACK_FACTOR, self.monitor
        self._take_up(self._good)
        self.rollbacks, self.trainer.lr_scale, self.monitor = rollbacks, scale, monitor
        self.share = min(share, self.share)  # time goes on, but the last iteration is still to come
        self.say(
            f"train: diverged at {at:.1f} kimg; back to {self.kimg:.1f} kimg with learning rates times {scale:.3g} "
            f"(rollback {rollbacks} of {allowed})"
        )

    # State ---------------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Writes the resumable state."""
        good = {f"good/{name}": tensor for name, tensor in self._good.items()}
        save_state(self.folder / "state.safetensors", self._own_state() | good, self._key)

    def save_generator(self) -> None:
        """Writes the averaged generator beside the state, for ``augmint sample --model``."""
        save_network(self.folder, "generator", self.trainer.ema, self.card("generator"))

    def card(self, part: str) -> dict[str, object]:
        """What a network's card says of it."""
        store = self.setup.store
        return {
            "part": part,
            "family": self.setup.config.family,
            "classes": list(store.classes),
            "channels": store.channels,
            "image_size": store.image_size,
            "kimg": self.kimg,
            "seed": self.seed,
        }

    def _own_state(self) -> dict[str, Tensor]:
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in self.trainer.state().items()}
        return tensors | {
            "run/sum": self._sum.clone(),
            "run/count": torch.tensor(self._count),
            "run/curve": torch.stack(self.curve) if self.curve else torch.empty(0, len(COLUMNS)),
            "run/probe": self.probe.mean.clone(),
            "run/monitor": torch.tensor(self.monitor.rows(), dtype=torch.float64),
            "run/snapshots": self.album.rows(),
            "run/rollbacks": torch.tensor(self.rollbacks),
            "run/share": torch.tensor(self.share, dtype=torch.float64),
        }

    def _take_up(self, tensors: dict[str, Tensor]) -> bool:
        """Goes back to a state, which stays as it is; False if a snapshot that belongs to it is lost."""
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        own = {name: tensors.pop(f"run/{name}") for name in ("sum", "count", "curve", "probe", "monitor")}
        snapshots, self.rollbacks = tensors.pop("run/snapshots"), int(tensors.pop("run/rollbacks"))
        tensors.pop("run/share")
        self._sum, self._count, self.curve = own["sum"], int(own["count"]), list(own["curve"])
        self.probe.mean = own["probe"]
        self.monitor = Monitor()
        self.monitor.load_rows(own["monitor"].tolist())
        self.trainer.load_state(tensors)
        self.share = self.budget.share(self.trainer.done)
        for picture in self.grids():  # drawn later than the state that is taken up
            if picture > self._grid_file(self.images):
                picture.unlink()
        return self.album.load_rows(snapshots)

    def _resume(self) -> None:
        tensors = load_state(self.folder / "state.safetensors", self._key, self.say)
        if tensors is not None:
            good = {name.removeprefix("good/"): tensors.pop(name) for name in list(tensors) if name.startswith("good/")}
            self.budget.resume(float(tensors["run/share"]))
            if self._take_up(tensors):
                self._good = good
                self.say(f"train: goes on from {self.kimg:.1f} kimg")
                return
            self.say(f"{self.folder}: snapshots are lost; beginning anew")
            self.budget.resume(0.0)
            self._take_up(self._good)
        remove(self.folder)
        self.folder.mkdir(parents=True)

    def _identity(self) -> str:
        """Names all that the result depends on: a state of anything else must not be taken up."""
        return key(
            params=self.setup.params.model_dump(mode="json", exclude={"checkpoint_seconds", "device", "seeds"}),
            config=repr(self.setup.config),
            seed=self.seed,
            data=self.setup.data,
            device=self.setup.device.type,
            threads=torch.get_num_threads(),
        )

    # Looks ---------------------------------------------------------------------------------------------------------

    def grids(self) -> list[Path]:
        """The pictures of samples drawn so far, in order."""
        return sorted(self.folder.glob("grid_*.png"))

    def samples(self) -> Image.Image:
        """What the averaged generator draws by now, one row a class."""
        sampler = Sampler(self.trainer.ema, derive(self.seed, "train.grid"), self.trainer.device)
        classes = self.setup.store.classes
        rows = [sampler.draw(label, 0, GRID_COLUMNS).numpy() for label in range(len(classes))]
        return grid(np.stack(rows), classes)

    def _grid_file(self, images: int) -> Path:
        return self.folder / f"grid_{images:09d}_images.png"

    def _note(self) -> str:
        if self._count:
            return _note(self._sum / self._count)
        return _note(self.curve[-1][1 : 1 + len(FIGURES)]) if self.curve else ""


def _labelled(split: Split, store: Store) -> Labelled:
    return Labelled(split.images, split.labels, len(store.classes))


def _note(figures: Tensor) -> str:
    named = dict(zip(FIGURES, figures.tolist(), strict=True))
    return (
        f"critic {named['critic_loss']:.3f}, generator {named['generator_loss']:.3f}, "
        f"score gap {named['score_gap']:.3f}, penalty {named['penalty']:.4f}"
    )
