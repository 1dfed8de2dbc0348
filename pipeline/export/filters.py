"""Which proposals are kept. Every filter knows the train split alone: val and test stay unseen.

Proposals come and are judged in the sampler's whole blocks, so that what a filter says of an image is a function of
(generator, seed, class, index) as the image is, to the last bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from gan.networks import Network
from gan.pixels import to_floats
from gan.sampler import Sampler
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import features
from pipeline.errors import UserError
from pipeline.metrics.distances import blocks, kth_nearest, mirrored, nearest_mirrored

PILOT = 256  # proposals of a class, by whose critic scores it is known which are low
LEFT_OUT = 2000  # train images that say how near train images are to each other: enough for a quantile


@dataclass(frozen=True)
class Proposals:
    """A block of images drawn for one class, and how the classifier of the train split sees them.

    Attributes:
        label: index of the class.
        images: uint8 (N, C, H, W).
        classifier: None where no filter that is on asks for it.
    """

    label: int
    images: np.ndarray
    classifier: SmallResNet | None

    @cached_property
    def features(self) -> np.ndarray:
        """float32 (N, D)."""
        assert self.classifier is not None
        return features(self.classifier, self.images)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of every class, float64 (N, classes)."""
        assert self.classifier is not None
        with torch.inference_mode():
            return self.classifier.head(torch.from_numpy(self.features)).double().softmax(1).numpy()


class Filter(Protocol):
    """Gives each image a score, and says which scores pass."""

    def score(self, proposals: Proposals) -> np.ndarray:
        """float64 (N,)."""
        ...

    def passes(self, label: int, scores: np.ndarray) -> np.ndarray:
        """bool (N,), of images of class ``label``."""
        ...


class Confidence:
    """The probability that the classifier gives the class asked for must lie in a band.

    Below it the label is in doubt; an upper end drops what the classifier knows already.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def score(self, proposals: Proposals) -> np.ndarray:
        """The probability, in [0, 1]."""
        return proposals.probabilities[:, proposals.label]

    def passes(self, label: int, scores: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Both ends of the band are in it."""
        return (scores >= self.low) & (scores <= self.high)


class Manifold:
    """An image must lie in the ball of a train image of its class (Kynkäänniemi et al. 2019, for single images).

    Args:
        train: features of the train images, (N, D).
        labels: int64 (N,).
        classes: class names.
        k: a ball reaches to the k-th nearest neighbour within the class, or to the farthest where there are fewer.

    Raises:
        UserError: a class has one train image, whose ball has no size.
    """

    def __init__(self, train: np.ndarray, labels: np.ndarray, classes: Sequence[str], k: int) -> None:
        self._balls: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for label in np.unique(labels).tolist():
            centres = train[labels == label]
            if len(centres) == 1:
                raise UserError(
                    f"export.filters.manifold: class {classes[label]} has one train image, which does not say how far "
                    "its manifold reaches; set manifold: 0, or give the class more images"
                )
            self._balls[label] = centres, kth_nearest(centres, min(k, len(centres) - 1))

    def score(self, proposals: Proposals) -> np.ndarray:
        """The least distance to a centre over its ball's radius; up to 1 is inside."""
        centres, squared_radii = self._balls[proposals.label]
        least = np.full(len(proposals.images), np.inf)
        for row, column, squared in blocks(proposals.features, centres):
            ratio = squared.clip(0) / np.maximum(squared_radii[column], np.finfo(np.float64).tiny)
            least[row] = np.minimum(least[row], ratio.min(axis=1))
        return np.sqrt(least)

    def passes(self, label: int, scores: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """A ball's surface belongs to it."""
        return scores <= 1


class Copies:
    """An image must not be nearer to a train image than a quantile of train images are to each other, in pixels.

    Args:
        train: uint8 (N, C, H, W), may be memory-mapped; all classes, as a copy may come under another label.
        quantile: of the distances to the nearest other train image.
        rng: chooses the train images that are left out, where there are very many.
        mirror: a kind of :data:`gan.symmetry.SYMMETRIES`: near is also what is near to a train image under one of it.

    Raises:
        UserError: there is no other train image.
    """

    def __init__(self, train: np.ndarray, quantile: float, rng: np.random.Generator, mirror: str = "none") -> None:
        if len(train) < 2:
            raise UserError("export.filters.copies: one train image has no other to be compared with; set copies: 0")
        self._train, self._mirror = train, mirror
        rows = np.sort(rng.choice(len(train), min(LEFT_OUT, len(train)), replace=False))
        self.line = float(np.quantile(nearest_other(train, rows, mirror), quantile))

    def score(self, proposals: Proposals) -> np.ndarray:
        """The Euclidean distance to the nearest train image, in grey levels of 255."""
        return nearest_mirrored(proposals.images, self._train, self._mirror)[0]

    def passes(self, label: int, scores: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """An image on the line passes, unless it is an exact copy."""
        return (scores >= self.line) & (scores > 0)


class CriticRank:
    """Drops the share of each class that the critic scores lowest.

    What is low is known from the first :data:`PILOT` proposals of the class, whatever number of images is asked for.

    Args:
        critic: in evaluation mode.
        sampler: draws the pilot.
        labels: the classes that will be judged.
        share: of the pilot that would be dropped.
    """

    def __init__(self, critic: Network, sampler: Sampler, labels: Sequence[int], share: float) -> None:
        self._critic, self._lines = critic, {}
        for label in labels:
            pilot = (sampler.draw(label, start, sampler.block).numpy() for start in range(0, PILOT, sampler.block))
            scores = np.concatenate([self.score(Proposals(label, images, None)) for images in pilot])
            self._lines[label] = float(np.quantile(scores, share))

    @torch.inference_mode()
    def score(self, proposals: Proposals) -> np.ndarray:
        """The critic's score; higher is more real to it."""
        images = to_floats(torch.from_numpy(proposals.images))
        labels = torch.full((len(images),), proposals.label, dtype=torch.int64)
        return self._critic(images, labels).double().numpy()

    def passes(self, label: int, scores: np.ndarray) -> np.ndarray:
        """What the pilot's line lets through."""
        return scores >= self._lines[label]


@dataclass(frozen=True)
class Judgement:
    """What the filters say of a block of images: by filter, float64 (N,) and bool (N,)."""

    scores: Mapping[str, np.ndarray]
    passed: Mapping[str, np.ndarray]

    def accepted(self, count: int) -> np.ndarray:
        """bool (``count``,): the images that every filter passes; without filters, all."""
        return np.logical_and.reduce([np.ones(count, dtype=bool), *self.passed.values()])


@dataclass(frozen=True)
class Filters:
    """The filters that are on, by name; they may judge in several threads at once."""

    on: Mapping[str, Filter]
    classifier: SmallResNet | None = None

    def judge(self, label: int, images: np.ndarray) -> Judgement:
        """What each filter says of uint8 images (N, C, H, W) drawn for class ``label``."""
        proposals = Proposals(label, images, self.classifier)
        scores = {name: each.score(proposals) for name, each in self.on.items()}
        return Judgement(scores, {name: each.passes(label, scores[name]) for name, each in self.on.items()})


def nearest_other(train: np.ndarray, rows: np.ndarray, mirror: str = "none") -> np.ndarray:
    """Distance of some train images to the nearest other one.

    Args:
        train: uint8 (N, C, H, W), N > 1, may be memory-mapped.
        rows: int64 (M,), the images asked about.
        mirror: see :class:`Copies`; an image's own mirror images are no other ones.

    Returns:
        float64 (M,); 0 for an image that is there twice.
    """
    least = np.full(len(rows), np.inf)
    asked = train[rows]
    for part, images in ((slice(0, len(rows)), asked), *mirrored(asked, mirror)):
        least[part] = np.minimum(least[part], _nearest_but(images, train, rows[part]))
    return np.sqrt(least)


def _nearest_but(images: np.ndarray, train: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Squared distance of each image to the nearest train image but one, its ``own`` (M,)."""
    least = np.full(len(images), np.inf)
    for row, column, squared in blocks(images, train):
        inside = np.flatnonzero((own[row] >= column.start) & (own[row] < column.stop))
        squared[inside, own[row][inside] - column.start] = np.inf
        least[row] = np.minimum(least[row], squared.min(axis=1))
    return least
