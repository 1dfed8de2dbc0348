"""What takes long in a comparison, cut into parts that do not know of each other; who does them is the caller's choice.

Every part is computed with one thread and cut by the number of images alone, so that no figure depends on who does it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gan.symmetry import SYMMETRIES
from pipeline.metrics.distances import BLOCK_ROWS, mirrored, nearest, nearest_mirrored, spans
from pipeline.metrics.embedders import Embedder
from pipeline.metrics.embedders.domain import DomainEmbedder
from pipeline.runtime import one_thread

ROWS = BLOCK_ROWS
"""Images a part: whole blocks of distances, and whole batches of every embedder."""

EMBEDDING, EMBEDDING_PRETRAINED = 8e-8, 1e-1
"""Seconds on a core, about: a pixel by the domain embedder, and an image by any other."""

DISTANCE = 3.5e-11
"""Seconds on a core, about, a value of two images that are compared."""


class Share(Protocol):
    """Who does what can be shared out."""

    def __call__(self, work: Callable[[Any], Any], parts: Sequence[Any], seconds: float) -> Iterator[Any]:
        """What comes of each part, in their order.

        Args:
            work: can be pickled, and has no bearing on anything but what it returns.
            parts: what it is given, one after another.
            seconds: that one core would take for all of it, about; it follows from the numbers of images alone.
        """
        ...

    def kept(self, name: str, array: np.ndarray) -> np.ndarray:
        """The same array where all who do parts find it; for what may be large.

        Args:
            name: of no other array that is kept.
        """
        ...


class Here:
    """All of it in this process."""

    def __call__(self, work: Callable[[Any], Any], parts: Sequence[Any], seconds: float) -> Iterator[Any]:  # noqa: ARG002
        """See :class:`Share`."""
        yield from map(work, parts)

    def kept(self, name: str, array: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """See :class:`Share`."""
        return array


HERE = Here()
"""Who does what is shared out where nobody else is named."""


@dataclass(frozen=True)
class Embedding:
    """Embeds some of the images.

    Attributes:
        embedder: any.
        images: uint8 (N, C, H, W).
    """

    embedder: Embedder
    images: np.ndarray

    def __call__(self, rows: slice) -> np.ndarray:
        """Their features, float32 (n, D)."""
        with one_thread():
            return self.embedder.embed(self.images[rows])

    def shared(self, share: Share) -> np.ndarray:
        """The features of all images, float32 (N, D)."""
        domain = isinstance(self.embedder, DomainEmbedder)
        seconds = EMBEDDING * self.images.size if domain else EMBEDDING_PRETRAINED * len(self.images)
        return np.concatenate(list(share(self, list(spans(len(self.images), ROWS)), seconds)))


@dataclass(frozen=True)
class Search:
    """Looks for the nearest training images of some images.

    Attributes:
        images: uint8 (N, C, S, S).
        features: float32 (N, 128), of the domain embedder.
        train: the training images, uint8 (M, C, S, S).
        train_features: float32 (M, 128).
        domain: which embeds mirrored images.
        mirror: a kind of :data:`gan.symmetry.SYMMETRIES`, under all of which is looked.
    """

    images: np.ndarray
    features: np.ndarray
    train: np.ndarray
    train_features: np.ndarray
    domain: DomainEmbedder
    mirror: str

    def __call__(self, rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distances in pixels and in features, float64 (n,), and the row of the nearest in pixels, int64 (n,)."""
        with one_thread():
            images = self.images[rows]
            pixel, neighbour = nearest_mirrored(images, self.train, self.mirror)
            feature = nearest(self.features[rows], self.train_features)[0]
            for some, turned in mirrored(images, self.mirror):
                found = nearest(self.domain.embed(turned), self.train_features)[0]
                feature[some] = np.minimum(feature[some], found)
        return pixel, feature, neighbour

    @property
    def seconds(self) -> float:
        """That one core takes, about."""
        values = self.images[:1].size + self.features.shape[1]
        return SYMMETRIES[self.mirror] * DISTANCE * values * len(self.images) * len(self.train)
