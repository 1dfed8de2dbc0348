"""What ways of using synthetic images are worth, judged on real images that are neither train nor test.

    python benchmarks/uses.py params.yaml data/digits.zip --use "" --use "classify.synthetic_weight=0.25 dose=3"
    python benchmarks/uses.py examples/fashion-mnist.yaml fashion-mnist.zip --folder fashion --use "dose=0.16666667" \\
        --use "classify.copies_share=0 dose=0.16666667"

The images that ``data.long_tail`` leaves out of the train split are the judges, so that any number of ways may be tried
and the test split is still unseen. One generator is trained; each way names what it changes in the parameter file, and
its ``dose``. For every seed a classifier without a second pass, the control and the arm with synthetic images are
trained alike, and differences are paired by seed. In a folder that is kept, what is finished is not run again.
"""

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import parameters
from rich.console import Console
from rich.table import Table

from pipeline.classifier.training import Recipe
from pipeline.errors import UserError
from pipeline.experiment.accuracies import answers, balanced_accuracy
from pipeline.experiment.arms import Arm
from pipeline.experiment.pool import Pool, make_pool
from pipeline.experiment.runner import Runner
from pipeline.experiment.search import available_doses
from pipeline.experiment.trial import TrialSetup
from pipeline.ingest.splitting import thin
from pipeline.params import Params, load_params
from pipeline.progress import track
from pipeline.stages import export, ingest, train
from pipeline.store import Store, write_store
from pipeline.workspace import Workspace

MOST = 4000  # judging images
DOSE = "dose="


class Scores(NamedTuple):
    """Balanced accuracy of each seed, float64 (seeds,)."""

    classical: np.ndarray
    control: np.ndarray
    synthetic: np.ndarray


def write_judging_store(params: Params, thinned: Store, whole: Store, folder: Path) -> None:
    """Train and val of ``thinned``, and for a test split up to :data:`MOST` of what was thinned out of ``whole``."""
    assert params.data.long_tail
    train, val, rest = thinned.split("train"), thinned.split("val"), whole.split("train")
    left = thin(rest.labels, np.arange(len(rest)), whole.classes, params.data.long_tail, params.seed)
    rows = np.sort(np.random.default_rng(0).permutation(left)[:MOST])
    labels = {"train": train.labels, "val": val.labels, "test": rest.labels[rows]}
    shape = (thinned.channels, thinned.image_size, thinned.image_size)
    folder.mkdir(parents=True, exist_ok=True)
    write_store(folder, [train.images, val.images, rest.images[rows]], labels, thinned.classes, shape, {})  # type: ignore[arg-type]


def prepare(params: Params, folder: Path) -> Store:
    """Ingests, trains the generator, and gathers the judging images, unless that is done."""
    workspace, judging, made_with = Workspace(folder), folder / "judging", folder / "made_with.json"
    choices = params.model_dump_json(include={"seed", "data", "train"})
    if not made_with.exists():
        if not params.data.long_tail:
            raise UserError("data.long_tail: null leaves no images out to judge by")
        ingest.run(params, workspace)
        train.run(params, workspace)
        everything = params.model_copy(update={"data": params.data.model_copy(update={"long_tail": None})})
        whole = Workspace(folder / "whole")
        ingest.run(everything, whole)
        write_judging_store(params, Store.open(workspace.store), Store.open(whole.store), judging)
        made_with.write_text(choices)
    if made_with.read_text() != choices:
        raise UserError(f"{folder}: made by other choices of seed, data or train; name another folder")
    return Store.open(judging)


def judge(params: Params, dose: float, recipe: Recipe, folder: Path) -> Scores:
    """Exports as ``params`` say, and trains ``params.classify.seeds`` classifiers of each arm."""
    workspace, classify, judging = Workspace(folder), params.classify, folder / "judging"
    choices = params.model_dump_json(exclude={"classify": {"seeds"}})  # more seeds go on from those that are done
    cache = folder / "uses" / hashlib.sha256(f"{choices} {dose} {recipe}".encode()).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    store = Store.open(judging)
    pool = cache / "pool"
    if not (pool / "unit.npy").exists():
        export.run(params, workspace)
    made = (pool, workspace.synthetic, workspace.models)
    reason = make_pool(*made, store, left_out=(), largest=dose, draws=classify.draws)
    available_doses(Pool.open(pool), classify.model_copy(update={"doses": (dose,)}), reason)  # refuses one too large
    (lr, weight_decay), *_ = classify.tuning
    extras: tuple[Literal["none", "copies", "synthetic"], ...] = ("none", "copies", "synthetic")
    arms = [Arm(extra, recipe, extra=extra, dose=dose, lr=lr, weight_decay=weight_decay) for extra in extras]
    labels = store.split("test").labels
    with (
        track(len(arms) * classify.seeds, "classifiers", "classifiers") as progress,
        Runner(params.seed, TrialSetup(workspace.root, judging, pool, classify), cache, progress) as runner,
    ):
        found = runner.run(*arms, seeds=classify.seeds, draws=classify.draws, crossed=False)
    return Scores(*(balanced_accuracy(answers(result.test) == labels, labels).ravel() for result in found))


def difference(scores: np.ndarray, others: np.ndarray) -> str:
    """Points, paired by seed, with the standard error: ``+0.3 ± 0.2``."""
    gain = (scores - others) * 100
    return f"{gain.mean():+.1f} ± {gain.std(ddof=1) / len(gain) ** 0.5:.1f}"


def show(rows: dict[str, Scores], judges: int) -> None:
    """One row a use."""
    table = Table("use", title=f"{judges:,} judging images; points of balanced accuracy, standard errors over seeds")
    for heading in ("classical", "control", "+ synthetic", "against the control", "against classical"):
        table.add_column(heading, justify="right")
    for name, scores in rows.items():
        means = [f"{each.mean() * 100:.1f}" for each in scores]
        against = [difference(scores.synthetic, other) for other in (scores.control, scores.classical)]
        table.add_row(name or "as the parameter file says", *means, *against)
    Console(width=140).print(table)


def read(options: argparse.Namespace, use: str, file: Path) -> tuple[Params, float]:
    """The parameters and the dose of one use; ``file`` is written over."""
    parts = use.split()
    dose = next((float(part.removeprefix(DOSE)) for part in parts if part.startswith(DOSE)), 1.0)
    choices = [part for part in parts if not part.startswith(DOSE)]
    parameters.write(options.params, options.data, [*options.set_to, *choices, f"classify.seeds={options.seeds}"], file)
    return load_params(file), dose


def run(options: argparse.Namespace, folder: Path) -> None:
    """Everything, in ``folder``; the table is printed again after each use."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "params.yaml"
    plain, _ = read(options, "", file)
    ways = {use: read(options, use, file) for use in options.use}  # what is wrong is said before anything is trained
    store = prepare(plain, folder)
    rows: dict[str, Scores] = {}
    for use, (params, dose) in ways.items():
        rows[use] = judge(params, dose, Recipe(options.balance, "trivial"), folder)
        show(rows, len(store.split("test")))


def main() -> None:
    """Works in the folder given, or in a temporary one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("params", type=Path, help="a parameter file")
    parser.add_argument("data", type=Path, help="what its data.path stands for")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one if left out")
    parser.add_argument("--use", action="append", required=True, metavar="'KEY=VALUE ... [dose=D]'", help="one way")
    parser.add_argument(
        "--set-to", action="append", default=[], metavar="KEY=VALUE", help="for all, e.g. train.kimg=60"
    )
    parser.add_argument("--balance", choices=("weights", "oversampling"), default="oversampling", help="of every arm")
    parser.add_argument("--seeds", type=int, default=6, help="classifiers of each arm, 5 at least")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            run(options, options.folder or Path(temporary))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
