"""What watches over a run: its curves, and its health as they tell it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gan.health import DIVERGENCE, Alarm, Monitor, explosion
from gan.probe import EVERY, Probe
from gan.trainer import FIGURES, Labelled, Trainer

COLUMNS = ("kimg", *FIGURES, "overfitting", "augment_strength")
AT_ONCE = 64  # iterations
SIZES = ("penalty", "critic_gradient", "generator_gradient")  # what explodes when a run diverges


@dataclass(frozen=True)
class Reading:
    """What the end of a stretch of the curves told.

    Attributes:
        figures: means over the stretch, in the order of ``FIGURES``.
        alarms: those that began or ended by it.
        sound: nothing points to divergence.
    """

    figures: Tensor
    alarms: list[Alarm]
    sound: bool

    @property
    def divergence(self) -> Alarm | None:
        """The alarm that the run diverges, if it began by this reading."""
        return next((alarm for alarm in self.alarms if alarm.sign is DIVERGENCE and alarm.until is None), None)


class Watch:
    """Gathers the iterations' figures, and reads the run's health at the end of each stretch.

    Reading figures waits for the device. A processor has them at once; a GPU would idle, so there they are read
    :data:`AT_ONCE` iterations at a time.

    Args:
        trainer: of the run.
        train: the images that it learns from.
        held_out: images of the same classes that nothing learns from.

    Attributes:
        curve: rows of :data:`COLUMNS`, one a stretch.
        monitor: the alarms so far.
    """

    def __init__(self, trainer: Trainer, train: Labelled, held_out: Labelled) -> None:
        self.trainer = trainer
        self.probe = Probe(trainer, train, held_out)
        self.monitor = Monitor()
        self.curve: list[Tensor] = []
        self._sum, self._count = torch.zeros(len(FIGURES)), 0
        self._unread, self._looks = list[Tensor](), 0
        self._at_once = 1 if trainer.device.type == "cpu" else AT_ONCE

    @property
    def settled(self) -> bool:
        """Whether all figures are read."""
        return not self._unread

    @property
    def full(self) -> bool:
        """Whether so many figures are unread that it is time for :meth:`settle`."""
        return len(self._unread) >= self._at_once

    def take(self, figures: Tensor) -> None:
        """Adds the figures of an iteration that has just begun or ended."""
        self._unread.append(figures)
        self._looks += self.probe.look()

    def settle(self) -> Tensor | None:
        """Reads the figures and adapts the augmentation; returns those of the first iteration that diverged."""
        rows, looks = torch.stack(self._unread).cpu(), self._looks
        self._unread, self._looks = [], 0
        for figures in rows:
            if not figures.isfinite().all():
                return figures
            self._sum += figures
            self._count += 1
        if looks:
            self.trainer.adapt(self.probe.overfitting, looks * EVERY * self.trainer.config.images_per_iteration)
        return None

    def read(self, kimg: float, share: float) -> Reading:
        """Ends a stretch of the curves after ``kimg`` and ``share`` of the budget."""
        figures = self._sum / self._count
        self._sum, self._count = torch.zeros(len(FIGURES)), 0
        overfitting = self.probe.overfitting
        watched = [math.nan if overfitting is None else overfitting, self.trainer.strength]
        signals = self.probe.signals() | {"explosion": self._explosion(figures)}
        self.curve.append(torch.cat([torch.tensor([kimg]), figures, torch.tensor(watched)]))
        return Reading(figures, self.monitor.read(kimg, share, signals), self.monitor.sound(signals))

    def note(self) -> str:
        """The figures by now, for a progress bar."""
        if self._count:
            return described(self._sum / self._count)
        return described(self.curve[-1][1 : 1 + len(FIGURES)]) if self.curve else ""

    def state(self) -> dict[str, Tensor]:
        """All that a resumed run needs of it, as named tensors; figures have to be settled."""
        return {
            "sum": self._sum.clone(),
            "count": torch.tensor(self._count),
            "curve": torch.stack(self.curve) if self.curve else torch.empty(0, len(COLUMNS)),
            "probe": self.probe.mean.clone(),
            "monitor": torch.tensor(self.monitor.rows(), dtype=torch.float64),
        }

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Takes up what :meth:`state` gave."""
        self._sum, self._count, self.curve = tensors["sum"], int(tensors["count"]), list(tensors["curve"])
        self._unread, self._looks = [], 0
        self.probe.mean = tensors["probe"].to(self.trainer.device)
        self.monitor = Monitor()
        self.monitor.load_rows(tensors["monitor"].tolist())

    def _explosion(self, figures: Tensor) -> float:
        latest = dict(zip(FIGURES, figures.tolist(), strict=True))
        return max(explosion([float(row[COLUMNS.index(name)]) for row in self.curve], latest[name]) for name in SIZES)


def described(figures: Tensor) -> str:
    """The main figures in a few words."""
    named = dict(zip(FIGURES, figures.tolist(), strict=True))
    return (
        f"critic {named['critic_loss']:.3f}, generator {named['generator_loss']:.3f}, "
        f"score gap {named['score_gap']:.3f}, penalty {named['penalty']:.4f}"
    )
