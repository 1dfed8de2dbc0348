"""A set of images as all figures see it: through the domain embedder, in pixels, and against the training images."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pipeline.metrics.distances import spans
from pipeline.metrics.drift import spectra, tones
from pipeline.metrics.embedders.domain import DomainEmbedder
from pipeline.metrics.fidelity import Features
from pipeline.metrics.sharing import HERE, ROWS, Embedding, Search, Share


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
    share: Share = HERE,
    advance: Callable[[int], object] = int,
) -> Embedded:
    """Embeds images, and finds their nearest training images where there are any.

    Args:
        train: the training images, uint8 (M, C, S, S).
        train_features: their features, float32 (M, 128).
        mirror: a kind of :data:`gan.symmetry.SYMMETRIES`, by which an image may have become another: the nearest one
            is looked for under all of them.
        share: who does it; this process if left out.
        advance: told how many images are done, again and again.
    """
    features = Embedding(domain, shown.images).shared(share)
    found = Embedded(features, shown.labels, domain.classify(features), tones(shown.images), spectra(shown.images))
    if train is None or train_features is None:
        advance(len(found))
        return found
    search, parts = Search(shown.images, features, train, train_features, domain, mirror), []
    for part in share(search, list(spans(len(found), ROWS)), search.seconds):
        parts.append(part)
        advance(len(part[0]))
    pixel, feature, neighbour = (np.concatenate(each) for each in zip(*parts, strict=True))
    return replace(found, pixel=pixel, feature=feature, neighbour=neighbour)


def exact_duplicates(images: Embedded) -> int | None:
    """How many equal a training image in every pixel; ``None`` where the training images are unknown."""
    return None if images.pixel is None else int((images.pixel == 0).sum())
