"""Floors: what unseen real images score in the place of the synthetic ones, with the interval of a new draw."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.figures import FIGURES
from pipeline.metrics.resampling import prediction_interval


class Repeat(NamedTuple):
    """One comparison at equal N: synthetic and unseen real images in turn against the same other real ones.

    The figures of the classes are (classes,), NaN for a class with too few images to tell.
    """

    synthetic: Mapping[str, float]
    real: Mapping[str, float]
    class_synthetic: Mapping[str, np.ndarray]
    class_real: Mapping[str, np.ndarray]


def floor(repeats: Sequence[Repeat], widened: float) -> dict[str, dict[str, Any]]:
    """Each figure's synthetic and real mean at equal N, and the 95 % prediction interval of the real one.

    Args:
        widened: see :func:`pipeline.metrics.resampling.widening`; for the figures that know no reference.
    """
    known = [name for name in repeats[0].real if all(name in r.real and name in r.synthetic for r in repeats)]
    return {
        name: {
            "synthetic": float(np.mean([repeat.synthetic[name] for repeat in repeats])),
            **real_floor(name, [r.real[name] for r in repeats], widened if FIGURES[name].of_one_set else 1.0),
        }
        for name in known
    }


def real_floor(name: str, values: Sequence[float], widened: float = 1.0) -> dict[str, Any]:
    """The real mean and interval of one figure, within the figure's bounds."""
    interval, figure = prediction_interval(values, widened), FIGURES[name]
    low = interval.low if figure.least is None else max(interval.low, figure.least)
    high = interval.high if figure.most is None else min(interval.high, figure.most)
    return {"real": interval.mean, "ci95": [low, high]}


def below(floors: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The figures whose synthetic mean lies on the bad side of the real interval."""
    return [name for name, values in floors.items() if _is_worse(name, values)]


def _is_worse(name: str, values: Mapping[str, Any]) -> bool:
    low, high = values["ci95"]
    return bool(values["synthetic"] > high if FIGURES[name].worse_above else values["synthetic"] < low)
