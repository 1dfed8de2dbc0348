"""Real images for the critic, taken class by class from a set on the device or from a memory-mapped file."""

import numpy as np
import torch
from torch import Tensor

from gan.pixels import to_floats
from gan.symmetry import SYMMETRIES, reflect

RESIDENT_BYTES = 2**31


class RealImages:
    """Random batches of a uint8 set.

    Sets up to :data:`RESIDENT_BYTES` live on the device as uint8; larger ones are read row by row.

    >>> pixels, labels = np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 0, 0, 1])
    >>> real, rng = RealImages(pixels, labels, 2, 1.0, torch.device("cpu")), torch.Generator().manual_seed(0)
    >>> real.images(real.draw(real.sample_labels(16, rng), rng)).shape
    torch.Size([16, 1, 8, 8])

    Args:
        images: uint8 (N, C, H, W), an array or a memory map.
        labels: int64 (N,).
        classes: how many labels there are; each must occur.
        balance: the b of p(class) ∝ count^(1 - b): 0 takes the classes as they come, 1 all equally often.
        device: where batches go.
        mirror: a kind of :data:`gan.symmetry.SYMMETRIES`: the set holds each image in so many ways, all equally likely.

    Attributes:
        counts: images a class, int64 (classes,).

    Raises:
        ValueError: a class has no image.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        classes: int,
        balance: float,
        device: torch.device,
        mirror: str = "none",
    ) -> None:
        counts = np.bincount(labels, minlength=classes)
        if (counts == 0).any():
            raise ValueError(f"no image of class {int(np.argmin(counts))}")
        self.counts = torch.from_numpy(counts)
        self.probabilities = torch.from_numpy(counts.astype(np.float64) ** (1 - balance))
        self._ways = SYMMETRIES[mirror]
        self._counts = torch.from_numpy(counts * self._ways)
        self._starts = torch.from_numpy(np.cumsum(counts) - counts)
        self._order = torch.from_numpy(np.argsort(labels, kind="stable"))
        self._file = images
        self._resident = torch.tensor(images, device=device) if images.nbytes <= RESIDENT_BYTES else None

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:
        """Labels in the sampling proportions, int64 (count,), on the CPU."""
        return torch.multinomial(self.probabilities, count, replacement=True, generator=rng)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """An image of each label, int64 (N,): its number in the set on the device, int64 (N,), else its uint8 pixels.

        A number is that of a row times the ways to mirror it, plus the way.
        """
        within = (torch.rand(len(labels), generator=rng, dtype=torch.float64) * self._counts[labels]).long()
        rows, ways = self._order[self._starts[labels] + within // self._ways], within % self._ways
        if self._resident is not None:
            return rows * self._ways + ways
        return self._mirrored(torch.from_numpy(self._file[rows.numpy()]), ways)

    def images(self, drawn: Tensor) -> Tensor:
        """What was drawn, by now on the device: float32 (N, C, H, W) in [-1, 1]."""
        if self._resident is None:
            return to_floats(drawn)
        return to_floats(self._mirrored(self._resident[drawn // self._ways], drawn % self._ways))

    def _mirrored(self, images: Tensor, ways: Tensor) -> Tensor:
        return reflect(images, ways) if self._ways > 1 else images
