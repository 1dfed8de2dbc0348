"""A set of images as all figures see it: through the domain embedder, in pixels, and against the training images."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pipeline.metrics.distances import mirrored, nearest, nearest_mirrored
from pipeline.metrics.drift import spectra, tones
from pipeline.metrics.embedders.domain import DomainEmbedder
from pipeline.metrics.fidelity import Features


class Images(NamedTuple):
    """uint8 (N, C, S, S), may be memory-mapped, and int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Embedded(Features):
    """Images as the figures see them.

    Attributes:
        predicted: int64 (N,), what the domain embedder takes them for.
        tones: float64 (N, 2, C), see :func:`pipeline.metrics.drift.tones`.
        spectra: float64 (N, S // 2), see :func:`pipeline.metrics.drift.spectra`.
        pixel: float64 (N,), distance to the nearest training image in pixels; ``None`` where these are unknown.
        feature: float64 (N,), the same in features.
        neighbour: int64 (N,), the row of the training image that is nearest in pixels.
    """

    predicted: np.ndarray
    tones: np.ndarray
    spectra: np.ndarray
    pixel: np.ndarray | None = None
    feature: np.ndarray | None = None
    neighbour: np.ndarray | None = None


def embed(
    shown: Images,
    domain: DomainEmbedder,
    train: np.ndarray | None,
    train_features: np.ndarray | None,
    mirror: str = "none",
) -> Embedded:
    """Embeds images, and finds their nearest training images where there are any.

    Args:
        train: the training images, uint8 (M, C, S, S).
        train_features: their features, float32 (M, 128).
        mirror: a kind of :data:`gan.symmetry.SYMMETRIES`, by which an image may have become another: the nearest one
            is looked for under all of them.
    """
    features = domain.embed(shown.images)
    found = Embedded(features, shown.labels, domain.classify(features), tones(shown.images), spectra(shown.images))
    if train is None or train_features is None:
        return found
    pixel, neighbour = nearest_mirrored(shown.images, train, mirror)
    feature = nearest(features, train_features)[0]
    for row, turned in mirrored(shown.images, mirror):
        feature[row] = np.minimum(feature[row], nearest(domain.embed(turned), train_features)[0])
    return replace(found, pixel=pixel, feature=feature, neighbour=neighbour)


def exact_duplicates(images: Embedded) -> int | None:
    """How many equal a training image in every pixel; ``None`` where the training images are unknown."""
    return None if images.pixel is None else int((images.pixel == 0).sum())
