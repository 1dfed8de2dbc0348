"""``classify``: trains classifiers with and without the synthetic images, and judges them on real test images."""

from typing import Any

import numpy as np

from gan.seeds import derive
from pipeline.atomic import remove, replacing, write_json
from pipeline.classifier.augmentation import Augment
from pipeline.classifier.experiment import Arm, Predictions, Runner, SyntheticSet, open_cache, read_synthetic
from pipeline.classifier.training import Recipe
from pipeline.errors import UserError
from pipeline.metrics.utility import (
    Bounds,
    Interval,
    balanced_accuracy,
    decide,
    interval,
    macro_f1,
    recalls,
    seeds_interval,
)
from pipeline.params import Params
from pipeline.progress import track
from pipeline.report import page
from pipeline.report.arms import draw_arms, write_arms, write_classes
from pipeline.report.results import print_utility
from pipeline.store import Store
from pipeline.workspace import Workspace

REAL = Arm("real", Recipe())
BALANCED = (Arm("class_weights", Recipe("weights")), Arm("oversampling", Recipe("oversampling")))
AUGMENTS: tuple[Augment, ...] = ("affine", "trivial")
CANDIDATES = tuple(Arm("classical", Recipe(arm.recipe.balance, kind)) for arm in BALANCED for kind in AUGMENTS)
ARMS = 7
WITHOUT_SYNTHETIC = ("real", "class_weights", "oversampling", "classical", "control")
FEW, VERY_FEW = 50, 20  # train images of a class

DIGITS = 6

Results = dict[Arm, Predictions]


def run(params: Params, workspace: Workspace) -> None:
    """Trains every arm over the same seeds, chooses the baseline on validation, and tests once.

    Writes ``metrics/utility.json``, ``plots/classify`` and ``report/``, which shows what all stages found; prints the
    table and the verdict.

    Raises:
        UserError: no ingested or exported set, or one that cannot be judged.
    """
    store = Store.open(workspace.store)
    _check(store)
    cache = open_cache(params, workspace, store)
    synthetic = read_synthetic(workspace.synthetic, store, cache)
    total = ARMS * params.classify.seeds + len(CANDIDATES) * _trial_seeds(params.classify.seeds)
    with (
        track(total, "classify", "classifiers") as progress,
        Runner(params, workspace, cache, progress) as runner,
    ):
        results, candidates = _train(runner, store.split("val").labels)
    metrics = _metrics(params, store, synthetic, results, candidates)
    with replacing(workspace.metrics("utility"), workspace.plots("classify")) as (figures, plots):
        write_json(figures, metrics)
        plots.mkdir()
        write_arms(plots / "arms.csv", metrics["arms"])
        write_classes(plots / "per_class.csv", metrics["per_class"])
        draw_arms(plots / "arms.png", metrics)
    with replacing(workspace.report) as (folder,):
        page.write(params, workspace, folder / "index.html")
    remove(cache.parent)
    print_utility(metrics)


def _check(store: Store) -> None:
    for name in ("val", "test"):
        if not len(store.split(name)):
            raise UserError(f"{store.folder}: the {name} split is empty; raise `data.{name}_fraction` in params.yaml")
    counts = store.split("train").counts(len(store.classes))
    if not counts.all():
        missing = store.classes[int(counts.argmin())]
        raise UserError(
            f"{store.folder}: class {missing!r} has no train image; add some, or lower the other splits' fractions"
        )


def _train(runner: Runner, labels: np.ndarray) -> tuple[Results, Results]:
    """All arms, and the candidates for the best classical one, which is chosen on the validation split.

    Balance and augmentation are chosen together, because what is best without augmentation need not be so with it.
    """
    candidates = dict(zip(CANDIDATES, runner.run(*CANDIDATES, seeds=_trial_seeds(runner.seeds)), strict=True))
    classical = _best(candidates, labels)
    arms = (
        REAL,
        *BALANCED,
        classical,
        Arm("control", classical.recipe, extra="copies"),
        Arm("synthetic", classical.recipe, extra="synthetic"),
        Arm("synthetic_only", classical.recipe, images="synthetic"),
    )
    return dict(zip(arms, runner.run(*arms), strict=True)), candidates


def _trial_seeds(seeds: int) -> int:
    """Enough to choose a candidate by, at half the cost."""
    return (seeds + 1) // 2


def _best(results: Results, labels: np.ndarray) -> Arm:
    """The arm with the best mean balanced accuracy on the validation split; the first of equals."""
    return max(results, key=lambda arm: float(balanced_accuracy(results[arm].val == labels, labels).mean()))


def _metrics(
    params: Params, store: Store, synthetic: SyntheticSet, results: Results, candidates: Results
) -> dict[str, Any]:
    """The content of ``metrics/utility.json``; accuracies and recalls are fractions."""
    val, test = store.split("val").labels, store.split("test").labels
    baseline = _best({arm: result for arm, result in results.items() if arm.name in WITHOUT_SYNTHETIC}, val)
    classical = next(arm for arm in results if arm.name == "classical")
    correct = {arm.name: results[arm].test == test for arm in results}
    comparisons = {name: _compare(params, correct, name, test) for name in WITHOUT_SYNTHETIC}
    main = comparisons[baseline.name]
    per_class = _per_class(store, synthetic, correct, baseline.name)
    bounds = Bounds(params.classify.min_effect, params.classify.max_class_loss, params.classify.equivalence_margin)
    falls = {row["class"]: row["recall_difference"] for row in per_class if row["test"]}
    verdict = decide(main["delta"], Interval(*main["ci95"]), falls, _title(baseline), bounds)
    metrics = {
        "verdict": verdict.name,
        "sentence": verdict.sentence,
        "baseline": baseline.name,
        "recipe": _recipe_title(classical.recipe),
        **main,
        "arms": {arm.name: _figures(params, arm, result, val, test) for arm, result in results.items()},
        "comparisons": [{"against": name} | figures for name, figures in comparisons.items()],
        "candidates": [_candidate(arm, result, val) for arm, result in candidates.items()],
        "per_class": per_class,
        "warnings": _warnings(store, synthetic),
    }
    return _rounded(metrics)


def _rounded(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _rounded(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_rounded(value) for value in node]
    return round(node, DIGITS) if isinstance(node, float) else node


def _compare(params: Params, correct: dict[str, np.ndarray], against: str, labels: np.ndarray) -> dict[str, Any]:
    """The paired difference, + synthetic minus ``against``: over seeds and images (``ci95``), and over seeds alone."""
    differences = correct["synthetic"].astype(np.int8) - correct[against]
    by_seed = balanced_accuracy(differences, labels)
    rng = np.random.default_rng(derive(params.seed, "classify.bootstrap", "difference", against))
    ci = interval(differences, labels, draws=params.classify.bootstrap, rng=rng)
    over_seeds = seeds_interval(by_seed)
    return {
        "delta": float(by_seed.mean()),
        "ci95": [ci.low, ci.high],
        "seeds_ci95": [over_seeds.low, over_seeds.high],
    }


def _figures(params: Params, arm: Arm, result: Predictions, val: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    correct = result.test == test
    by_seed = balanced_accuracy(correct, test)
    by_seed_val = balanced_accuracy(result.val == val, val)
    f1 = [macro_f1(row, test) for row in result.test]
    rng = np.random.default_rng(derive(params.seed, "classify.bootstrap", "arm", arm.name))
    ci = interval(correct, test, draws=params.classify.bootstrap, rng=rng)
    seen = arm.images_seen(params.classify)
    return {
        "title": _title(arm),
        "balanced_accuracy": float(by_seed.mean()),
        "ci95": [ci.low, ci.high],
        "spread": float(by_seed.std(ddof=1)),
        "macro_f1": float(np.mean(f1)),
        "validation": float(by_seed_val.mean()),
        "images_seen": sum(seen.values()),
        "images_seen_by_kind": [{"kind": kind, "images": count} for kind, count in seen.items()],
        "optimizer_steps": params.classify.steps,
        "seeds": [
            {"seed": i, "balanced_accuracy": float(by_seed[i]), "macro_f1": f1[i], "validation": float(by_seed_val[i])}
            for i in range(len(f1))
        ],
    }


def _candidate(arm: Arm, result: Predictions, labels: np.ndarray) -> dict[str, Any]:
    validation = float(balanced_accuracy(result.val == labels, labels).mean())
    return {"balance": arm.recipe.balance, "augment": arm.recipe.augment, "validation": validation}


def _per_class(
    store: Store, synthetic: SyntheticSet, correct: dict[str, np.ndarray], baseline: str
) -> list[dict[str, Any]]:
    size = len(store.classes)
    train, test = store.split("train").counts(size), store.split("test").counts(size)
    made = np.bincount(synthetic.labels, minlength=size)
    by_arm = {name: recalls(hits, store.split("test").labels, size).mean(axis=0) for name, hits in correct.items()}
    rows = []
    for i, name in enumerate(store.classes):
        recall = {arm: float(values[i]) if test[i] else None for arm, values in by_arm.items()}
        difference = float(by_arm["synthetic"][i] - by_arm[baseline][i]) if test[i] else None
        counts = {"train": int(train[i]), "synthetic": int(made[i]), "test": int(test[i])}
        rows.append({"class": name, **counts, "recall": recall, "recall_difference": difference})
    return rows


def _warnings(store: Store, synthetic: SyntheticSet) -> list[str]:
    size = len(store.classes)
    train, test = store.split("train").counts(size), store.split("test").counts(size)
    made = np.bincount(synthetic.labels, minlength=size)
    notes = (
        (train < VERY_FEW, f"fewer than {VERY_FEW} train images: a generator can hardly learn these classes"),
        (
            (train >= VERY_FEW) & (train < FEW),
            f"fewer than {FEW} train images: generated images of such classes often hurt",
        ),
        (test < VERY_FEW, f"fewer than {VERY_FEW} test images: the recall of these classes is coarse"),
        (made == 0, "no synthetic image: the arm `synthetic only` cannot know these classes"),
    )
    return [
        f"{text}: {', '.join(store.classes[i] for i in np.flatnonzero(which))}" for which, text in notes if which.any()
    ]


def _title(arm: Arm) -> str:
    titles = {"classical": "best classical", "control": "control (copies)", "synthetic": "+ synthetic"}
    return titles.get(arm.name, arm.name.replace("_", " "))


def _recipe_title(recipe: Recipe) -> str:
    balance = {"none": "", "weights": "class weights", "oversampling": "oversampling"}[recipe.balance]
    change = {"none": "", "affine": "affine", "trivial": "TrivialAugment"}[recipe.augment]
    return " + ".join(part for part in (balance, change) if part)
