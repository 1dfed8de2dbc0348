"""All figures of a synthetic set, each beside what unseen real images score in its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipeline.metrics.copies import copy_share, copy_threshold, share
from pipeline.metrics.diversity import within_class_spread
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.kid import kid
from pipeline.metrics.manifold import coverage, manifold
from pipeline.metrics.resampling import halves, prediction_interval, subset

FRECHET_LEAST = 500
SPACES = ("pixel", "feature")
WORSE_ABOVE = {"frechet_distance", "kid", "copy_share_pixel", "copy_share_feature"}
UPPER_BOUND = {"precision": 1.0, "recall": 1.0, "coverage": 1.0, "label_agreement": 1.0}
NOT_NEGATIVE = {*UPPER_BOUND, "density", "diversity", "copy_share_pixel", "copy_share_feature", "frechet_distance"}


@dataclass(frozen=True)
class Embedded:
    """A set of images as the figures see it.

    Attributes:
        features: float32 (N, D).
        labels: int64 (N,), what the images should show.
        predicted: int64 (N,), what the embedder takes them for.
        pixel: float64 (N,), distance to the nearest training image in pixels.
        feature: float64 (N,), the same in features.
    """

    features: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    pixel: np.ndarray
    feature: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Embedded":
        """The images at ``rows``, an index or a mask."""
        return Embedded(
            self.features[rows], self.labels[rows], self.predicted[rows], self.pixel[rows], self.feature[rows]
        )

    def of(self, label: int) -> "Embedded":
        """The images of one class."""
        return self.take(self.labels == label)


class Repeat(NamedTuple):
    """One comparison at equal N: synthetic and unseen real images in turn against the same other real ones.

    The class coverages are (classes,), NaN for a class with too few images to tell.
    """

    synthetic: dict[str, float]
    real: dict[str, float]
    class_synthetic: np.ndarray
    class_real: np.ndarray


def compared_at(held_out: int, synthetic: int) -> int:
    """The N of every comparison: half of the real images, or all synthetic ones if those are fewer."""
    return min(held_out // 2, synthetic)


def compare_once(
    held_out: Embedded, synthetic: Embedded, classes: int, neighbours: int, rng: np.random.Generator
) -> Repeat:
    """Draws two real halves and a synthetic subset of equal size and class proportions, and compares them.

    The real half is held-out too and not from the train split: the embedder learnt the train split by heart, so that
    its features there are no measure of unseen images. Class proportions are the same on both sides, for real and
    synthetic alike.
    """
    size = compared_at(len(held_out), len(synthetic))
    first, second = (held_out.take(rows) for rows in halves(held_out.labels, size, rng))
    drawn = synthetic.take(subset(synthetic.labels, size, rng))
    return Repeat(
        _figures(drawn, second, neighbours),
        _figures(first, second, neighbours),
        _class_coverage(drawn, second, classes, neighbours),
        _class_coverage(first, second, classes, neighbours),
    )


def _figures(candidate: Embedded, reference: Embedded, neighbours: int) -> dict[str, float]:
    spread = within_class_spread(candidate.features, candidate.labels)
    real_spread = within_class_spread(reference.features, reference.labels)
    return {
        "frechet_distance": frechet_distance(candidate.features, reference.features),
        "kid": kid(candidate.features, reference.features, candidate.labels, reference.labels).value,
        **manifold(reference.features, candidate.features, neighbours)._asdict(),
        "label_agreement": float((candidate.predicted == candidate.labels).mean()),
        **({"diversity": spread / real_spread} if spread is not None and real_spread else {}),
        "copy_share_pixel": copy_share(candidate.pixel, copy_threshold(reference.pixel)).value,
        "copy_share_feature": copy_share(candidate.feature, copy_threshold(reference.feature)).value,
    }


def _class_coverage(candidate: Embedded, reference: Embedded, classes: int, neighbours: int) -> np.ndarray:
    covered = np.full(classes, np.nan)
    for label in range(classes):
        real = reference.features[reference.labels == label]
        own = candidate.features[candidate.labels == label]
        if len(real) > neighbours and len(own):
            covered[label] = coverage(real, own, neighbours)
    return covered


def summary(
    held_out: Embedded, synthetic: Embedded, classes: Sequence[str], repeats: Sequence[Repeat]
) -> dict[str, Any]:
    """The content of ``metrics/quality.json`` but for what only the caller knows (embedder, duplicates, train).

    KID, label agreement and copy shares do not depend on N, so all images are used; the others are means over the
    repeats. The floor of each holds the synthetic and the real mean at equal N and the real one's 95 % prediction
    interval.
    """
    floor = _floor(repeats)
    size = compared_at(len(held_out), len(synthetic))
    distance = kid(synthetic.features, held_out.features, synthetic.labels, held_out.labels)
    agreement = share(int((synthetic.predicted == synthetic.labels).sum()), len(synthetic))
    per_class = [_of_class(label, name, held_out, synthetic, repeats) for label, name in enumerate(classes)]
    worst = max(per_class, key=lambda row: row["shortfall"] if row["shortfall"] is not None else -np.inf)
    copies = {space: _copies(getattr(held_out, space), getattr(synthetic, space)) for space in SPACES}
    figures = {name: values["synthetic"] for name, values in floor.items()}
    notes = []
    if size < FRECHET_LEAST:
        figures["frechet_distance"] = None
        notes.append(
            f"No Fréchet distance as a headline: {size} images a side are compared, and below {FRECHET_LEAST} its bias "
            "outweighs what it says; read the KID with its standard error, or its value in `floor` beside the real one."
        )
    unknown = [row["class"] for row in per_class if row["coverage"] is None]
    if unknown:
        notes.append(f"No coverage, for want of real or synthetic images, in: {', '.join(unknown)}.")
    return {
        **figures,
        "kid": distance.value,
        "kid_standard_error": distance.standard_error,
        "label_agreement": agreement.value,
        "label_agreement_ci95": [agreement.low, agreement.high],
        **{f"copy_share_{space}": copies[space]["share"] for space in SPACES},
        "embedder_accuracy": float((held_out.predicted == held_out.labels).mean()),
        "worst_class": worst["class"],
        "worst_class_shortfall": worst["shortfall"],
        "below_floor": [name for name, values in floor.items() if _is_worse(name, values)],
        "images": {"synthetic": len(synthetic), "held_out": len(held_out), "compared": size},
        "floor": floor,
        "per_class": per_class,
        "copies": copies,
        "notes": notes,
    }


def _floor(repeats: Sequence[Repeat]) -> dict[str, dict[str, Any]]:
    floor = {}
    known = [name for name in repeats[0].real if all(name in r.real and name in r.synthetic for r in repeats)]
    for name in known:
        interval = prediction_interval([repeat.real[name] for repeat in repeats])
        low = max(interval.low, 0.0) if name in NOT_NEGATIVE else interval.low
        high = min(interval.high, UPPER_BOUND.get(name, np.inf))
        synthetic = float(np.mean([repeat.synthetic[name] for repeat in repeats]))
        floor[name] = {"synthetic": synthetic, "real": interval.mean, "ci95": [low, high]}
    return floor


def _is_worse(name: str, values: dict[str, Any]) -> bool:
    """Whether the synthetic figure lies on the bad side of the interval."""
    low, high = values["ci95"]
    return bool(values["synthetic"] > high if name in WORSE_ABOVE else values["synthetic"] < low)


def _copies(held_out: np.ndarray, synthetic: np.ndarray) -> dict[str, Any]:
    threshold = copy_threshold(held_out)
    found = copy_share(synthetic, threshold)
    return {"share": found.value, "ci95": [found.low, found.high], "threshold": threshold}


def _of_class(
    label: int, name: str, held_out: Embedded, synthetic: Embedded, repeats: Sequence[Repeat]
) -> dict[str, Any]:
    real, drawn = held_out.of(label), synthetic.of(label)
    distance = kid(drawn.features, real.features) if min(len(drawn), len(real)) > 2 else None
    agreement, accuracy = (float((s.predicted == label).mean()) if len(s) else None for s in (drawn, real))
    covered = _mean([repeat.class_synthetic[label] for repeat in repeats])
    covered_real = _mean([repeat.class_real[label] for repeat in repeats])
    spread, real_spread = (within_class_spread(s.features, s.labels) for s in (drawn, real))
    return {
        "class": name,
        "n": len(drawn),
        "n_real": len(real),
        "kid": distance.value if distance else None,
        "kid_standard_error": distance.standard_error if distance else None,
        "coverage": covered,
        "coverage_real": covered_real,
        "label_agreement": agreement,
        "label_agreement_real": accuracy,
        "diversity": spread / real_spread if spread is not None and real_spread else None,
        "copy_share_pixel": _share_below(drawn.pixel, held_out.pixel),
        "shortfall": _shortfall((covered, covered_real), (agreement, accuracy)),
    }


def _share_below(distances: np.ndarray, held_out: np.ndarray) -> float | None:
    return copy_share(distances, copy_threshold(held_out)).value if len(distances) else None


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else None


def _shortfall(*pairs: tuple[float | None, float | None]) -> float | None:
    """The most that a synthetic share falls below the real one of its class."""
    gaps = [real - synthetic for synthetic, real in pairs if synthetic is not None and real is not None]
    return max(gaps) if gaps else None
