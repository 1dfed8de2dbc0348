"""One training run: the loop over a trainer, resumable at any moment."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gan.checkpoint import save_network
from pipeline.atomic import remove
from pipeline.errors import UserError
from pipeline.progress import Progress, say
from pipeline.reading.documents import fault
from pipeline.training.budget import Budget
from pipeline.training.pictures import Pictures
from pipeline.training.setup import TrainingSetup
from pipeline.training.snapshots import Album
from pipeline.training.state import State, StateFile, part
from pipeline.training.status import Reporter
from pipeline.training.watch import COLUMNS, Watch, described

POINTS = 100  # of the curves, and readings of the run's health
ROLLBACK_FACTOR = 0.25  # on both learning rates at each rollback
IMAGES_PER_KIMG = 1000


class Run:
    """A trainer with its budget, what watches over it, what it keeps, and the way back when it diverges.

    Args:
        setup: what it shares with others.
        seed: its own.
        folder: where its state lies while it is in work.
    """

    def __init__(self, setup: TrainingSetup, seed: int, folder: Path) -> None:
        self.setup, self.seed, self.folder = setup, seed, folder
        train, held_out = setup.labelled("train"), setup.labelled("val")
        self.trainer = setup.trainer(seed)
        self.watch = Watch(self.trainer, train, held_out)
        self.budget = Budget(setup.config, setup.params.minutes)
        self.pictures = Pictures(folder, setup.store.classes, seed, self.trainer.device)
        key = setup.key(seed)
        self.album = Album(setup.judge, folder, key)
        self.rollbacks, self._told = 0, 0
        self.share = 0.0  # of the budget, spent by the end of the last iteration
        self._file = StateFile(folder, key)
        self._good = self._state()
        self._resume()

    @property
    def images(self) -> int:
        """Real images shown to the critic so far."""
        return self.trainer.done * self.setup.config.images_per_iteration

    @property
    def kimg(self) -> float:
        """The same in thousands."""
        return self.images / IMAGES_PER_KIMG

    def card(self, network: str) -> dict[str, object]:
        """What the card of its ``generator`` or ``critic`` says."""
        return self.setup.card(network, self.seed, self.kimg)

    # The loop ------------------------------------------------------------------------------------------------------

    def train(self, progress: Progress, stop: Callable[[], bool]) -> None:
        """Runs to the end of the budget.

        Args:
            progress: counts the budget's units.
            stop: asked whenever all figures are read: on a processor after each iteration.

        Raises:
            UserError: diverged once more than ``train.rollbacks`` allow.
            KeyboardInterrupt: ``stop`` said so.
        """
        saved = time.monotonic()
        reporter = Reporter(self.folder, self.share)
        while self.share < 1:
            diverged = self._step()
            if diverged is not None:
                self._roll_back(diverged)
            progress.advance(self.budget.units(self.share) - progress.done, self.watch.note())
            if not self.watch.settled:
                continue
            if reporter.due:
                self._report(reporter)
            if stop():
                raise KeyboardInterrupt
            if time.monotonic() - saved >= self.setup.params.checkpoint_seconds:
                self.save()
                self.save_generator()  # to look at: a run of minutes needs no waiting for its end
                saved = time.monotonic()

    def _step(self) -> Tensor | None:
        """One iteration, and what falls due by it; returns the figures of a run that is seen to have diverged."""
        share, images, params = self.share, self.images, self.setup.params
        self.watch.take(self.trainer.iteration(share))
        self._tell()
        self.share = self.budget.share(self.trainer.done)
        ended, labelled = self.share >= 1, self.trainer.label_strength == 1
        stretch = ended or int(self.share * POINTS) > int(share * POINTS)
        picture = ended or self._passed(params.grid_kimg, images)
        snapshot = labelled and (ended or self._passed(params.snapshot_kimg, images))
        if not (stretch or picture or snapshot or self.watch.full):
            return None
        diverged = self.watch.settle()
        if diverged is not None:
            self.watch.monitor.diverged(self.kimg)
            return diverged
        if stretch and (diverged := self._read()) is not None:
            return diverged
        if picture:
            self.pictures.take(self.trainer.ema, self.images)
        if snapshot:
            self.album.take(self.trainer.ema, self.images)
        return None

    def _tell(self) -> None:
        """Says what the trainer notes, once each."""
        for note in self.trainer.notes[self._told :]:
            say(f"train: {note}")
        self._told = len(self.trainer.notes)

    def _report(self, reporter: Reporter) -> None:
        figures = dict(zip(COLUMNS[1:], self.watch.curve[-1][1:].tolist(), strict=True)) if self.watch.curve else {}
        snapshots = [one.described() for one in self.album.taken]
        alarms = [str(alarm) for alarm in self.watch.monitor.alarms if alarm.until is None]
        reporter.write(self.kimg, self.share, figures, snapshots, alarms, self.trainer.notes)

    def _passed(self, kimg: float, before: int) -> bool:
        """Whether the last iteration took the run over a multiple of ``kimg``; ``before`` images were seen ahead."""
        step = kimg * IMAGES_PER_KIMG
        return int(self.images / step) > int(before / step)

    def _read(self) -> Tensor | None:
        """Reads the run's health; returns the figures if it diverges and may go back."""
        reading = self.watch.read(self.kimg, self.share)
        for alarm in reading.alarms:
            say(f"train: {alarm}")
        if reading.divergence is not None and self.rollbacks < self.setup.params.rollbacks:
            reading.divergence.until = self.kimg
            return reading.figures
        if reading.sound:
            self._good = self._state()
        return None

    def _roll_back(self, figures: Tensor) -> None:
        """Back to the last good state with lower learning rates.

        Raises:
            UserError: that has been done as often as is allowed.
        """
        allowed, at, share = self.setup.params.rollbacks, self.kimg, self.share
        if self.rollbacks == allowed:
            raise UserError(
                f"train: diverged before {at:.1f} kimg ({described(figures)}), after {allowed} rollbacks; lower "
                "train.critic_lr and train.generator_lr, or raise train.penalty_weight"
            )
        rollbacks, scale, monitor = self.rollbacks + 1, self.trainer.lr_scale * ROLLBACK_FACTOR, self.watch.monitor
        self._take_up(self._good)
        self.rollbacks, self.trainer.lr_scale, self.watch.monitor = rollbacks, scale, monitor
        self.share = min(share, self.share)  # time goes on, but the last iteration is still to come
        say(
            f"train: diverged at {at:.1f} kimg; back to {self.kimg:.1f} kimg with learning rates times {scale:.3g} "
            f"(rollback {rollbacks} of {allowed})"
        )

    # State ---------------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Writes the resumable state."""
        self._file.save(self._state(), self._good)

    def save_generator(self) -> None:
        """Writes the averaged generator beside the state, for ``augmint sample --model``."""
        save_network(self.folder, "generator", self.trainer.ema, self.card("generator"))

    def _state(self) -> State:
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in self.trainer.state().items()}
        tensors |= {f"watch/{name}": tensor for name, tensor in self.watch.state().items()}
        return tensors | {
            "run/snapshots": self.album.rows(),
            "run/rollbacks": torch.tensor(self.rollbacks),
            "run/share": torch.tensor(self.share, dtype=torch.float64),
        }

    def _take_up(self, state: State) -> bool:
        """Goes to a state, which stays as it is; False if a snapshot that belongs to it is lost."""
        state = {name: tensor.clone() for name, tensor in state.items()}
        own = part(state, "run/")
        self.watch.load_state(part(state, "watch/"))
        self.trainer.load_state(state)
        self.rollbacks = int(own["rollbacks"])
        self.share = self.budget.share(self.trainer.done)
        self.pictures.forget_after(self.images)
        return self.album.load_rows(own["snapshots"])

    def _resume(self) -> None:
        """Goes on from the state on disk, or makes the folder for a new run."""
        found = self._file.load()
        if found is not None:
            latest, good = found
            if self._goes_on_from(latest):
                self._good = good
                say(f"train: goes on from {self.kimg:.1f} kimg")
                return
            self.budget.resume(0.0)
            self._take_up(self._good)
        remove(self.folder)
        self.folder.mkdir(parents=True)

    def _goes_on_from(self, latest: State) -> bool:
        """Takes up a state from disk; False, with a word on why, if it cannot be."""
        try:
            self.budget.resume(float(latest["run/share"]))
            if self._take_up(latest):
                return True
            say(f"{self.folder}: snapshots are lost; beginning anew")
        except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:  # whole, but of other networks
            say(f"{self.folder}: no state of this run ({fault(error)}); beginning anew")
        return False
