"""What two sets of features of any embedder tell of each other, as a whole and class by class."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pipeline.metrics.diversity import within_class_spread
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.kid import kid
from pipeline.metrics.manifold import coverage, manifold

KID_LEAST = 3  # images a side


@dataclass(frozen=True)
class Features:
    """A set of images as an embedder sees it.

    Attributes:
        features: float32 (N, D).
        labels: int64 (N,), what the images should show.
    """

    features: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Self:
        """The images at ``rows``, an index or a mask."""
        return replace(self, **{name: values[rows] for name, values in vars(self).items() if values is not None})

    def of(self, label: int) -> np.ndarray:
        """The features of one class, float32 (n, D)."""
        return self.features[self.labels == label]


def compare(candidate: Features, reference: Features, neighbours: int) -> dict[str, float]:
    """Fréchet distance, KID, precision, recall, density, coverage and diversity of ``candidate``.

    The diversity, the spread within classes over that of ``reference``, is left out where no class has two images.

    Raises:
        ValueError: fewer than three rows, or no more than ``neighbours``.
    """
    spread = within_class_spread(candidate.features, candidate.labels)
    real_spread = within_class_spread(reference.features, reference.labels)
    return {
        "frechet_distance": frechet_distance(candidate.features, reference.features),
        "kid": kid(candidate.features, reference.features, candidate.labels, reference.labels).value,
        **manifold(reference.features, candidate.features, neighbours)._asdict(),
        **({"diversity": spread / real_spread} if spread is not None and real_spread else {}),
    }


def compare_classes(candidate: Features, reference: Features, classes: int, neighbours: int) -> dict[str, np.ndarray]:
    """KID and coverage of each class, float64 (classes,): NaN for a class with too few images to tell."""
    figures = {"kid": np.full(classes, np.nan), "coverage": np.full(classes, np.nan)}
    for label in range(classes):
        own, real = candidate.of(label), reference.of(label)
        if min(len(own), len(real)) >= KID_LEAST:
            figures["kid"][label] = kid(own, real).value
        if len(real) > neighbours and len(own):
            figures["coverage"][label] = coverage(real, own, neighbours)
    return figures
