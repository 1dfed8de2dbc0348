"""What the study's stages and its command do in this process: the plan, the summary, what is said before a run."""

from collections.abc import Iterator, Sequence

from pipeline.atomic import replacing
from pipeline.binding import read_figures, sources, store_files, write_figures
from pipeline.errors import UserError
from pipeline.experiment.answers import ANSWERS
from pipeline.params import Params
from pipeline.report.terminal.study import print_study
from pipeline.stages import check
from pipeline.store import Store
from pipeline.study import dvc_file
from pipeline.study.folds import Fold, all_folds, assign_folds, notes, read_groups
from pipeline.study.plan import write_plan
from pipeline.study.records import FACTS
from pipeline.study.summary import joined_splits, summarise
from pipeline.workspace import Workspace


def prepare(params: Params, workspace: Workspace) -> None:
    """Writes ``study/plan.json`` and ``study/dvc.yaml``, before anything is trained.

    Raises:
        UserError: no ingested set, or one that cannot be studied.
    """
    examine(params, workspace)
    write_plan(params, workspace, Store.open(workspace.store))
    dvc_file.write(params, workspace)


def examine(params: Params, workspace: Workspace) -> None:
    """Raises UserError if a study of the ingested set is not possible; prints what weakens it."""
    source, study = (workspace.root / params.data.path).resolve(), workspace.study.resolve()
    if source == study or source in study.parents or study in source.parents:
        raise UserError(
            f"data.path: {params.data.path} holds {workspace.study}, which a study writes, or lies in it; move the "
            "images to a folder of another name"
        )
    check.require(params, workspace, check.AFTER_INGEST)
    store = Store.open(workspace.store)
    groups = read_groups(store)
    for repeat in range(params.study.repeats):
        assign_folds(store.labels, groups, store.classes, params.study.folds, params.seed, repeat)


def remarks(params: Params, workspace: Workspace) -> Iterator[str]:
    """What one should know of the study before it is run."""
    store = Store.open(workspace.store)
    yield (
        f"{len(store.labels):,} images in {params.study.folds} folds"
        + (f", {params.study.repeats} times" if params.study.repeats > 1 else "")
        + f"; about {len(store.labels) // params.study.folds:,} test images each; the plan is in study/plan.json"
    )
    yield from joined_splits(store)
    yield from notes(store, read_groups(store), params.study.folds)


def run_summary(params: Params, workspace: Workspace) -> None:
    """Writes ``metrics/study.json`` out of all folds, and prints it.

    Raises:
        UserError: a fold is missing or damaged.
    """
    tree = summarise(params, workspace)
    folders = [workspace.fold(str(fold)) for fold in all_folds(params.study)]
    files = [*store_files(workspace), *(folder / name for folder in folders for name in (ANSWERS, FACTS))]
    choices = {"classify": params.classify.model_dump(mode="json"), "study": params.study.model_dump(mode="json")}
    with replacing(workspace.metrics("study")) as (path,):
        write_figures(path, tree, sources(workspace, *files, seed=params.seed, **choices))
        print_study(tree)


def print_found(workspace: Workspace) -> None:
    """Prints the finished study.

    Raises:
        UserError: there is none, or it was edited.
    """
    print_study(read_figures(workspace, "study"))


def state(folds: Sequence[Fold], missing: Sequence[Fold]) -> str:
    """How many of some folds are finished."""
    done = len(folds) - len(missing)
    left = f"; to run: {', '.join(map(str, missing))}" if missing else ""
    return f"{done} of {len(folds)} folds are finished{left}"
