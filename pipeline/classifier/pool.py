"""The synthetic images that the experiment draws from: the exported set, continued by the generator where that can be.

Image i of a class belongs to draw i mod R. Where the generator is an ensemble of M networks that take turns, image i
is network (i mod M)'s: so with R = M each draw is one network's alone, and where R divides M each is an ensemble's.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from gan.sampler import Sampler
from pipeline.errors import UserError
from pipeline.generator import open_generator
from pipeline.store import Store

COLUMNS = ("file", "label", "synthetic", "index", "seed", "generator")
CHUNK = 1024  # images drawn at a time


@dataclass(frozen=True)
class Pool:
    """Images on disk, shared by all processes through the page cache.

    Attributes:
        images: uint8 (M, C, H, W), memory-mapped; those of a class in the order of their indices.
        labels: int64 (M,), indices into the store's classes.
        draws: int64 (M,), the draw that each belongs to.
        unit: int64 (K,), images a class at dose 1: what the exported set has; 0 for a class that is left out.
    """

    images: np.ndarray
    labels: np.ndarray
    draws: np.ndarray
    unit: np.ndarray

    def rows(self, dose: float, draw: int) -> np.ndarray:
        """The first ``dose`` times :attr:`unit` images of each class in one draw, int64 (K,); smaller doses are parts
        of larger ones."""
        chosen = []
        for label, wanted in enumerate(self.wanted(dose)):
            chosen.append(np.flatnonzero((self.labels == label) & (self.draws == draw))[:wanted])
        return np.concatenate(chosen)

    def wanted(self, dose: float) -> np.ndarray:
        """Images a class at ``dose``: int64 (K,)."""
        return np.floor(dose * self.unit + 0.5).astype(np.int64)

    def holds(self, dose: float, draws: int) -> bool:
        """Whether each of ``draws`` draws has enough of every class."""
        have = np.stack([np.bincount(self.labels[self.draws == r], minlength=len(self.unit)) for r in range(draws)])
        return bool((have >= self.wanted(dose)).all() and self.wanted(dose).any())

    @classmethod
    def open(cls, folder: Path) -> "Pool":
        """What :func:`save` wrote."""
        labels, draws, unit = (np.load(folder / f"{name}.npy") for name in ("labels", "draws", "unit"))
        return cls(np.load(folder / "images.npy", mmap_mode="r"), labels, draws, unit)


@dataclass(frozen=True)
class Exported:
    """What the manifest says of the synthetic images that are used, sorted by class and index."""

    files: list[str]
    labels: np.ndarray
    indices: np.ndarray
    origins: set[tuple[int, str]]

    def continues(self, unit: np.ndarray) -> bool:
        """Whether the set is the beginning of one generator's sequence, none left out: so that it can go on."""
        whole = all(np.array_equal(self.indices[self.labels == c], np.arange(n)) for c, n in enumerate(unit))
        return whole and len(self.origins) == 1


def make_pool(
    folder: Path, synthetic: Path, models: Path, store: Store, *, left_out: Sequence[int], largest: float, draws: int
) -> str | None:
    """Writes the pool into ``folder``, unless it is there.

    Args:
        synthetic: the exported set.
        models: the generator that made it.
        left_out: classes of which no synthetic image may be used.
        largest: the largest dose wanted.
        draws: how many draws of each.

    Returns:
        Why the pool could not be made as large as that, if it could not.

    Raises:
        UserError: no manifest, no synthetic image in it that may be used, or one that does not fit the store.
    """
    exported = _listed(synthetic / "manifest.parquet", store.classes, left_out)
    unit = np.bincount(exported.labels, minlength=len(store.classes))
    more, reason = np.zeros_like(unit), None
    wanted = draws * np.floor(largest * unit + 0.5).astype(np.int64)
    if (wanted > unit).any():
        reason = _why_not(exported, unit, models)
        more = more if reason else np.maximum(wanted - unit, 0)
    if not (folder / "unit.npy").exists():
        _write(folder, synthetic, models, store, exported, more, draws)
        np.save(folder / "unit.npy", unit)  # last: there, the pool is whole
    return reason


def networks(models: Path) -> int:
    """How many generators take turns in ``models``; 0 if there is none."""
    try:
        return 1 + len(json.loads((models / "generator.json").read_text()).get("members", ()))
    except OSError:
        return 0


def save(folder: Path, images: np.ndarray, labels: np.ndarray, draws: np.ndarray, unit: np.ndarray) -> None:
    """Writes a pool of any images: see :class:`Pool` for the arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in {"images": images, "labels": labels, "draws": draws, "unit": unit}.items():
        np.save(folder / f"{name}.npy", array)


def _listed(manifest: Path, classes: Sequence[str], left_out: Sequence[int]) -> Exported:
    try:
        table = pq.read_table(manifest, columns=list(COLUMNS))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{manifest}: no readable exported set ({error}); run `dvc repro export` first") from None
    rows = table.filter(table["synthetic"]).to_pydict()
    indices = {name: index for index, name in enumerate(classes)}
    unknown = sorted(set(rows["label"]) - set(indices))
    if unknown:
        raise UserError(f"{manifest}: class {unknown[0]!r} is not in the ingested set; run `dvc repro export`")
    labels = np.array([indices[label] for label in rows["label"]], dtype=np.int64)
    numbers = np.array(rows["index"], dtype=np.int64)
    order = [i for i in np.lexsort((numbers, labels)) if labels[i] not in left_out]
    if not len(labels):
        raise UserError(
            f"{manifest}: no synthetic image to judge; raise `export.balance` in params.yaml and run `dvc repro`"
        )
    if not order:
        raise UserError(
            f"{manifest}: only classes with too few train images have synthetic ones; add real images, or set "
            "`classify.force: true` to use them all the same"
        )
    origins = set(zip(rows["seed"], rows["generator"], strict=True))
    return Exported([rows["file"][i] for i in order], labels[order], numbers[order], origins)


def _why_not(exported: Exported, unit: np.ndarray, models: Path) -> str | None:
    if not exported.continues(unit):
        return "the exported set is a selection, which cannot be continued"
    if not networks(models):
        return f"there is no generator in {models.name}/ to draw more"
    return None


def _write(
    folder: Path, synthetic: Path, models: Path, store: Store, exported: Exported, more: np.ndarray, draws: int
) -> None:
    """The exported images, each class followed by ``more`` (K,) of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    sampler = _sampler(exported, models, store) if more.any() else None
    shape = (len(exported.files) + int(more.sum()), store.channels, store.image_size, store.image_size)
    out = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    labels, indices, row = np.empty(len(out), np.int64), np.empty(len(out), np.int64), 0
    for label, extra in enumerate(more.tolist()):
        members = np.flatnonzero(exported.labels == label)
        for place in members:
            out[row] = _decode(synthetic / exported.files[place], store)
            labels[row], indices[row], row = label, exported.indices[place], row + 1
        for start in range(len(members), len(members) + extra, CHUNK):
            count = min(CHUNK, len(members) + extra - start)
            assert sampler is not None
            out[row : row + count] = sampler.draw(label, start, count).numpy()
            labels[row : row + count], indices[row : row + count] = label, np.arange(start, start + count)
            row += count
    out.flush()
    np.save(folder / "labels.npy", labels)
    np.save(folder / "draws.npy", indices % draws)


def _sampler(exported: Exported, models: Path, store: Store) -> Sampler:
    generator, card = open_generator(models, store)
    ((seed, digest),) = exported.origins
    if card["sha256"] != digest:
        raise UserError(f"{models}: not the generator that made the exported set; run `dvc repro export`")
    return Sampler(generator, seed)


def _decode(path: Path, store: Store) -> np.ndarray:
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if store.channels == 1 else "RGB"))
    except OSError as error:
        raise UserError(
            f"{path}: listed in the manifest, but not readable ({error}); run `dvc repro --force export`"
        ) from None
    if pixels.shape[:2] != (store.image_size, store.image_size):
        raise UserError(
            f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels, but the ingested set has "
            f"{store.image_size}x{store.image_size}; run `dvc repro export`"
        )
    return pixels.reshape(store.image_size, store.image_size, store.channels).transpose(2, 0, 1)
