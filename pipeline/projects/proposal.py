"""What a project would be, before it is shown or written."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.params import Params
from pipeline.projects import choosing
from pipeline.projects.choosing import Choice
from pipeline.projects.looking import Look
from pipeline.projects.measuring import Machine, Speed

EXPORT_MINUTES = 2.0  # to evaluate and export, about


@dataclass(frozen=True)
class Proposal:
    """What a project would be.

    Attributes:
        folder: of the project.
        look: at the images.
        machine, speed: what it was fitted to.
        params: all choices.
        choices: those that were made for this set, with their reasons.
        texts: the files, by name.
    """

    folder: Path
    look: Look
    machine: Machine
    speed: Speed
    params: Params
    choices: tuple[Choice, ...]
    texts: dict[str, str]

    @property
    def minutes(self) -> dict[str, float]:
        """What each stage takes, by its name."""
        seconds = len(self.look.listing) / 500
        return {
            "ingest": seconds / 60,
            "train": (self.params.train.kimg or 0) * self.speed.kimg_seconds / 60,
            "evaluate and export": EXPORT_MINUTES,
            "classify": choosing.classify_minutes(self.params.classify, self.look, self.speed, self.machine),
        }
