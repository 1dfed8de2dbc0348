"""One comparison of synthetic with real images at equal N, beside one of real with real images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from threadpoolctl import threadpool_limits

from pipeline.metrics.fidelity import Features, compare_classes
from pipeline.metrics.floors import Repeat
from pipeline.metrics.resampling import Subsets
from pipeline.runtime import one_thread

SECONDS = 1e-9
"""On a core, about, a pair of images and feature: Fréchet distance, KID and manifolds, twice."""

Seen = TypeVar("Seen", bound=Features)


@dataclass(frozen=True)
class Comparison(Generic[Seen]):
    """Compares subsets of both sides; a work for :class:`pipeline.metrics.sharing.Share`.

    Attributes:
        real: held-out images.
        synthetic: images of the same class proportions.
        classes: how many there are.
        neighbours: see :func:`pipeline.metrics.manifold.manifold`.
        figures: of a candidate, a reference and neighbours, all figures of the whole.
    """

    real: Seen
    synthetic: Seen
    classes: int
    neighbours: int
    figures: Callable[[Seen, Seen, int], dict[str, float]]

    def __call__(self, rows: Subsets) -> Repeat:
        """What comes of one repeat; torch and NumPy compute with one thread, on which last digits depend."""
        first, second = self.real.take(rows.first), self.real.take(rows.second)
        drawn = self.synthetic.take(rows.synthetic)
        with one_thread(), threadpool_limits(1):
            return Repeat(
                self.figures(drawn, second, self.neighbours),
                self.figures(first, second, self.neighbours),
                compare_classes(drawn, second, self.classes, self.neighbours),
                compare_classes(first, second, self.classes, self.neighbours),
            )

    def seconds(self, samples: Sequence[Subsets]) -> float:
        """That one core takes for all of them, about."""
        return SECONDS * len(samples) * len(samples[0].first) ** 2 * self.real.features.shape[1]
