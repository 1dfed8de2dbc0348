"""The report: one HTML page that holds its pictures and styles, needs no network and runs no script."""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.params import Params
from pipeline.provenance import version
from pipeline.report.curves import draw_curves
from pipeline.report.tables import in_order
from pipeline.store import SPLITS
from pipeline.workspace import Workspace

# What a figure is called, and how to read it.
FIGURES = {
    "frechet_distance": (
        "Fréchet distance",
        "lower is better; biased at small numbers, so read it beside the real one",
    ),
    "kid": ("Kernel distance (KID)", "lower is better; unbiased, may fall below zero"),
    "precision": ("Precision", "share of synthetic images that lie among real ones"),
    "recall": ("Recall", "share of real images that lie among synthetic ones"),
    "density": ("Density", "how densely real images surround the synthetic ones"),
    "coverage": ("Coverage", "share of real images with a synthetic one near"),
    "diversity": ("Diversity within a class", "1 is as varied as the real images"),
    "label_agreement": ("Label agreement", "share whose label an independent classifier confirms"),
    "copy_share_pixel": (
        "Copies, by pixels",
        "closer to a train image than 99 % of unseen real ones are; 1 % by chance",
    ),
    "copy_share_feature": ("Copies, by features", "the same, as the embedder sees it"),
}
PICTURES = (
    ("plots/evaluate/grid.png", "Real images that the generator never saw, and synthetic ones, class by class."),
    (
        "plots/evaluate/nearest.png",
        "The synthetic images that lie nearest to a training image, each beside that image.",
    ),
    ("plots/train/samples.png", "The generator at the end of its training, class by class."),
)
ARMS_PICTURE = ("plots/classify/arms.png", "Balanced accuracy of every classifier, by arm.")
CURVES = ("plots/train/curves.csv", "How the training went.")

NONE, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"

Tree = dict[str, Any]


def write(params: Params, workspace: Workspace, target: Path) -> None:
    """Writes the page from what the stages have left: ``metrics/``, ``plots/``, the cards and the manifest.

    A part whose source is missing or damaged is left out, and named at the end of the page.

    Args:
        target: the HTML file; its folder is made if need be.
    """
    sources = Sources(workspace)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "points": points, "number": number, "count": count, "setting": setting}
    page = environment.get_template("page.html.j2").render(
        utility=sources.part("metrics/utility.json", _utility),
        quality=sources.part("metrics/quality.json", _quality),
        data=sources.part("data/store/summary.json", lambda tree: _data(tree, sources)),
        per_class=_per_class(sources),
        arms_picture=sources.picture(*ARMS_PICTURE),
        pictures=[picture for source in PICTURES if (picture := sources.picture(*source))],
        curves=sources.picture(*CURVES, read=draw_curves),
        generator=sources.part("models/generator.json", _generator),
        training=sources.part("metrics/train.json", dict),
        params=params.model_dump(mode="json"),
        version=version(),
        missing=sources.missing,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")


@dataclass
class Sources:
    """The files that the page is made of, and what could not be had of them."""

    workspace: Workspace
    missing: dict[str, str] = field(default_factory=dict)

    def part(self, name: str, build: Callable[[Tree], Any]) -> Any:
        """What ``build`` makes of a JSON file; ``None``, and a note, if there is none or it lacks something."""
        return self._attempt(name, lambda path: build(json.loads(path.read_text(encoding="utf-8"))))

    def picture(self, name: str, caption: str, read: Callable[[Path], bytes] = Path.read_bytes) -> Tree | None:
        """A PNG as a ``data:`` address, with its caption."""
        content = self._attempt(name, read)
        return content and {"source": f"data:image/png;base64,{b64encode(content).decode()}", "caption": caption}

    def synthetic_counts(self) -> dict[str, int]:
        """Synthetic images a class in the exported set; empty, and a note, if there is no manifest."""
        return self._attempt("synthetic/manifest.parquet", _count_synthetic) or {}

    def _attempt(self, name: str, read: Callable[[Path], Any]) -> Any:
        try:
            return read(self.workspace.root / name)
        except FileNotFoundError:
            self.missing[name] = "not there"
        except KeyError as error:
            self.missing[name] = f"lacks {error.args[0]!r}"
        except (OSError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
            self.missing[name] = f"not readable ({error})"
        return None


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in per cent, without the sign for it: ``93.6``."""
    return NONE if value is None else f"{value * 100:.{digits}f}".replace("-", MINUS)


def points(value: float | None, digits: int = 2) -> str:
    """A difference of two fractions in percentage points: ``+0.70``."""
    return NONE if value is None else f"{round(value * 100, digits) + 0.0:+.{digits}f}".replace("-", MINUS)


def number(value: float | None) -> str:
    """A figure with three decimals."""
    return NONE if value is None else f"{value:.3f}".replace("-", MINUS)


def count(value: int | None) -> str:
    """A whole number with thousands marked."""
    return NONE if value is None else f"{value:,}"


def setting(value: Any) -> str:
    """A parameter's value, much as params.yaml writes it."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {setting(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(setting, value))
    return value if isinstance(value, str) else json.dumps(value)


def _utility(tree: Tree) -> Tree:
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


def _quality(tree: Tree) -> Tree:
    figures = []
    for name in (*(name for name in FIGURES if name in tree["floor"]), *sorted(set(tree["floor"]) - set(FIGURES))):
        title, hint = FIGURES.get(name, (name.replace("_", " "), ""))
        values = {key: tree["floor"][name][key] for key in ("synthetic", "real", "ci95")}
        figures.append({"title": title, "hint": hint, "short": name in tree["below_floor"], **values})
    keys = (
        "embedder",
        "embedder_accuracy",
        "images",
        "kid",
        "kid_standard_error",
        "label_agreement",
        "worst_class",
        "notes",
    )
    copies = {kind: tree["copies"][kind] for kind in ("pixel", "feature", "exact_duplicates")}
    return {key: tree[key] for key in keys} | {"figures": figures, "copies": copies}


def _data(summary: Tree, sources: Sources) -> Tree:
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


def _generator(card: Tree) -> Tree:
    return {key: card[key] for key in ("family", "kimg", "sha256")}


def _per_class(sources: Sources) -> list[Tree]:
    """One row a class: what it is made of, its recall with and without, and how its synthetic images look."""
    utility = sources.part(
        "metrics/utility.json", lambda tree: [_class_utility(row, tree) for row in tree["per_class"]]
    )
    quality = sources.part("metrics/quality.json", lambda tree: [_class_quality(row) for row in tree["per_class"]])
    rows: dict[str, Tree] = {}
    for row in (*(utility or []), *(quality or [])):
        rows.setdefault(row["class"], dict.fromkeys(CLASS_COLUMNS)).update(row)
    return list(rows.values())


CLASS_COLUMNS = (
    *("class", "train", "synthetic", "test", "recall_baseline", "recall_synthetic", "recall_difference"),
    *("coverage", "coverage_real", "label_agreement", "label_agreement_real", "kid", "kid_standard_error"),
)


def _class_utility(row: Tree, tree: Tree) -> Tree:
    recall = {"recall_baseline": row["recall"][tree["baseline"]], "recall_synthetic": row["recall"]["synthetic"]}
    return recall | {key: row[key] for key in ("class", "train", "synthetic", "test", "recall_difference")}


def _class_quality(row: Tree) -> Tree:
    return {key: row[key] for key in CLASS_COLUMNS if key == "class" or key.startswith(("coverage", "label", "kid"))}


def _count_synthetic(path: Path) -> dict[str, int]:
    table = pq.read_table(path, columns=["label", "synthetic"])
    counted = table.filter(table["synthetic"])["label"].value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in counted}
