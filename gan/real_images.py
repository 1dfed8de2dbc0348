"""Real images for the critic, taken class by class from a set on the device or from memory-mapped files."""

import os
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gan.pixels import to_floats
from gan.symmetry import SYMMETRIES, reflect

RESIDENT_BYTES = 2**30  # of a set in the memory of a processor, and an eighth of that memory at most
RESIDENT_PART = 0.25  # of a GPU's memory
COPIED_AT_ONCE = 2**24  # bytes


class RealImages:
    """Random batches of a uint8 set.

    Sets that fit live on the device as uint8, see :func:`room`; of larger ones the rows drawn are read.

    >>> pixels, labels = np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 0, 0, 1])
    >>> real, rng = RealImages(pixels, labels, 2, 1.0, torch.device("cpu")), torch.Generator().manual_seed(0)
    >>> real.images(real.draw(real.sample_labels(16, rng), rng)).shape
    torch.Size([16, 1, 8, 8])

    Args:
        images: uint8 (N, C, H, W), an array, a memory map, or what is looked up like them.
        labels: int64 (N,).
        classes: how many labels there are; each must occur.
        balance: the b of p(class) ∝ count^(1 - b): 0 takes the classes as they come, 1 all equally often.
        device: where batches go.
        mirror: a kind of :data:`gan.symmetry.SYMMETRIES`: the set holds each image in so many ways, all equally likely.

    Attributes:
        counts: images a class, int64 (classes,).
        fetch: of a set that is not on the device, the uint8 pixels of what :meth:`draw` named, (N, C, H, W) in the
            processor's memory, pinned if that is not the device; they then take the names' place. Else None.

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
        self._file, self._pinned = images, device.type == "cuda"
        self._resident = _copied(images, device) if images.nbytes <= room(device) else None
        self.fetch: Callable[[Tensor], Tensor] | None = None if self._resident is not None else self._read

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:
        """Labels in the sampling proportions, int64 (count,), on the CPU."""
        return torch.multinomial(self.probabilities, count, replacement=True, generator=rng)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Names an image of each label, int64 (N,): its row in the set times the ways to mirror it, plus the way."""
        within = (torch.rand(len(labels), generator=rng, dtype=torch.float64) * self._counts[labels]).long()
        return self._order[self._starts[labels] + within // self._ways] * self._ways + within % self._ways

    def images(self, drawn: Tensor) -> Tensor:
        """What was drawn, and fetched if need be, by now on the device: float32 (N, C, H, W) in [-1, 1]."""
        if self._resident is None:
            return to_floats(drawn)
        return to_floats(self._mirrored(self._resident[drawn // self._ways], drawn % self._ways))

    def _mirrored(self, images: Tensor, ways: Tensor) -> Tensor:
        return reflect(images, ways) if self._ways > 1 else images

    def _read(self, drawn: Tensor) -> Tensor:
        pixels = torch.from_numpy(self._file[(drawn // self._ways).numpy()])
        pixels = self._mirrored(pixels, drawn % self._ways)
        if not self._pinned:
            return pixels
        return torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True).copy_(pixels)


def room(device: torch.device) -> int:
    """Bytes that a set may take on ``device``: what is larger is read while it is learnt from."""
    if device.type == "cuda":
        return int(RESIDENT_PART * torch.cuda.get_device_properties(device).total_memory)
    if "SC_PHYS_PAGES" not in os.sysconf_names:
        return RESIDENT_BYTES
    return min(RESIDENT_BYTES, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8)


def fetching(source: object) -> Callable[[Tensor], Tensor] | None:
    """What reads the pixels of images that ``source`` named; None where they are on the device, or it has no such."""
    fetch: Callable[[Tensor], Tensor] | None = getattr(source, "fetch", None)
    return fetch


def fetched(source: object, names: Tensor) -> Tensor:
    """What goes to the device of images that ``source`` named: their pixels where it has them elsewhere."""
    fetch = fetching(source)
    return names if fetch is None else fetch(names)


def _copied(images: np.ndarray, device: torch.device) -> Tensor:
    """A copy on the device, made some rows at a time: all pages of a file at once would count as memory of ours."""
    copy = torch.empty(images.shape, dtype=torch.uint8, device=device)
    step = max(1, COPIED_AT_ONCE * len(images) // max(1, images.nbytes))
    for start in range(0, len(images), step):
        copy[start : start + step] = torch.from_numpy(np.array(images[start : start + step]))
    return copy
