"""What the page says of ``metrics/quality.json``."""

from collections.abc import Sequence

from pipeline.figures import FIGURES
from pipeline.report.files import Tree

TONES = {"mean": "brightness", "contrast": "contrast"}

KEYS = (
    *("embedder", "embedder_accuracy", "images", "kid", "kid_standard_error", "label_agreement", "notes"),
    *("worst_class", "worst_class_shortfall", "missing_classes"),
)


def quality(tree: Tree) -> Tree:
    """Figures beside their floors, gates, copies and bias."""
    return {key: tree[key] for key in KEYS} | {
        "figures": _figures(tree),
        "embedders": [{"name": name, "figures": _figures(other)} for name, other in sorted(tree["embedders"].items())],
        "copies": tree["copies"],
        "gates": [gate | {"remedy": _remedy(gate["figure"])} for gate in tree["gates"]],
        "confused": tree["bias"]["confused"],
        "intensity": _intensity(tree["bias"]["intensity"]),
    }


def _remedy(figure: str) -> str:
    return FIGURES[figure].remedy if figure in FIGURES else ""


def _figures(tree: Tree) -> list[Tree]:
    """One row a figure, the known ones in their order, then all others."""
    floor = tree["floor"]
    rows = []
    for name in (*(name for name in FIGURES if name in floor), *sorted(set(floor) - set(FIGURES))):
        known = FIGURES.get(name)
        title, hint = (known.title, known.hint) if known else (name.replace("_", " "), "")
        values = {key: floor[name][key] for key in ("synthetic", "real", "ci95")}
        rows.append({"title": title, "hint": hint, "short": name in tree["below_floor"], **values})
    return rows


def _intensity(tree: Tree) -> list[Tree]:
    """One row a tone and channel of the whole, then those of the class that strays most."""
    worst = tree["worst"]
    named = [("all classes", tree), *([(worst["class"], worst)] if worst else [])]
    return [
        {"class": name, "tone": title, "channel": ("R", "G", "B")[channel] if len(part[tone]["drift"]) > 1 else ""}
        | {"real": part[tone]["real"][channel], "synthetic": part[tone]["synthetic"][channel]}
        | {"drift": drift, "ci95": part[tone]["ci95"][channel]}
        | {"outside": _outside(drift, part[tone]["ci95"][channel])}
        for name, part in named
        for tone, title in TONES.items()
        for channel, drift in enumerate(part[tone]["drift"])
    ]


def _outside(drift: float | None, interval: Sequence[float] | None) -> bool:
    return drift is not None and interval is not None and not interval[0] <= drift <= interval[1]
