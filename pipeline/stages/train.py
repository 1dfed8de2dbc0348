"""``train``: the conditional GAN on the train split, resumable at any moment.

A run's state lies in ``.augmint/train`` while it is in work: DVC may remove a stage's outputs before it runs, and a
state must outlive that. It is keyed by everything that the result depends on, and goes when the stage ends.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from gan.checkpoint import member_folder
from gan.errors import first_line
from gan.following import begin, follow
from gan.parts import groups
from gan.ranks import Ranks, launched
from gan.seeds import derive
from pipeline.atomic import remove, replacing
from pipeline.binding import write_figures
from pipeline.errors import BusyError, UserError
from pipeline.identity import digests
from pipeline.locks import alone
from pipeline.params import Params
from pipeline.progress import Progress, track
from pipeline.runtime import choose_device, taken_by_others
from pipeline.stages import check
from pipeline.store import Store
from pipeline.training import estimate
from pipeline.training.agreement import agreed
from pipeline.training.automatic import settled
from pipeline.training.interrupt import deferred
from pipeline.training.origin import open_origin
from pipeline.training.output import plot, ship
from pipeline.training.processes import among_others, handed_over, launch
from pipeline.training.run import Run
from pipeline.training.settings import gan_config
from pipeline.training.setup import TrainingSetup
from pipeline.training.snapshots import Judge
from pipeline.wording import listed
from pipeline.workspace import Workspace


def run(params: Params, workspace: Workspace) -> None:
    """Trains and writes ``models/``, ``plots/train/`` and ``metrics/train.json``.

    Of an ensemble the first member lies there as a single generator would, the others in ``member_<i>`` below.

    Raises:
        UserError: no ingested set, a class without a train image, no such device, models to go on from that do not
            fit, a GPU that is too small even for the smallest parts of a batch, or a run that diverged.
        BusyError: another training is in work in this folder, or something else fills the GPU.
    """
    if params.train.launcher == "torchrun" and not launched():
        launch(params, workspace)
        return
    params, workspace = handed_over(params, workspace)
    with ExitStack() as exits:
        ranks = Ranks()
        if launched():
            ranks = exits.enter_context(among_others(choose_device(params.train.device, "train.device").type))
        setup = agreed(ranks, lambda: _begin(params, workspace, ranks, exits), params.seed)
        if ranks.rank:  # a process that decides nothing
            follow(ranks, lambda index: setup.trainer(_seed(params, index)))
        else:
            _lead(params, workspace, setup)


def _begin(params: Params, workspace: Workspace, ranks: Ranks, exits: ExitStack) -> TrainingSetup:
    """Looks at what there is, and keeps others out until ``exits`` close."""
    if not ranks.rank:
        check.require(params, workspace, (*check.BEFORE_INGEST, *check.AFTER_INGEST))
        exits.enter_context(alone(workspace.scratch / "train.lock", "a training"))
    return _setup(params, workspace, ranks)


def _lead(params: Params, workspace: Workspace, setup: TrainingSetup) -> None:
    """All of the stage but for the steps of other processes."""
    try:
        _all_members(params, workspace, setup)
    except torch.OutOfMemoryError as error:
        raise BusyError(
            f"train: the GPU has no room ({first_line(error)}); wait for what else is on it, or lower "
            "train.batch_size or train.width"
        ) from None


def _all_members(params: Params, workspace: Workspace, setup: TrainingSetup) -> None:
    _say_what_was_chosen(setup)
    count = params.train.seeds
    with replacing(workspace.models, workspace.plots("train"), workspace.metrics("train")) as (models, plots, metrics):
        figures: list[dict[str, Any]] = []  # of the members so far, the last one first
        for index in reversed(range(count)):  # the first one's card lists the others
            begin(setup.ranks, index)
            work = Run(setup, _seed(params, index), _scratch(workspace, index))
            _train(work, _name(index))
            work.trainer.dismiss()
            others = [one["generator"] for one in reversed(figures)] if index == 0 else []
            figures.append(ship(work, member_folder(models, index), others))
            plot(work, member_folder(plots, index))
        first, *others = reversed(figures)
        write_figures(metrics, first | ({"members": others} if others else {}))
    for index in range(count):
        remove(_scratch(workspace, index))


def dry_run(params: Params, workspace: Workspace) -> None:
    """Prints what a run would take; writes nothing.

    Raises:
        UserError: as :func:`run`, but for divergence.
    """
    setup = _setup(params, workspace)
    _say_what_was_chosen(setup)
    trainer = setup.trainer(params.seed)
    print(estimate.describe(trainer, setup.store, params.train.minutes))
    seconds = estimate.seconds_per_iteration(trainer)
    total = 60 * params.train.minutes if params.train.minutes else seconds * setup.config.iterations
    print(
        f"train: {seconds:.3f} s an iteration, {total / 60:.1f} minutes in all, times {params.train.seeds} generators"
    )
    print(f"train: recipe {setup.params.recipe}, resolved:\n{estimate.settings(setup.config)}")


def _setup(params: Params, workspace: Workspace, ranks: Ranks | None = None) -> TrainingSetup:
    store = Store.open(workspace.store)
    device = choose_device(params.train.device, "train.device")
    counts = store.split("train").counts(len(store.classes)).tolist()
    if empty := [name for name, n in zip(store.classes, counts, strict=True) if n == 0]:
        raise UserError(f"{store.folder}: no train image of class {listed(empty)}; mend the source or the split")
    train, chosen = settled(params.train, store.image_size, device.type)
    config = gan_config(train, device, counts, store.image_size)
    ranks = ranks or Ranks()
    if ranks.count > groups(config):
        raise UserError(
            f"train.processes: {ranks.count} processes cannot share a batch of {config.batch_size} images, of which "
            f"{config.batch_size // groups(config)} are judged together; take {groups(config)} at most, or raise "
            "train.batch_size"
        )
    origin = open_origin(params, workspace, config, store)
    data = digests(store.folder)
    return TrainingSetup(train, chosen, config, store, data, device, Judge(store, params.seed), ranks, origin)


def _say_what_was_chosen(setup: TrainingSetup) -> None:
    for sentence in setup.chosen:
        print(f"train: {sentence}")


def _seed(params: Params, index: int) -> int:
    return derive(params.seed, "train.member", index) if index else params.seed


def _train(work: Run, name: str) -> None:
    """Runs to the end of the budget; when stopped, leaves the state and a generator to look at."""
    setup, budget = work.setup, work.budget
    print(estimate.describe(work.trainer, setup.store, setup.params.minutes))
    with deferred() as stop, track(budget.total, name, budget.unit, budget.units(work.share)) as progress:
        try:
            work.train(progress, stop)
        except KeyboardInterrupt:
            _leave(work, progress)
            raise
        except torch.OutOfMemoryError as error:
            if not work.trainer.in_smallest_parts or taken_by_others(setup.device):
                raise
            raise UserError(
                f"train: the GPU has no room, even for a batch in {work.trainer.parts} parts ({first_line(error)}); "
                "lower train.width or data.image_size, or take train.device: cpu"
            ) from None
        work.save()
        estimate.tell_peak(progress, setup.device)


def _leave(work: Run, progress: Progress) -> None:
    work.save()
    work.save_generator()
    progress.say(
        f"train: stopped at {work.kimg:.1f} kimg; `dvc repro` goes on from there, and "
        f"`augmint sample --model {work.folder}` draws from the generator as it is"
    )


def _scratch(workspace: Workspace, index: int) -> Path:
    return workspace.scratch / (f"train_{index}" if index else "train")


def _name(index: int) -> str:
    return f"train: member {index}" if index else "train"
