"""What the page says of each file: the parts that its template reads, out of the JSON that the stages wrote."""

from collections.abc import Iterable
from itertools import zip_longest

from pipeline.escaping import spreadsheet
from pipeline.experiment.names import in_order
from pipeline.params import TrainParams
from pipeline.report import acceptance
from pipeline.report.files import PageFiles, Tree
from pipeline.store import SPLITS
from pipeline.wording import recommendation

CLASS_COLUMNS = (
    *("class", "train", "synthetic", "test", "recall_baseline", "recall_synthetic", "recall_difference"),
    *("recall_baseline_ci95", "recall_synthetic_ci95", "recall_difference_ci95"),
    *("coverage", "coverage_real", "label_agreement", "label_agreement_real", "kid", "kid_standard_error"),
)
ARM_KEYS = (
    *("validation", "balanced_accuracy", "ci95", "macro_f1", "calibration_error", "lr", "weight_decay", "tau"),
    "images_seen",
)
SEEN = "plots/evaluate/per_class.csv"
FIGURES = (
    *("iterations", "precision", "generator_parameters", "critic_parameters", "critic_loss", "generator_loss"),
    *("score_gap", "penalty", "critic_gradient", "generator_gradient"),
)
RAREST_KEYS = (
    *("class", "train", "test", "recall_plain", "recall_plain_ci95", "recall", "recall_ci95"),
    *("difference", "difference_ci95"),
)
VERDICT_KEYS = (
    *("verdict", "sentence", "smallest_effect", "seeds_to_settle", "recipe", "dose", "draws"),
    *("train_real_test_synthetic", "warnings"),
)


def utility(tree: Tree) -> Tree:
    """The verdict, what it stands on, and the arms."""
    against = {row["against"]: row for row in tree["comparisons"]}
    arms = [
        {
            "title": arm["title"],
            "baseline": name == tree["baseline"],
            "synthetic": name == "synthetic",
            "against": against.get(name),
            **{key: arm[key] for key in ARM_KEYS},
        }
        for name, arm in in_order(tree["arms"])
    ]
    baseline = tree["arms"][tree["baseline"]]
    picked = next(row for row in tree["doses"] if row["picked"])
    return {key: tree[key] for key in VERDICT_KEYS} | {
        "recommendation": recommendation(tree),
        "rarest": [{key: row[key] for key in RAREST_KEYS} for row in (tree.get("recommended") or {}).get("rarest", [])],
        "baseline": baseline["title"],
        "arms": arms,
        "seeds": len({row["seed"] for row in baseline["seeds"]}),
        "dose_images": picked["images"],
    }


def study(tree: Tree) -> Tree:
    """The study as it is, its endpoints in one list, the verdict's first."""
    means = {
        name: _mean([fold[name] for fold in tree["by_fold"] if fold[name] is not None])
        for name in ("baseline", "synthetic")
    }
    main = {"title": tree["endpoint"]["title"], "better": "higher", **means}
    main |= {"gain": tree["delta"], "ci95": tree["ci95"], "p_holm": None}
    folds = [row | {"baseline_arm": tree["arms"][row["baseline_arm"]]["title"]} for row in tree["by_fold"]]
    return tree | {"endpoints": [main, *tree["second_endpoints"]], "by_fold": folds}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def data(summary: Tree, files: PageFiles) -> Tree:
    """Images by class and split, and what ingest left out."""
    made = files.synthetic_counts()
    rows = [
        {"class": name, "synthetic": made.get(name, 0)}
        | {split: summary["counts"][split].get(name, 0) for split in SPLITS}
        for name in summary["classes"]
    ]
    columns = [*SPLITS, "synthetic"]
    return {
        "rows": rows,
        "columns": columns,
        "totals": {column: sum(row[column] for row in rows) for column in columns},
        "image_size": summary["image_size"],
        "channels": summary["channels"],
        "ingest": files.part("metrics/ingest.json", _ingest),
    }


def _ingest(tree: Tree) -> Tree:
    return {key: tree[key] for key in ("images", "bad", "duplicates", "near_duplicates", "passed_over")}


def generator(card: Tree) -> Tree:
    """What made the images: of an ensemble the first one, but the digests of all."""
    return {"family": card["family"], "kimg": card["kimg"], "sha256": [card["sha256"], *card.get("members", [])]}


def per_class(files: PageFiles) -> list[Tree]:
    """One row a class: what it is made of, its recall with and without, and how its synthetic images look."""
    utility = files.part("metrics/utility.json", lambda tree: [_class_utility(row, tree) for row in tree["per_class"]])
    quality = files.table(SEEN, lambda rows: [_class_quality(row) for row in rows])
    named, seen = ([row["class"] for row in rows or []] for rows in (utility, quality))
    if named and seen and list(map(spreadsheet, named)) != seen:
        files.missing[SEEN] = "of other classes than metrics/utility.json"
        quality = None
    pairs: Iterable[tuple[Tree, Tree]] = zip_longest(quality or [], utility or [], fillvalue={})
    return [dict.fromkeys(CLASS_COLUMNS) | looks | recalls for looks, recalls in pairs]


def _class_utility(row: Tree, tree: Tree) -> Tree:
    arms = {"baseline": tree["baseline"], "synthetic": "synthetic"}
    intervals = row["recall_ci95"] or {}
    recall = {f"recall_{name}": row["recall"][arm] for name, arm in arms.items()}
    recall |= {f"recall_{name}_ci95": intervals.get(arm) for name, arm in arms.items()}
    keys = ("class", "train", "synthetic", "test", "recall_difference", "recall_difference_ci95")
    return recall | {key: row[key] for key in keys}


def _class_quality(row: Tree) -> Tree:
    return {key: row[key] for key in CLASS_COLUMNS if key == "class" or key.startswith(("coverage", "label", "kid"))}


def training(tree: Tree, params: TrainParams) -> Tree:
    """How the generators were trained, which of their snapshots ship, and what the runs found wrong.

    Args:
        tree: the content of ``metrics/train.json``: of the first generator, with the others of an ensemble below
            ``members``.
        params: the choices of the stage.
    """
    runs = [tree, *tree.get("members", [])]
    names = [f"generator {i}" for i in range(1, len(runs) + 1)]
    return {
        "recipe": params.recipe,
        **{key: getattr(params.config, key) for key in ("family", "loss", "penalty")},
        **tree.get("settled", {}),  # what ``auto`` stood for
        "runs": [{key: run[key] for key in ("kimg", "rollbacks", "snapshot")} for run in runs],
        "health": [{"generator": i, **row} for i, run in enumerate(runs, 1) for row in run["health"]],
        "figures": {key: [run[key] for run in runs] for key in FIGURES},
        "names": names if len(runs) > 1 else ["value"],
    }


def export(tree: Tree) -> Tree:
    """What became of every draw, by class and filter."""
    names = acceptance.filters(tree)
    return {
        "rows": acceptance.by_class(tree),
        "filters": {name: tree["filters"][name] for name in names},
        "rejected": [f"rejected: {name}" for name in names],
        "overridden": tree["overridden"],
    }
