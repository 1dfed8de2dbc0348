"""Where the generator leans: labels that it confuses, classes that fall behind, drift of tones and of the spectrum."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.metrics.classes import gaps
from pipeline.metrics.drift import class_means, frequencies
from pipeline.metrics.embedded import Embedded
from pipeline.metrics.resampling import Subsets, prediction_interval

TONES = ("mean", "contrast")
CONFUSIONS = 5
CONFUSED_LEAST = 0.02  # share of a class, above what real images show, below which it is not worth a line


def bias(
    real: Embedded,
    synthetic: Embedded,
    classes: Sequence[str],
    samples: Sequence[Subsets],
    rows: Sequence[dict[str, Any]],
    drift: Mapping[str, Any],
    size: int,
) -> dict[str, Any]:
    """The ``bias`` part of ``metrics/quality.json``.

    Args:
        rows: see :func:`pipeline.metrics.classes.class_rows`.
        drift: the floor of ``spectrum_drift``.
        size: pixels of an image's side.
    """
    counts, real_counts = (confusion(side.labels, side.predicted, len(classes)) for side in (synthetic, real))
    return {
        "confusion": {"synthetic": counts.tolist(), "real": real_counts.tolist()},
        "confused": confused(counts, real_counts, classes),
        "gaps": gaps(rows),
        "intensity": intensity(real, synthetic, classes, samples),
        "spectrum": {
            "frequencies": frequencies(size).tolist(),
            "real": real.spectra.mean(axis=0).tolist(),
            "synthetic": synthetic.spectra.mean(axis=0).tolist(),
            "drift": drift["synthetic"],
            "floor": {"real": drift["real"], "ci95": drift["ci95"]},
        },
    }


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Images by the class asked for (rows) and the class seen (columns): int64 (classes, classes)."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def confused(synthetic: np.ndarray, real: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The pairs of classes that synthetic images confuse most beyond what real ones do, the worst first.

    Args:
        synthetic: see :func:`confusion`.
        real: the same of unseen real images.
        classes: their names.
    """
    shares, real_shares = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) for counts in (synthetic, real))
    more = shares - real_shares
    np.fill_diagonal(more, 0)
    order = np.argsort(-more, axis=None, kind="stable")[:CONFUSIONS]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [
        {"asked": classes[i], "seen": classes[j], "share": float(shares[i, j]), "share_real": float(real_shares[i, j])}
        for i, j in pairs
        if more[i, j] >= CONFUSED_LEAST
    ]


def intensity(
    real: Embedded, synthetic: Embedded, classes: Sequence[str], samples: Sequence[Subsets]
) -> dict[str, Any]:
    """Drift of brightness and contrast of each channel, in levels of 0 to 255, as a whole and by class.

    Beside each drift stands the 95 % prediction interval of that between two real halves. With hundreds of them some
    lie outside by chance.
    """
    drifts, floor_drifts = [], []
    for sample in samples:
        first, second, drawn = (
            _means(side.tones[rows], side.labels[rows], len(classes))
            for side, rows in ((real, sample.first), (real, sample.second), (synthetic, sample.synthetic))
        )
        drifts.append(drawn - second)
        floor_drifts.append(first - second)
    drift, floor_drift = np.array(drifts), np.array(floor_drifts)
    sides = [_means(side.tones, side.labels, len(classes)) for side in (real, synthetic)]
    parts = [_part(drift[:, row], floor_drift[:, row], *(side[row] for side in sides)) for row in range(drift.shape[1])]
    per_class = [{"class": name, **part} for name, part in zip(classes, parts[1:], strict=True)]
    excess = [max((_excess(part[tone]) for tone in TONES), default=0.0) for part in parts[1:]]
    worst = int(np.argmax(excess))
    return {**parts[0], "per_class": per_class, "worst_class": classes[worst] if excess[worst] > 0 else None}


def _means(tones: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The mean over all images and then over each class: float64 (1 + classes, 2, C)."""
    return np.concatenate([tones.mean(axis=0)[None], class_means(tones, labels, classes)])


def _part(drift: np.ndarray, floor_drift: np.ndarray, real: np.ndarray, synthetic: np.ndarray) -> dict[str, Any]:
    """Drifts (repeats, 2, C) and means (2, C) of one class, or of all, as the keys of ``intensity``."""
    return {
        tone: {
            "real": _known(real[place]),
            "synthetic": _known(synthetic[place]),
            "drift": [_mean(values) for values in drift[:, place].T],
            "ci95": [_interval(values) for values in floor_drift[:, place].T],
        }
        for place, tone in enumerate(TONES)
    }


def _known(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _interval(values: np.ndarray) -> list[float] | None:
    known = values[~np.isnan(values)]
    return list(prediction_interval(known)[1:]) if len(known) > 1 else None


def _excess(part: Mapping[str, Any]) -> float:
    """How many times its floor's half width the largest drift of a tone is, where it lies outside of it, or 0."""
    ratios = [
        abs(drift) / max(interval[1] - interval[0], 1e-9) * 2
        for drift, interval in zip(part["drift"], part["ci95"], strict=True)
        if drift is not None and interval is not None and not interval[0] <= drift <= interval[1]
    ]
    return max(ratios, default=0.0)
