"""Floors: what unseen real images score in the place of the synthetic ones, with the interval of a new draw."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.metrics.resampling import prediction_interval

COPY_SHARES = ("copy_share_pixel", "copy_share_feature")
WORSE_ABOVE = {"frechet_distance", "fid", "kid", "intensity_drift", "spectrum_drift", *COPY_SHARES}
SHARES = {"precision", "recall", "coverage", "label_agreement", *COPY_SHARES}
NOT_NEGATIVE = {*SHARES, "density", "diversity", "frechet_distance", "fid", "intensity_drift", "spectrum_drift"}


class Repeat(NamedTuple):
    """One comparison at equal N: synthetic and unseen real images in turn against the same other real ones.

    The figures of the classes are (classes,), NaN for a class with too few images to tell.
    """

    synthetic: Mapping[str, float]
    real: Mapping[str, float]
    class_synthetic: Mapping[str, np.ndarray]
    class_real: Mapping[str, np.ndarray]


def floor(repeats: Sequence[Repeat]) -> dict[str, dict[str, Any]]:
    """Each figure's synthetic and real mean at equal N, and the 95 % prediction interval of the real one."""
    known = [name for name in repeats[0].real if all(name in r.real and name in r.synthetic for r in repeats)]
    return {
        name: {
            "synthetic": float(np.mean([repeat.synthetic[name] for repeat in repeats])),
            **real_floor(name, [repeat.real[name] for repeat in repeats]),
        }
        for name in known
    }


def real_floor(name: str, values: Sequence[float]) -> dict[str, Any]:
    """The real mean and interval of one figure, within the figure's bounds."""
    interval = prediction_interval(values)
    low = max(interval.low, 0.0) if name in NOT_NEGATIVE else interval.low
    high = min(interval.high, 1.0) if name in SHARES else interval.high
    return {"real": interval.mean, "ci95": [low, high]}


def below(floors: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The figures whose synthetic mean lies on the bad side of the real interval."""
    return [name for name, values in floors.items() if _is_worse(name, values)]


def _is_worse(name: str, values: Mapping[str, Any]) -> bool:
    low, high = values["ci95"]
    return bool(values["synthetic"] > high if name in WORSE_ABOVE else values["synthetic"] < low)
