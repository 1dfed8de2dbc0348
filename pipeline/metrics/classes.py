"""Class by class: figures beside what unseen real images of the class score, gaps, and classes that are missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.metrics.copies import copy_share, copy_threshold
from pipeline.metrics.diversity import within_class_spread
from pipeline.metrics.embedded import Embedded
from pipeline.metrics.fidelity import KID_LEAST, Features
from pipeline.metrics.floors import Repeat, real_floor
from pipeline.metrics.kid import kid

MISSING_BELOW = 0.5  # of the real coverage


def fidelity_rows(
    real: Features, synthetic: Features, classes: Sequence[str], repeats: Sequence[Repeat]
) -> list[dict[str, Any]]:
    """One row a class: how many there are, KID of all of them with its standard error, coverage at equal N, floors."""
    rows = []
    for label, name in enumerate(classes):
        own, theirs = synthetic.of(label), real.of(label)
        distance = kid(own, theirs) if min(len(own), len(theirs)) >= KID_LEAST else None
        rows.append(
            {
                "class": name,
                "n": len(own),
                "n_real": len(theirs),
                "kid": distance.value if distance else None,
                "kid_standard_error": distance.standard_error if distance else None,
                **_floor("kid", label, repeats),
                "coverage": _mean([repeat.class_synthetic["coverage"][label] for repeat in repeats]),
                **_floor("coverage", label, repeats),
            }
        )
    return rows


def class_rows(
    real: Embedded, synthetic: Embedded, classes: Sequence[str], repeats: Sequence[Repeat]
) -> list[dict[str, Any]]:
    """:func:`fidelity_rows` with labels, diversity and copies beside. What cannot be told is ``None``."""
    rows = fidelity_rows(real, synthetic, classes, repeats)
    for label, row in enumerate(rows):
        theirs, drawn = real.take(real.labels == label), synthetic.take(synthetic.labels == label)
        agreement, accuracy = (float((s.predicted == label).mean()) if len(s) else None for s in (drawn, theirs))
        spread, real_spread = (within_class_spread(s.features, s.labels) for s in (drawn, theirs))
        row |= {
            "label_agreement": agreement,
            "label_agreement_real": accuracy,
            "diversity": spread / real_spread if spread is not None and real_spread else None,
            **_copies(drawn, theirs, real),
            "shortfall": _shortfall((row["coverage"], row["coverage_real"]), (agreement, accuracy)),
        }
    return rows


def missing_classes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Classes that the synthetic images do not show, by the rows of :func:`fidelity_rows`.

    One is missing if its coverage lies below the interval of real images and below half of their mean, or if no image
    was made of it although its real share calls for one at least.
    """
    made, real = sum(row["n"] for row in rows), sum(row["n_real"] for row in rows)
    return [row["class"] for row in rows if _is_missing(row, made / real)]


def gaps(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each figure, the class that falls farthest behind its real images, and by how much."""
    behind = {
        "coverage": [_behind(row["coverage"], row["coverage_real"]) for row in rows],
        "label_agreement": [_behind(row["label_agreement"], row["label_agreement_real"]) for row in rows],
        "diversity": [_behind(row["diversity"], 1.0) for row in rows],
        "kid": [row["kid"] for row in rows],
    }
    found = {}
    for name, values in behind.items():
        known = {row["class"]: value for row, value in zip(rows, values, strict=True) if value is not None}
        if known:
            worst = max(known, key=lambda label: known[label])
            found[name] = {"class": worst, "gap": known[worst]}
    return found


def _is_missing(row: dict[str, Any], made_to_real: float) -> bool:
    if row["n"] == 0:
        return bool(row["n_real"] * made_to_real >= 1)
    if row["coverage"] is None or row["coverage_real"] is None:
        return False
    return bool(row["coverage"] < min(row["coverage_real_low"], MISSING_BELOW * row["coverage_real"]))


def _floor(name: str, label: int, repeats: Sequence[Repeat]) -> dict[str, float | None]:
    """The real mean and interval over the repeats that can tell; flat, because the rows are a CSV file too."""
    values = [value for repeat in repeats if not np.isnan(value := repeat.class_real[name][label])]
    names = (f"{name}_real", f"{name}_real_low", f"{name}_real_high")
    if len(values) < 2:
        return dict.fromkeys(names)
    found = real_floor(name, values)
    return dict(zip(names, (found["real"], *found["ci95"]), strict=True))


def _copies(drawn: Embedded, theirs: Embedded, real: Embedded) -> dict[str, Any]:
    """Shares below the threshold of all classes, beside that of the class's own real images, which need not be 1 %."""
    row: dict[str, Any] = {}
    for space in ("pixel", "feature"):
        held_out = getattr(real, space)
        threshold = None if held_out is None else copy_threshold(held_out)
        own, its_real = (
            None if threshold is None or not len(side) else copy_share(getattr(side, space), threshold)
            for side in (drawn, theirs)
        )
        row |= {
            f"copy_share_{space}": own.value if own else None,
            f"copy_share_{space}_low": own.low if own else None,
            f"copy_share_{space}_high": own.high if own else None,
            f"copy_share_{space}_real": its_real.value if its_real else None,
        }
    return row | {"exact_duplicates": None if drawn.pixel is None else int((drawn.pixel == 0).sum())}


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else None


def _shortfall(*pairs: tuple[float | None, float | None]) -> float | None:
    """The most that a synthetic share falls below the real one of its class."""
    known = [gap for pair in pairs if (gap := _behind(*pair)) is not None]
    return max(known) if known else None


def _behind(synthetic: float | None, real: float | None) -> float | None:
    return None if synthetic is None or real is None else real - synthetic
