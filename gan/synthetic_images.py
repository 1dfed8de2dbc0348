"""Synthetic images inside someone's own training loop, drawn when they are asked for."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from gan.checkpoint import WeightsError, load_generator
from gan.sampler import Sampler
from gan.seeds import stream

MIXED = 16  # blocks that a stream draws, shuffles and hands out at a time

Transform = Callable[[Any], Any]


class ShippedGenerator:
    """A shipped generator that answers like a ``torchvision.datasets.ImageFolder`` of RGB images.

    Args:
        model_dir: holds ``generator.safetensors`` and its card.
        seed: names the sequence of images. With the seed in the manifest of an exported set, image i of a class is the
            one that the set calls i.
        transform: of the PIL image, as for an ``ImageFolder``.
        class_to_idx: numbers of the classes, those of the ``ImageFolder`` that the images are mixed with; in the order
            of the generator's training if not given.
        device: where to draw. With worker processes it has to be the CPU.
        truncation: ψ in (0, 1], see :mod:`gan.truncation`; the manifest of an exported set holds its own.

    Attributes:
        classes: class names, by number.
        class_to_idx: the number of each.
        drawn: the generator's own classes, in its order.

    Raises:
        WeightsError: no usable generator.
        ValueError: ``class_to_idx`` lacks a class.
    """

    def __init__(
        self,
        model_dir: str | Path,
        *,
        seed: int,
        transform: Transform | None = None,
        class_to_idx: Mapping[str, int] | None = None,
        device: torch.device | str = "cpu",
        truncation: float = 1.0,
    ) -> None:
        generator, card = load_generator(Path(model_dir))
        self.sampler = Sampler(generator, seed, device, truncation)
        self.transform = transform
        if "classes" not in card:
            raise WeightsError(f"{model_dir}: the generator's card does not name its classes")
        self.drawn: list[str] = card["classes"]
        numbers = class_to_idx or {name: number for number, name in enumerate(self.drawn)}
        if missing := sorted(set(self.drawn) - set(numbers)):
            raise ValueError(f"class_to_idx lacks {', '.join(missing)}, which the generator draws")
        self.class_to_idx = dict(numbers)
        self.classes = sorted(numbers, key=lambda name: numbers[name])

    def counts(self, per_class: int | None, counts: Mapping[str, int] | None) -> list[int]:
        """How many images of each of the generator's classes are asked for, one way or the other.

        Raises:
            ValueError: both ways or neither, an unknown class, or a negative number.
        """
        if (per_class is None) == (counts is None):
            raise ValueError("give either per_class or counts")
        wanted = dict.fromkeys(self.drawn, per_class or 0) if counts is None else counts
        if unknown := sorted(set(wanted) - set(self.drawn)):
            raise ValueError(f"the generator knows no class {', '.join(unknown)}; it knows {', '.join(self.drawn)}")
        if min(wanted.values(), default=0) < 0:
            raise ValueError("a number of images must not be negative")
        return [wanted.get(name, 0) for name in self.drawn]

    def block(self, label: int, block: int) -> Tensor:
        """Block number ``block`` of the generator's class ``label``, uint8 (N, C, H, W)."""
        return self.sampler.draw(label, block * self.sampler.block, self.sampler.block)

    def sample(self, image: Tensor, label: int) -> tuple[Any, int]:
        """What an ``ImageFolder`` would give for the image, uint8 (C, H, W): RGB whatever the generator draws."""
        from PIL import Image  # here alone, so that gan/ runs without it

        pixels = image.expand(3, -1, -1).permute(1, 2, 0).numpy()
        picture: Any = Image.fromarray(np.ascontiguousarray(pixels))
        return (self.transform(picture) if self.transform else picture), self.class_to_idx[self.drawn[label]]


class SyntheticImages(Dataset[tuple[Any, int]]):
    """A fixed number of synthetic images a class, drawn when they are first asked for.

    Item i is the same image whatever the order, the batches and the worker processes: the first ones are those of the
    generator's first class. Drawing goes by the sampler's blocks; what the cache does not hold is drawn again, so let
    it hold the set, or use :class:`SyntheticStream` for a set that is too large for that.

    >>> import tempfile
    >>> from gan.checkpoint import save_network
    >>> from gan.networks import Shape, build
    >>> network = build("resnet", "generator", Shape(8, 1, classes=2, latent_dim=4, width=4))
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = save_network(Path(folder.name), "generator", network, {"family": "resnet", "classes": ["cat", "dog"]})
    >>> images = SyntheticImages(folder.name, counts={"dog": 3}, seed=0)
    >>> len(images), images[2][0].size, images.classes[images[2][1]]
    (3, (8, 8), 'dog')

    Args:
        model_dir: holds ``generator.safetensors`` and its card.
        per_class: images of every class; or
        counts: images by class name, none of a class that is not named.
        seed, transform, class_to_idx, device, truncation: see :class:`ShippedGenerator`.
        cache_bytes: pixels that each process keeps.

    Raises:
        WeightsError: no usable generator.
        ValueError: see :class:`ShippedGenerator` and its ``counts``.
    """

    def __init__(
        self,
        model_dir: str | Path,
        *,
        per_class: int | None = None,
        counts: Mapping[str, int] | None = None,
        seed: int,
        transform: Transform | None = None,
        class_to_idx: Mapping[str, int] | None = None,
        device: torch.device | str = "cpu",
        truncation: float = 1.0,
        cache_bytes: int = 2**28,
    ) -> None:
        self.source = ShippedGenerator(
            model_dir, seed=seed, transform=transform, class_to_idx=class_to_idx, device=device, truncation=truncation
        )
        self.classes, self.class_to_idx = self.source.classes, self.source.class_to_idx
        self._stops = list(accumulate(self.source.counts(per_class, counts)))
        self._cache: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._cache_bytes = cache_bytes

    def __len__(self) -> int:
        return self._stops[-1]

    def __getitem__(self, item: int) -> tuple[Any, int]:
        if not -len(self) <= item < len(self):
            raise IndexError(f"item {item} of {len(self)}")
        item %= len(self)
        label = int(np.searchsorted(self._stops, item, side="right"))
        index = item - (self._stops[label - 1] if label else 0)
        block, place = divmod(index, self.source.sampler.block)
        return self.source.sample(self._block(label, block)[place], label)

    def _block(self, label: int, block: int) -> Tensor:
        images = self._cache.pop((label, block), None)
        if images is None:
            images = self.source.block(label, block)
            while self._cache and (len(self._cache) + 1) * images.nbytes > self._cache_bytes:
                self._cache.popitem(last=False)
        self._cache[label, block] = images
        return images


class _Unit(NamedTuple):
    """Some images of one class: the first ones of a block."""

    label: int
    block: int
    images: int


class SyntheticStream(IterableDataset[tuple[Any, int]]):
    """Synthetic images in a random order, each drawn once and then forgotten; for sets of any size.

    Worker processes share the images between them, none twice. The order depends on the seed and the number of workers;
    it is mixed within :data:`MIXED` blocks at a time. Every pass gives the same images.

    Args:
        model_dir: holds ``generator.safetensors`` and its card.
        per_class: images of every class; or
        counts: images by class name; with neither, images of all classes alike, without end.
        seed, transform, class_to_idx, device, truncation: see :class:`ShippedGenerator`.

    Raises:
        WeightsError: no usable generator.
        ValueError: see :class:`ShippedGenerator` and its ``counts``.
    """

    def __init__(
        self,
        model_dir: str | Path,
        *,
        per_class: int | None = None,
        counts: Mapping[str, int] | None = None,
        seed: int,
        transform: Transform | None = None,
        class_to_idx: Mapping[str, int] | None = None,
        device: torch.device | str = "cpu",
        truncation: float = 1.0,
    ) -> None:
        self.source = ShippedGenerator(
            model_dir, seed=seed, transform=transform, class_to_idx=class_to_idx, device=device, truncation=truncation
        )
        self.classes, self.class_to_idx = self.source.classes, self.source.class_to_idx
        endless = per_class is None and counts is None
        self._counts = None if endless else self.source.counts(per_class, counts)

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        units = self._units()
        for group, mixed in enumerate(iter(lambda: list(islice(units, MIXED)), [])):
            if group % workers == number:
                yield from self._shuffled(group, mixed)

    def _units(self) -> Iterator[_Unit]:
        """Block after block of every class, as long as one has any left."""
        classes, seed, size = len(self.source.drawn), self.source.sampler.seed, self.source.sampler.block
        block = 0
        while self._counts is None or block * size < max(self._counts):
            for label in torch.randperm(classes, generator=stream(seed, "stream.classes", block)).tolist():
                left = size if self._counts is None else self._counts[label] - block * size
                if left > 0:
                    yield _Unit(label, block, min(left, size))
            block += 1

    def _shuffled(self, group: int, units: list[_Unit]) -> Iterator[tuple[Any, int]]:
        images = torch.cat([self.source.block(unit.label, unit.block)[: unit.images] for unit in units])
        labels = [unit.label for unit in units for _ in range(unit.images)]
        order = torch.randperm(len(images), generator=stream(self.source.sampler.seed, "stream.order", group))
        for place in order.tolist():
            yield self.source.sample(images[place], labels[place])
