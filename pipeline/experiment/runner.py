"""The trials of many arms, by workers of one thread each; a trial that is done is never run again."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import forkserver
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import torch

from gan.seeds import derive
from pipeline.experiment.arms import Arm
from pipeline.experiment.trial import Asked, Cell, Predictions, TrialSetup, train_stack
from pipeline.progress import Progress
from pipeline.reading.leftovers import usable
from pipeline.runtime import choose_device, one_thread, usable_cores
from pipeline.store import Store
from pipeline.workers import Workers
from pipeline.workers.local import CLEAN, Local

CLEAN.set_forkserver_preload(["pipeline.experiment.trial"])

# classifiers in a stack on a processor: of small images more gain nothing, of large ones any, and would take memory
MOST, MOST_LARGE, LARGE = 6, 2, 32


class Trial(NamedTuple):
    """One classifier to train: seed number and draw count from 0."""

    arm: Arm
    number: int
    draw: int


def import_ahead(device: torch.device) -> None:
    """Begins the imports of the trials' processes, while this one still does other things; needs not be called."""
    if usable_cores() > 1 and device.type == "cpu" and CLEAN.get_start_method() == "forkserver":
        forkserver.ensure_running()


@dataclass(frozen=True)
class Trainer:
    """Trains classifiers together, on any worker.

    Attributes:
        setup: with absolute places, and the processor as its device if that is what ``auto`` stands for here.
    """

    setup: TrialSetup

    @classmethod
    def of(cls, setup: TrialSetup) -> Self:
        """One that computes what this machine does."""
        device = choose_device(setup.params.device, "classify.device").type
        params = setup.params.model_copy(update={"device": device})
        root, store, pool = (path.absolute() for path in (setup.root, setup.store, setup.pool))
        return cls(TrialSetup(root, store, pool, params))

    def __call__(self, cells: list[Cell]) -> list[Predictions]:
        """What each classifier answers."""
        with one_thread():
            return train_stack(cells, self.setup)


class Stack(NamedTuple):
    """Classifiers that one process trains together, and the file of each."""

    cells: list[Cell]
    files: list[Path]

    @property
    def name(self) -> str:
        """Of their arm."""
        return self.cells[0].arm.name


class Runner:
    """Trains arms over seeds and draws, each trial once: what ``cache`` holds is not run again.

    Every worker computes with one thread, so that results do not depend on their number. On a GPU there is one, here.

    Args:
        seed: the project's.
        cache: the folder of finished trials; belongs to these images and this setup alone.
        workers: who trains; this machine's cores if left out.
    """

    def __init__(
        self, seed: int, setup: TrialSetup, cache: Path, progress: Progress, workers: Workers | None = None
    ) -> None:
        self._seed, self._setup, self._cache, self._progress = seed, setup, cache, progress
        self._on_gpu = choose_device(setup.params.device, "classify.device").type != "cpu"
        self._workers = Local(1) if self._on_gpu else workers or Local()
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        if not self._workers.elsewhere and self._workers.count == 1:
            self._exits.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        self._crew = self._exits.enter_context(self._workers.crew(Trainer.of(self._setup)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    def run(self, *arms: Arm, seeds: int, draws: int, crossed: bool = True) -> list[Predictions]:
        """The predictions of each arm over seeds and draws, (seeds, draws, …); what is missing is trained.

        An arm on which draws have no bearing has one alone.

        Args:
            seeds: the first so many.
            draws: how many there are.
            crossed: every seed with every draw; else seed i with draw i mod ``draws`` alone, which is cheaper.

        Raises:
            BusyError: training processes are killed over and over.
        """
        grids = [self._grid(arm, seeds, draws, crossed) for arm in arms]
        self._train(trial for grid in grids for row in grid for trial in row)
        return [Predictions.stack([[Predictions.load(self._file(t)) for t in row] for row in grid]) for grid in grids]

    @staticmethod
    def _grid(arm: Arm, seeds: int, draws: int, crossed: bool) -> list[list[Trial]]:
        if not arm.draws_matter:
            return [[Trial(arm, number, 0)] for number in range(seeds)]
        if not crossed:
            return [[Trial(arm, number, number % draws)] for number in range(seeds)]
        return [[Trial(arm, number, draw) for draw in range(draws)] for number in range(seeds)]

    def _train(self, trials: Iterable[Trial]) -> None:
        by_file = {self._file(trial): trial for trial in trials}
        missing = {
            file: trial
            for file, trial in by_file.items()
            if not usable(file, partial(self._look, file), "training it anew")
        }
        self._progress.advance(len(by_file) - len(missing))
        stacks = self._stacks(missing)
        for number, found in self._crew.as_done([stack.cells for stack in stacks]):
            for file, predictions in zip(stacks[number].files, found, strict=True):
                predictions.save(file)
            self._progress.advance(len(found), note=stacks[number].name)

    def _stacks(self, trials: dict[Path, Trial]) -> list[Stack]:
        """Trials that differ in seed, draw and rates, in stacks as equal as can be that keep every process at work.

        How they are cut has no bearing on what comes out.
        """
        by_arm: dict[str, list[Path]] = {}
        for file, trial in trials.items():
            by_arm.setdefault(trial.arm.stack(), []).append(file)
        most = len(trials) if self._on_gpu else min(self._most, -(-len(trials) // self._workers.count))
        parts = []
        for files in by_arm.values():
            count = -(-len(files) // most)
            parts += [files[len(files) * i // count : len(files) * (i + 1) // count] for i in range(count)]
        stacks = [Stack([self._cell(trials[file]) for file in part], part) for part in parts]
        return sorted(stacks, key=lambda stack: -len(stack.files))  # the long ones first, so that none waits at the end

    def _cell(self, trial: Trial) -> Cell:
        return Cell(trial.arm, derive(self._seed, "classify", trial.number), trial.draw)

    @cached_property
    def _most(self) -> int:
        return MOST if Store.open(self._setup.store).image_size <= LARGE else MOST_LARGE

    @cached_property
    def _asked(self) -> Asked:
        return Asked.of(self._setup)

    def _look(self, file: Path) -> None:
        """Raises OSError or ValueError unless a finished trial of this experiment is there."""
        Predictions.load(file).check(self._asked)

    def _file(self, trial: Trial) -> Path:
        return self._cache / f"{trial.arm.key()}-{trial.number}-{trial.draw}.npz"
