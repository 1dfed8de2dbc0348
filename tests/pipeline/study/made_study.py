"""A store and the finished folds of a study, made up: what classifiers say is drawn, not trained."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.experiment.answers import ANSWERS, Answers, save_answers
from pipeline.experiment.arms import without_synthetic
from pipeline.params import ClassifyParams, Params, StudyParams
from pipeline.store import SPLITS, Store, write_store
from pipeline.study.folds import all_folds, assign_folds, read_groups
from pipeline.study.plan import planned
from pipeline.study.records import FACTS, ROWS
from pipeline.workspace import Workspace

NAMES = ("ok", "dent", "crack")
SIZES = (90, 60, 24)
PARAMS = Params(study=StudyParams(folds=4, repeats=2), classify=ClassifyParams(bootstrap=400))
ARMS = (*without_synthetic(), "synthetic")


def make_store(folder: Path, given: bool = False) -> Store:
    """Three classes in three splits; every third image of the first class has a near duplicate."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), SIZES)
    order = rng.permutation(len(labels))
    parts = dict(zip(SPLITS, np.split(labels[order], [120, 145]), strict=True))
    images = rng.integers(0, 256, (len(labels), 1, 8, 8), dtype=np.uint8)
    facts = {"ingest": {"given_splits": ["train", "test"]}} if given else {}
    write_store(folder, [images], parts, NAMES, (1, 8, 8), facts)
    alone = [f"{row}.png" for row in range(len(labels))]
    twins = np.flatnonzero(labels[order] == 0)[:30].tolist()
    groups = {row: alone[twins[place - place % 2]] for place, row in enumerate(twins)}
    rows = [{"path": alone[row], "row": row, "group": groups.get(row)} for row in range(len(labels))]
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    return Store.open(folder)


def make_folds(workspace: Workspace, params: Params = PARAMS, gain: float = 0.6, seed: int = 0) -> None:
    """The folds of a study in which the synthetic arm's scores have ``gain`` more truth in them than the others'."""
    store, rng = Store.open(workspace.store), np.random.default_rng(seed)
    groups = read_groups(store)
    ease = rng.normal(size=(len(store.labels), 3))  # an image is hard for every classifier
    for fold in all_folds(params.study):
        of_fold = assign_folds(store.labels, groups, NAMES, params.study.folds, params.seed, fold.repeat)
        rows = np.flatnonzero(of_fold == fold.number)
        labels = store.labels[rows]
        scores = {}
        for name in ARMS:
            truth = 1.5 + (gain if name == "synthetic" else 0.1 * (name == "control"))
            shape = (3, 2 if name == "synthetic" else 1, len(rows), 3)
            scores[name] = truth * np.eye(3)[labels] + ease[rows] + 0.5 * rng.normal(size=shape)
        folder = workspace.fold(str(fold))
        folder.mkdir(parents=True)
        save_answers(folder / ANSWERS, Answers(labels, ("control", "mixed")[fold.number % 2], scores))
        np.save(folder / ROWS, rows)
        facts = {"fold": str(fold), "planned": planned(params, store), "gates_failed": ["kid"] * (fold.number == 3)}
        facts |= {"images": {"train": 100, "val": 20, "test": len(rows)}, "verdict": "INCONCLUSIVE"}
        (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")
