"""The synthetic images that the experiment draws from: the exported set, continued by the generator where that can be.

Image i of a class belongs to draw i mod R. Where the generator is an ensemble of M networks that take turns, image i
is network (i mod M)'s: so with R = M each draw is one network's alone, and where R divides M each is an ensemble's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan.cards import read_card
from gan.sampler import Sampler
from pipeline.disk import save_array, write_blocks
from pipeline.errors import UserError
from pipeline.experiment.exported import Exported, list_exported
from pipeline.generator import open_generator
from pipeline.reading.arrays import open_array
from pipeline.reading.documents import again
from pipeline.reading.leftovers import usable
from pipeline.store import Store

CHUNK = 1024  # images drawn at a time


@dataclass(frozen=True)
class Pool:
    """Images on disk, shared by all processes through the page cache.

    Attributes:
        images: uint8 (M, C, H, W), memory-mapped; those of a class in the order of their indices.
        labels: int64 (M,), indices into the store's classes.
        draws: int64 (M,), the draw that each belongs to.
        unit: int64 (K,), images a class at dose 1: what the exported set has; 0 for a class that is left out.
        alone: int64 (K,), images a class and draw for a classifier that is trained on nothing else: equally many of
            each where the generator can be asked for them, else what the set has; zeros where a class has none.
    """

    images: np.ndarray
    labels: np.ndarray
    draws: np.ndarray
    unit: np.ndarray
    alone: np.ndarray

    def rows(self, dose: float, draw: int) -> np.ndarray:
        """The first ``dose`` times :attr:`unit` images of each class in one draw, int64 (K,); smaller doses are parts
        of larger ones."""
        return self._first(self.wanted(dose), draw)

    def rows_alone(self, draw: int) -> np.ndarray:
        """The first :attr:`alone` images of each class in one draw, int64 (K,)."""
        return self._first(self.alone, draw)

    def _first(self, counts: np.ndarray, draw: int) -> np.ndarray:
        own = self.draws == draw
        return np.concatenate([np.flatnonzero((self.labels == c) & own)[:wanted] for c, wanted in enumerate(counts)])

    def wanted(self, dose: float) -> np.ndarray:
        """Images a class at ``dose``: int64 (K,)."""
        return np.floor(dose * self.unit + 0.5).astype(np.int64)

    def holds(self, dose: float, draws: int) -> bool:
        """Whether each of ``draws`` draws has enough of every class."""
        have = np.stack([np.bincount(self.labels[self.draws == r], minlength=len(self.unit)) for r in range(draws)])
        return bool((have >= self.wanted(dose)).all() and self.wanted(dose).any())

    @classmethod
    def open(cls, folder: Path) -> "Pool":
        """What :func:`save` wrote.

        Raises:
            OSError, ValueError: it is not there, or not whole.
        """
        labels, draws, unit, alone = (
            np.array(open_array(folder / f"{name}.npy", np.int64, (None,)))
            for name in ("labels", "draws", "unit", "alone")
        )
        images = open_array(folder / "images.npy", np.uint8, (len(labels), None, None, None))
        least = min(labels.min(), draws.min(), unit.min(), alone.min())
        if len(draws) != len(labels) or least < 0 or labels.max() >= len(unit) or len(alone) != len(unit):
            raise ValueError(f"{folder}: arrays that do not belong together")
        return cls(images, labels, draws, unit, alone)

    def check(self, store: Store) -> None:
        """Raises ValueError if these are no images of the store's classes and sizes."""
        shape = (store.channels, store.image_size, store.image_size)
        if self.images.shape[1:] != shape or len(self.unit) != len(store.classes):
            raise ValueError(f"{self.images.shape} images of {len(self.unit)} classes, not those of the store")


def make_pool(
    folder: Path,
    synthetic: Path,
    models: Path,
    store: Store,
    *,
    left_out: Sequence[int],
    largest: float,
    draws: int,
    seen: int = 0,
) -> str | None:
    """Writes the pool into ``folder``, unless it is there.

    Args:
        synthetic: the exported set.
        models: the generator that made it.
        left_out: classes of which no synthetic image may be used.
        largest: the largest dose wanted.
        draws: how many draws of each.
        seen: images that a classifier of synthetic images alone sees, beyond which none are drawn for it; 0 for no
            such classifier.

    Returns:
        Why the pool could not be made as large as that, if it could not.

    Raises:
        UserError: no manifest, no synthetic image in it that may be used, or one that does not fit the store.
    """
    exported = list_exported(synthetic, store.classes, left_out)
    unit = np.bincount(exported.labels, minlength=len(store.classes))
    alone = np.full_like(unit, 0 if left_out else min(unit.max(), -(-seen // len(unit))))
    more, reason = np.zeros_like(unit), None
    wanted = draws * np.maximum(np.floor(largest * unit + 0.5).astype(np.int64), alone)
    if (wanted > unit).any():
        reason = _why_not(exported, unit, models)
        more = more if reason else np.maximum(wanted - unit, 0)
    if reason and alone.any():
        alone = np.minimum(alone, unit // draws) if (unit >= draws).all() else np.zeros_like(unit)
    if not usable(folder, lambda: Pool.open(folder).check(store), "making it anew"):
        _write(folder, models, store, exported, more, draws)
        save_array(folder / "alone.npy", alone)
        save_array(folder / "unit.npy", unit)  # last: there, the pool is whole
    return reason


def networks(models: Path) -> int:
    """How many generators take turns in ``models``; 0 if there is none.

    Raises:
        UserError: the generator's card is damaged.
    """
    try:
        return 1 + len(read_card(models / "generator.json").get("members", ()))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise UserError(f"{error}; {again('train')}") from None


def save(
    folder: Path,
    images: np.ndarray,
    labels: np.ndarray,
    draws: np.ndarray,
    unit: np.ndarray,
    alone: np.ndarray | None = None,
) -> None:
    """Writes a pool of any images: see :class:`Pool` for the arrays; ``alone`` is zeros if left out."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"images": images, "labels": labels, "draws": draws, "unit": unit}
    for name, array in (arrays | {"alone": np.zeros_like(unit) if alone is None else alone}).items():
        save_array(folder / f"{name}.npy", array)


def _why_not(exported: Exported, unit: np.ndarray, models: Path) -> str | None:
    if not exported.continues(unit):
        return "the exported set is a selection, which cannot be continued"
    if not exported.lossless:
        return "the exported set is in a lossy encoding, which new images would not share"
    if not networks(models):
        return f"there is no generator in {models.name}/ to draw more"
    return None


def _write(folder: Path, models: Path, store: Store, exported: Exported, more: np.ndarray, draws: int) -> None:
    """The exported images, each class followed by ``more`` (K,) of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    sampler = _sampler(exported, models, store) if more.any() else None
    shape = (len(exported.labels) + int(more.sum()), store.channels, store.image_size, store.image_size)
    write_blocks(folder / "images.npy", _images(exported, store, sampler, more.tolist()), shape)
    labels, indices = [], []
    for label, extra in enumerate(more.tolist()):
        own = exported.indices[exported.labels == label]
        indices += [own, np.arange(len(own), len(own) + extra)]
        labels.append(np.full(len(own) + extra, label))
    save_array(folder / "labels.npy", np.concatenate(labels).astype(np.int64))
    save_array(folder / "draws.npy", np.concatenate(indices).astype(np.int64) % draws)


def _images(exported: Exported, store: Store, sampler: Sampler | None, more: list[int]) -> Iterator[np.ndarray]:
    """Blocks of uint8 (n, C, H, W), class by class."""
    for label, extra in enumerate(more):
        for image in exported.images(label, store):
            yield image[None]
        first = int((exported.labels == label).sum())
        for start in range(first, first + extra, CHUNK):
            assert sampler is not None
            yield sampler.draw(label, start, min(CHUNK, first + extra - start)).numpy()


def _sampler(exported: Exported, models: Path, store: Store) -> Sampler:
    generator, card = open_generator(models, store)
    ((seed, digest),) = exported.origins
    if card["sha256"] != digest:
        raise UserError(f"{models}: not the generator that made the exported set; run `dvc repro export`")
    return Sampler(generator, seed, truncation=exported.truncation)
