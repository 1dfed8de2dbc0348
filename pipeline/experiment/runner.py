"""The trials of many arms, in a pool of one-thread processes; a trial that is done is never run again."""

import os
import threading
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import cached_property, partial
from multiprocessing import active_children, forkserver, get_all_start_methods, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import torch

from gan.seeds import derive
from pipeline.errors import UserError
from pipeline.experiment.arms import Arm
from pipeline.experiment.trial import Asked, Cell, Predictions, TrialSetup, train_stack
from pipeline.progress import Progress
from pipeline.reading.leftovers import usable
from pipeline.runtime import choose_device, usable_cores
from pipeline.store import Store

# one process imports what a trial needs and is forked for each worker: torch takes some seconds of a core, which three
# processes on two cores would spend three times
CONTEXT = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
CONTEXT.set_forkserver_preload(["pipeline.experiment.trial"])


# classifiers in a stack on a processor: of small images more gain nothing, of large ones any, and would take memory
MOST, MOST_LARGE, LARGE = 6, 2, 32


class Trial(NamedTuple):
    """One classifier to train: seed number and draw count from 0."""

    arm: Arm
    number: int
    draw: int


def import_ahead(device: torch.device) -> None:
    """Begins the imports of the trials' processes, while this one still does other things; needs not be called."""
    if usable_cores() > 1 and device.type == "cpu" and CONTEXT.get_start_method() == "forkserver":
        forkserver.ensure_running()


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

    Every process computes with one thread, so that results do not depend on the pool's size. On a GPU there is one.

    Args:
        seed: the project's.
        cache: the folder of finished trials; belongs to these images and this setup alone.
        workers: processes; 1 runs within this one. The number of usable cores if left out.
    """

    def __init__(
        self, seed: int, setup: TrialSetup, cache: Path, progress: Progress, workers: int | None = None
    ) -> None:
        self._seed, self._setup, self._cache, self._progress = seed, setup, cache, progress
        self._on_gpu = choose_device(setup.params.device, "classify.device").type != "cpu"
        self._workers = 1 if self._on_gpu else workers or usable_cores()
        self._exits = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._workers > 1:
            self._pool = ProcessPoolExecutor(self._workers, mp_context=CONTEXT, initializer=_start_worker)
            self._exits.callback(self._pool.shutdown, wait=True, cancel_futures=True)
        else:
            self._exits.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):  # a trial may take minutes, and half of one is of no use
            for worker in active_children():
                worker.terminate()
        self._exits.close()

    def run(self, *arms: Arm, seeds: int, draws: int, crossed: bool = True) -> list[Predictions]:
        """The predictions of each arm over seeds and draws, (seeds, draws, …); what is missing is trained.

        An arm on which draws have no bearing has one alone.

        Args:
            seeds: the first so many.
            draws: how many there are.
            crossed: every seed with every draw; else seed i with draw i mod ``draws`` alone, which is cheaper.

        Raises:
            UserError: a training process was killed.
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
        if self._pool is None:
            for stack in stacks:
                _work(stack, self._setup)
                self._progress.advance(len(stack.files), note=stack.name)
            return
        futures = {self._pool.submit(_work, stack, self._setup): stack for stack in stacks}
        try:
            for future in as_completed(futures):
                future.result()
                self._progress.advance(len(futures[future].files), note=futures[future].name)
        except BrokenProcessPool:
            raise UserError(
                "classify: a training process was killed, most likely because memory ran out; free some and run "
                "`dvc repro` again: finished runs are kept"
            ) from None

    def _stacks(self, trials: dict[Path, Trial]) -> list[Stack]:
        """Trials that differ in seed, draw and rates, in stacks as equal as can be that keep every process at work.

        How they are cut has no bearing on what comes out.
        """
        by_arm: dict[str, list[Path]] = {}
        for file, trial in trials.items():
            by_arm.setdefault(trial.arm.stack(), []).append(file)
        most = len(trials) if self._on_gpu else min(self._most, -(-len(trials) // self._workers))
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


def _start_worker() -> None:
    torch.set_num_threads(1)
    parent = parent_process()
    if parent is not None:  # a killed parent must leave no orphan behind
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _work(stack: Stack, setup: TrialSetup) -> None:
    for file, predictions in zip(stack.files, train_stack(stack.cells, setup), strict=True):
        predictions.save(file)
