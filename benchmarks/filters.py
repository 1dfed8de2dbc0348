"""What each filter of ``export`` does for a classifier: filtered against unfiltered synthetic images at equal dose.

    python benchmarks/filters.py [--kimg 150] [--generators 2] [--seeds 6] [--steps 200] [--params params.yaml]

For each generator seed the pipeline of ``--params`` is run up to ``train`` in a temporary folder. Then a set is
exported with each filter, with the same number of images of every class, and classifiers are trained on real and
synthetic images, with the same seeds, batches and steps; only the images differ. The differences are paired, of
balanced accuracy on the test split, with an interval over classifier seeds, generators and test images. What is on by
default in params.yaml is chosen by this table.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from gan.seeds import derive
from pipeline.classifier.training import Recipe
from pipeline.errors import UserError
from pipeline.experiment.accuracies import answers, balanced_accuracy
from pipeline.experiment.arms import Arm
from pipeline.experiment.effect import estimate
from pipeline.experiment.pool import make_pool
from pipeline.experiment.runner import Runner
from pipeline.experiment.trial import TrialSetup
from pipeline.params import FilterParams, Params, load_params
from pipeline.progress import track
from pipeline.stages import export, ingest, train
from pipeline.store import Store
from pipeline.workspace import Workspace

SETTINGS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "confidence 0.5 to 1": {"confidence": (0.5, 1.0)},
    "confidence 0.5 to 0.95": {"confidence": (0.5, 0.95)},
    "manifold, k = 5": {"manifold": 5},
    "copies, 5 %": {"copies": 0.05},
    "critic, lowest 25 %": {"critic": 0.25},
    "all, floor only": {"confidence": (0.5, 1.0), "manifold": 5, "copies": 0.05, "critic": 0.25},
}
RECIPE = Recipe("oversampling", "trivial")
RATES = {"lr": 2e-2, "weight_decay": 5e-2}
SYNTHETIC = Arm("synthetic", RECIPE, extra="synthetic", dose=1.0, **RATES)
CONTROL = Arm("control", RECIPE, extra="copies", dose=1.0, **RATES)
DRAWS = 2000


def judged(params: Params, workspace: Workspace, arm: Arm) -> tuple[np.ndarray, float]:
    """Whether each test image is classified right, bool (seeds, 1, images), and the share of draws that was kept."""
    export.run(params, workspace)
    store, settings = Store.open(workspace.store), params.classify
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        pool = cache / "pool"
        make_pool(pool, workspace.synthetic, workspace.models, store, left_out=(), largest=1.0, draws=1)
        setting = TrialSetup(workspace.root, workspace.store, pool, settings)
        with (
            track(settings.seeds, "classifiers", "classifiers") as progress,
            Runner(params.seed, setting, cache, progress) as runner,
        ):
            (predictions,) = runner.run(arm, seeds=settings.seeds, draws=1)
    classes = json.loads(workspace.metrics("export").read_text())["classes"]
    drawn, accepted = (sum(each[name] for each in classes) for name in ("drawn", "accepted"))
    return answers(predictions.test) == store.split("test").labels, accepted / drawn


def compare(params: Params, generators: int, where: Path) -> None:
    """Prints the table."""
    right: dict[str, list[np.ndarray]] = {name: [] for name in (*SETTINGS, "copies of real images instead")}
    kept: dict[str, list[float]] = {name: [] for name in right}
    for number in range(generators):
        workspace, seeded = Workspace(where / str(number)), params.model_copy(update={"seed": params.seed + number})
        ingest.run(params, workspace)  # the same splits for all
        train.run(seeded, workspace)
        for name in right:
            filters = FilterParams(**SETTINGS.get(name, {}))
            changed = seeded.model_copy(update={"export": seeded.export.model_copy(update={"filters": filters})})
            try:
                correct, share = judged(changed, workspace, SYNTHETIC if name in SETTINGS else CONTROL)
            except UserError as error:  # it passes too little of a class
                print(f"{name}: {error}")
                continue
            right[name].append(correct)
            kept[name].append(share)
        labels = Store.open(workspace.store).split("test").labels
    whole = {name: np.concatenate(each, axis=1) for name, each in right.items() if len(each) == generators}
    show(whole, kept, labels)


def show(right: dict[str, np.ndarray], kept: dict[str, list[float]], labels: np.ndarray) -> None:
    """One row a filter; all differences are to no filter."""
    table = Table("filter", title=f"{len(labels):,} test images, {right['no filter'][..., 0].size} classifiers a row")
    for heading in ("draws kept", "balanced accuracy", "difference", "95 % interval"):
        table.add_column(heading, justify="right")
    for name, correct in right.items():
        accuracy = balanced_accuracy(correct, labels).mean()
        difference = correct.astype(np.int8) - right["no filter"]
        rng = np.random.default_rng(derive(0, "benchmark.filters", name))
        effect = estimate(difference, labels, resamples=DRAWS, rng=rng)
        share = f"{np.mean(kept[name]):.0%}" if name in SETTINGS else ""
        table.add_row(name, share, f"{accuracy:.4f}", f"{effect.mean:+.4f}", f"{effect.low:+.4f} to {effect.high:+.4f}")
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--kimg", type=float, help="training budget; that of --params if not given")
    parser.add_argument("--generators", type=int, default=2, help="generators trained, each with a seed of its own")
    parser.add_argument("--seeds", type=int, help="classifiers a generator; as --params says if not given")
    parser.add_argument("--steps", type=int, help="of each classifier; as --params says if not given")
    args = parser.parse_args()
    params = load_params(args.params)
    training = {"kimg": args.kimg} if args.kimg else {}
    classifying = {name: getattr(args, name) for name in ("seeds", "steps") if getattr(args, name)}
    params = params.model_copy(
        update={
            "data": params.data.model_copy(update={"path": str(Path(params.data.path).resolve())}),
            "train": params.train.model_copy(update=training),
            "classify": params.classify.model_copy(update=classifying),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        compare(params, args.generators, Path(folder))


if __name__ == "__main__":
    main()
