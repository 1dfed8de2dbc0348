"""One fold: a workspace of its own in which the pipeline's own stages run, and what is kept of it.

The workspace lies in ``.augmint/study/<fold>/`` while the fold is in work, under a key of all that its result depends
on, so that a fold that was stopped goes on stage by stage, and within a stage where that left off.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.atomic import recover, remove, replacing, write_json
from pipeline.binding import read_figures, write_figures
from pipeline.classifier.architectures import fingerprint
from pipeline.experiment.answers import ANSWERS
from pipeline.identity import digests, key
from pipeline.locks import alone
from pipeline.params import Params
from pipeline.stages import classify, evaluate, export, train
from pipeline.store import SPLITS, SplitName, Store, write_store
from pipeline.study.folds import Fold, assign_folds, read_groups, split_of
from pipeline.study.plan import planned
from pipeline.study.records import FACTS, ROWS
from pipeline.workspace import Workspace

AT_ONCE = 4096
SECTIONS = ("data", "train", "evaluate", "export", "classify")
FIGURES = ("ingest", "train", "quality", "export", "utility")
MIB = 2**20
PATIENCE = 60.0  # seconds: twice what the guard of a worker that is lost takes to end what it had in work


def run(params: Params, workspace: Workspace, fold: Fold) -> None:
    """Runs a fold, and leaves ``study/folds/<fold>/``: predictions, the stages' figures and the fold's report.

    Raises:
        UserError: as the stages.
        BusyError: another process has the fold in work.
    """
    with _alone(workspace, fold):
        store, own = _worked(params, workspace, fold)
        _keep(params, store, own, workspace.fold(str(fold)), fold)
        remove(own.root.parent)


def work(params: Params, workspace: Workspace, fold: Fold) -> None:
    """Runs a fold's stages and writes no output: what they made waits in the scratch folder for :func:`run`.

    Raises:
        UserError, BusyError: as :func:`run`.
    """
    with _alone(workspace, fold):
        _worked(params, workspace, fold)


def _alone(workspace: Workspace, fold: Fold) -> AbstractContextManager[None]:
    """A worker that was lost may still be at the fold, until it is ended."""
    return alone(workspace.scratch / "folds" / f"{fold}.lock", f"fold {fold}", PATIENCE)


def _worked(params: Params, workspace: Workspace, fold: Fold) -> tuple[Store, Workspace]:
    """The project's store, and the fold's workspace with all stages finished."""
    store = Store.open(workspace.store)
    own = _open_workspace(params, workspace, fold)
    settings = _settings(params, workspace, fold)
    stages: dict[str, Callable[[], None]] = {
        "ingest": lambda: split(params, store, own, fold),
        "train": lambda: train.run(settings, own),
        "quality": lambda: evaluate.run(settings, own),
        "export": lambda: export.run(settings, own),
        "utility": lambda: classify.run(settings, own, own.root / ANSWERS),
    }
    for name, stage in stages.items():
        if not own.metrics(name).is_file():  # a stage's outputs come all at once
            print(f"study: fold {fold}: {name if name != 'utility' else 'classify'}", flush=True)
            stage()
    return store, own


def split(params: Params, store: Store, own: Workspace, fold: Fold) -> None:
    """Writes the fold's store out of the project's, without reading an image of the source again."""
    groups = read_groups(store)
    of_fold = assign_folds(store.labels, groups, store.classes, params.study.folds, params.seed, fold.repeat)
    splits = split_of(params, store.labels, groups, of_fold == fold.number, store.classes, fold.seed(params.seed))
    rows = {name: np.flatnonzero(splits == code) for code, name in enumerate(SPLITS)}
    facts: dict[str, Any] = {"study": {"fold": str(fold), "folds": params.study.folds}}
    if store.grey_range:
        facts["ingest"] = {"grey_range": dict(zip(("low", "high"), store.grey_range, strict=True))}
    with replacing(own.store, own.metrics("ingest")) as (folder, figures):
        folder.mkdir()
        labels: dict[SplitName, np.ndarray] = {name: store.labels[chosen] for name, chosen in rows.items()}
        shape = (store.channels, store.image_size, store.image_size)
        write_store(folder, _blocks(store, np.concatenate(list(rows.values()))), labels, store.classes, shape, facts)
        np.save(folder / ROWS, rows["test"])
        write_figures(figures, {"images": {name: len(chosen) for name, chosen in rows.items()}})


def _blocks(store: Store, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), AT_ONCE):
        yield store.images[rows[start : start + AT_ONCE]]


def _settings(params: Params, workspace: Workspace, fold: Fold) -> Params:
    """The fold's parameters: the project's, but for its seed, and paths that are not the fold's own.

    A gate that fails ends no fold: it is counted, and the fold is judged all the same.
    """
    export = params.export.model_copy(update={"force": True})
    weights = params.classify.weights and str((workspace.root / params.classify.weights).resolve())
    classify = params.classify.model_copy(update={"weights": weights})
    origin = params.train.init_from and str((workspace.root / params.train.init_from).resolve())
    train_ = params.train.model_copy(update={"init_from": origin})
    return params.model_copy(
        update={"seed": fold.seed(params.seed), "train": train_, "export": export, "classify": classify}
    )


def _open_workspace(params: Params, workspace: Workspace, fold: Fold) -> Workspace:
    """The fold's folder for these images and choices; what was in work for others goes."""
    choices: dict[str, Any] = {name: getattr(params, name).model_dump(mode="json") for name in SECTIONS}
    choices["classifier"] = fingerprint(params.classify, workspace.root)  # a module of the user's is imported from here
    choices["origin"] = params.train.init_from and digests(workspace.root / params.train.init_from)
    name = key(seed=params.seed, fold=str(fold), folds=params.study.folds, images=digests(workspace.store), **choices)
    own = Workspace(workspace.scratch / "study" / str(fold) / name[:16])
    own.root.mkdir(parents=True, exist_ok=True)
    for other in own.root.parent.iterdir():
        if other != own.root:
            remove(other)
    for path in recover(own.places):
        print(f"study: {path}: finished what a killed run had begun")
    return own


def _keep(params: Params, store: Store, own: Workspace, target: Path, fold: Fold) -> None:
    gates = read_figures(own, "quality")["gates"]
    facts = {
        "fold": str(fold),
        "planned": planned(params, store),
        "gates_failed": [gate["figure"] for gate in gates if not gate["passed"]],
        "images": read_figures(own, "ingest")["images"],
        "verdict": read_figures(own, "utility")["verdict"],
    }
    with replacing(target) as (folder,):
        folder.mkdir()
        shutil.copy(own.root / ANSWERS, folder / ANSWERS)
        shutil.copy(own.store / ROWS, folder / ROWS)
        for name in FIGURES:
            shutil.copy(own.metrics(name), folder / own.metrics(name).name)
        shutil.copy(own.report / "index.html", folder / "index.html")
        write_json(folder / FACTS, facts)
        kept, dropped = _bytes(folder), _bytes(own.root)
        print(
            f"study: fold {fold}: kept predictions, figures and report in {target} ({kept / MIB:.1f} MiB); dropped its "
            f"split, generator and synthetic images ({dropped / MIB:.1f} MiB), which its seed makes again"
        )


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
