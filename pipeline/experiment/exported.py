"""The synthetic images of an exported set, in whatever format it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.formats import read_file
from pipeline.formats.encoding import decode
from pipeline.formats.manifest import MANIFEST, read_about, read_columns
from pipeline.store import Store

COLUMNS = ("file", "name", "label", "synthetic", "index", "seed", "generator")


@dataclass(frozen=True)
class Exported:
    """What the manifest says of the synthetic images that are used, sorted by class and index.

    Attributes:
        folder: of the set.
        places: the file of each image, and its name in there.
        labels: int64 (M,), indices into the store's classes.
        indices: int64 (M,), numbers of the images within their classes.
        origins: every seed and generator's hash that occurs.
    """

    folder: Path
    places: list[tuple[str, str]]
    labels: np.ndarray
    indices: np.ndarray
    origins: set[tuple[int, str]]

    def continues(self, unit: np.ndarray) -> bool:
        """Whether the set is the beginning of one generator's sequence, none left out: so that it can go on.

        Args:
            unit: int64 (K,), images of each class.
        """
        whole = all(np.array_equal(self.indices[self.labels == c], np.arange(n)) for c, n in enumerate(unit))
        return whole and len(self.origins) == 1

    @property
    def lossless(self) -> bool:
        """Whether the images are to the last pixel as the generator drew them."""
        return read_about(self.folder / MANIFEST).encoding.lossless

    @property
    def truncation(self) -> float:
        """What the sampler was given beside the seed."""
        return read_about(self.folder / MANIFEST).truncation

    def images(self, label: int, store: Store) -> Iterator[np.ndarray]:
        """The images of a class, uint8 (C, H, W) each.

        Raises:
            UserError: one is missing, damaged, or of another size than ``store`` holds.
        """
        places = [self.places[row] for row in np.flatnonzero(self.labels == label)]
        for file, images in groupby(places, key=lambda place: place[0]):
            found = {stored.name: stored.data for stored in read_file(self.folder, Path(file))}
            for _, name in images:
                yield _decode(self.folder / file, found.get(name, b""), store)


def list_exported(folder: Path, classes: Sequence[str], left_out: Sequence[int]) -> Exported:
    """The synthetic images of the set in ``folder``, but for those of the classes numbered in ``left_out``.

    Raises:
        UserError: no manifest, no synthetic image in it that may be used, or a class that is not among ``classes``.
    """
    manifest = folder / MANIFEST
    table = read_columns(manifest, COLUMNS)
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
    places = [(rows["file"][i], rows["name"][i]) for i in order]
    return Exported(folder, places, labels[order], numbers[order], origins)


def _decode(path: Path, content: bytes, store: Store) -> np.ndarray:
    try:
        pixels = decode(content, store.channels)
    except OSError as error:
        raise UserError(
            f"{path}: listed in the manifest, but not readable ({error}); run `dvc repro --force export`"
        ) from None
    if pixels.shape[1:] != (store.image_size, store.image_size):
        raise UserError(
            f"{path}: {pixels.shape[2]}x{pixels.shape[1]} pixels, but the ingested set has "
            f"{store.image_size}x{store.image_size}; run `dvc repro export`"
        )
    return pixels
