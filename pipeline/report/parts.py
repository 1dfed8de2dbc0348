"""What the page says of each file: the parts that its template reads, out of the JSON that the stages wrote."""

from pipeline.report.sources import Sources, Tree
from pipeline.report.tables import in_order
from pipeline.store import SPLITS

CLASS_COLUMNS = (
    *("class", "train", "synthetic", "test", "recall_baseline", "recall_synthetic", "recall_difference"),
    *("coverage", "coverage_real", "label_agreement", "label_agreement_real", "kid", "kid_standard_error"),
)


def utility(tree: Tree) -> Tree:
    """The verdict and the arms."""
    against = {row["against"]: row for row in tree["comparisons"]}
    arms = [
        {
            "title": arm["title"],
            "baseline": name == tree["baseline"],
            "synthetic": name == "synthetic",
            "against": against.get(name),
            **{key: arm[key] for key in ("validation", "balanced_accuracy", "ci95", "macro_f1", "images_seen")},
        }
        for name, arm in in_order(tree["arms"])
    ]
    chosen = {key: tree[key] for key in ("verdict", "sentence", "delta", "ci95", "recipe", "warnings")}
    return chosen | {"baseline": tree["arms"][tree["baseline"]]["title"], "arms": arms, "seeds": _seeds(tree)}


def _seeds(tree: Tree) -> int:
    return len(tree["arms"][tree["baseline"]]["seeds"])


def data(summary: Tree, sources: Sources) -> Tree:
    """Images by class and split, and what ingest left out."""
    made = sources.synthetic_counts()
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
        "ingest": sources.part("metrics/ingest.json", _ingest),
    }


def _ingest(tree: Tree) -> Tree:
    return {key: tree[key] for key in ("images", "bad", "duplicates", "near_duplicates", "passed_over")}


def generator(card: Tree) -> Tree:
    """What made the images."""
    return {key: card[key] for key in ("family", "kimg", "sha256")}


def per_class(sources: Sources) -> list[Tree]:
    """One row a class: what it is made of, its recall with and without, and how its synthetic images look."""
    utility = sources.part(
        "metrics/utility.json", lambda tree: [_class_utility(row, tree) for row in tree["per_class"]]
    )
    quality = sources.part("metrics/quality.json", lambda tree: [_class_quality(row) for row in tree["per_class"]])
    rows: dict[str, Tree] = {}
    for row in (*(utility or []), *(quality or [])):
        rows.setdefault(row["class"], dict.fromkeys(CLASS_COLUMNS)).update(row)
    return list(rows.values())


def _class_utility(row: Tree, tree: Tree) -> Tree:
    recall = {"recall_baseline": row["recall"][tree["baseline"]], "recall_synthetic": row["recall"]["synthetic"]}
    return recall | {key: row[key] for key in ("class", "train", "synthetic", "test", "recall_difference")}


def _class_quality(row: Tree) -> Tree:
    return {key: row[key] for key in CLASS_COLUMNS if key == "class" or key.startswith(("coverage", "label", "kid"))}


def training(tree: Tree) -> Tree:
    """Plain figures, and what the run found wrong and chose, where it says so."""
    apart = ("recipe", "snapshot", "health")
    figures = {key: value for key, value in tree.items() if key not in apart and not isinstance(value, dict | list)}
    return {key: tree.get(key) for key in apart} | {"figures": figures}


def export(tree: Tree) -> Tree:
    """What became of every draw, by class and filter."""
    filters = sorted({name for row in tree["classes"] for name in row["rejected"]})
    rows = [
        {key: row[key] for key in ("class", "wanted", "drawn", "accepted")}
        | {"rejected": [row["rejected"].get(name, 0) for name in filters]}
        | {"share": row["accepted"] / row["drawn"] if row["drawn"] else None}
        for row in tree["classes"]
    ]
    return {"rows": rows, "filters": filters, "settings": tree["filters"], "overridden": tree["overridden"]}
