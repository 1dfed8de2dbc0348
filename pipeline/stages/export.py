"""``export``: the labelled synthetic set, planned per class, drawn by the generator and written as an image folder."""

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import floor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from gan.sampler import Sampler
from gan.seeds import derive
from pipeline.atomic import replacing
from pipeline.errors import UserError
from pipeline.formats import open_writer
from pipeline.formats.base import Item, Writer, Written
from pipeline.formats.manifest import MANIFEST, About, ManifestWriter, Row
from pipeline.generator import open_generator
from pipeline.params import Params
from pipeline.progress import Progress, track
from pipeline.provenance import Mark, params_hash, revision, set_params, version
from pipeline.runtime import usable_cores
from pipeline.store import Split, Store
from pipeline.workspace import Workspace

MAX_THREADS = 8  # more would wait for the interpreter's lock
CHUNK = 256  # images drawn at a time; two such chunks are all the images that are ever in memory
PIECE = 32  # images that one writing thread takes at a time


def run(params: Params, workspace: Workspace) -> None:
    """Writes ``synthetic/``: the images by class, and ``manifest.parquet``.

    The images are drawn on the CPU whatever device the generator was trained on, so that a machine without a GPU can
    make each of them again.

    Raises:
        UserError: no ingested set, no usable generator, one that was trained on another set, a class name that cannot
            be a folder's, or a disk that does not take the set.
    """
    store = Store.open(workspace.store)
    source = _source(params, workspace, store)
    _say_plan(source, params)
    try:
        with replacing(workspace.synthetic) as (folder,):
            drawing, writing = export(source, folder)
    except OSError as error:
        raise UserError(
            f"{workspace.synthetic}: cannot write the set ({error}); mend that and run `dvc repro export` again. "
            "What was there before is untouched"
        ) from None
    if source.total:
        share = drawing / writing
        print(f"export: {source.total / writing:,.0f} images/s, the generator {share:.0%} of the time", file=sys.stderr)


def plan(counts: Sequence[int], balance: str | int | float) -> list[int]:
    """How many synthetic images each class gets.

    Args:
        counts: real train images a class.
        balance: ``"max"`` fills each class to the largest; a whole number fills each class to that many, real images
            included; a float makes that many for each real image of the class, rounded half up.

    Returns:
        One number a class, 0 or more.
    """
    if isinstance(balance, float):
        return [floor(balance * count + 0.5) for count in counts]
    target = max(counts) if isinstance(balance, str) else balance
    return [max(0, target - count) for count in counts]


@dataclass(frozen=True)
class Batch:
    """Images of one class on their way to the disk.

    Attributes:
        label: index of the class.
        indices: their numbers, int64 (N,); see :attr:`pipeline.formats.manifest.Row.index`.
        images: uint8 (N, C, H, W).
        synthetic: made by the generator, or real.
    """

    label: int
    indices: np.ndarray
    images: np.ndarray
    synthetic: bool

    def pieces(self) -> Iterator["Batch"]:
        """The batch in parts of up to :data:`PIECE` images."""
        for start in range(0, len(self.indices), PIECE):
            part = slice(start, start + PIECE)
            yield Batch(self.label, self.indices[part], self.images[part], self.synthetic)


@dataclass
class Source:
    """What the set is made of; iterating gives its batches in a fixed order, class by class, real images first."""

    classes: tuple[str, ...]
    real: Split
    sampler: Sampler
    generator: str
    wanted: list[int]
    params: Params
    revision: str | None
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Images in the set."""
        return sum(self.wanted) + (len(self.real) if self.params.export.include_real else 0)

    def __iter__(self) -> Iterator[Batch]:
        for label, count in enumerate(self.wanted):
            rows = (
                np.flatnonzero(self.real.labels == label) if self.params.export.include_real else np.empty(0, np.int64)
            )
            for start in range(0, len(rows), CHUNK):
                part = rows[start : start + CHUNK]
                yield Batch(label, part, self.real.images[part], synthetic=False)
            for start in range(0, count, CHUNK):
                yield self._draw(label, start, min(CHUNK, count - start))

    def _draw(self, label: int, start: int, count: int) -> Batch:
        began = time.perf_counter()
        images = self.sampler.draw(label, start, count).numpy()
        self.seconds += time.perf_counter() - began
        return Batch(label, np.arange(start, start + count), images, synthetic=True)

    @property
    def about(self) -> About:
        """What is true of the whole set."""
        _, channels, image_size, _ = self.real.images.shape
        return About(
            classes=self.classes,
            channels=channels,
            image_size=image_size,
            splits=("train",),
            seed=self.sampler.seed,
            generator=self.generator,
            params=set_params(self.params),
            revision=self.revision,
            overridden=(),
            augmint=version(),
        )

    def row(self, batch: Batch, index: int, name: str, written: Written) -> Row:
        """The manifest's row of one written image."""
        return Row(
            file=written.file,
            name=name,
            sha256=written.sha256,
            split="train",
            label=self.classes[batch.label],
            label_index=batch.label,
            index=index,
            synthetic=batch.synthetic,
            seed=self.sampler.seed if batch.synthetic else None,
            generator=self.generator if batch.synthetic else None,
            params=params_hash(self.params),
            revision=self.revision,
            filters=() if batch.synthetic else None,
            augmint=version(),
        )

    def xmp(self, batch: Batch, index: int) -> str | None:
        """The mark of a synthetic image; a real one has none."""
        if not batch.synthetic or not self.params.export.mark:
            return None
        return Mark(self.generator, self.classes[batch.label], index, self.sampler.seed).xmp()


def _source(params: Params, workspace: Workspace, store: Store) -> Source:
    generator, card = open_generator(workspace.models, store)
    real = store.split("train")
    wanted = plan(real.counts(len(store.classes)).tolist(), params.export.balance)
    sampler = Sampler(generator, derive(params.seed, "export.latent"))
    return Source(store.classes, real, sampler, card["sha256"], wanted, params, revision(workspace.root))


def _say_plan(source: Source, params: Params) -> None:
    counts = source.real.counts(len(source.classes)).tolist()
    table = Table("class", title=f"export.balance: {params.export.balance}")
    for heading in ("real", "synthetic", "together"):
        table.add_column(heading, justify="right")
    for name, real, wanted in zip(source.classes, counts, source.wanted, strict=True):
        table.add_row(name, f"{real:,}", f"{wanted:,}", f"{real + wanted:,}")
    Console(stderr=True).print(table)
    for line in _warnings(source, counts, params):
        print(f"export: {line}", file=sys.stderr)


def _warnings(source: Source, counts: list[int], params: Params) -> Iterator[str]:
    if not any(source.wanted):
        yield (
            f"no synthetic image to make: balance {params.export.balance} asks for no more than the train split has "
            f"(largest class {max(counts):,}). A whole number is a number of images a class; for twice the real ones "
            "write 2.0"
        )
    empty = [
        name
        for name, real, wanted in zip(source.classes, counts, source.wanted, strict=True)
        if not wanted and not (source.params.export.include_real and real)
    ]
    if empty:
        yield (
            f"no image in the folder of class {', '.join(empty)}: torchvision's ImageFolder reads such a set with "
            "allow_empty=True, or set export.include_real: true"
        )


def export(source: Source, folder: Path) -> tuple[float, float]:
    """Draws and writes everything; returns the seconds spent drawing, and in all."""
    began = time.perf_counter()
    writer = open_writer(folder, source.about)
    with (
        ManifestWriter(folder / MANIFEST, source.about) as manifest,
        track(source.total, "export", "images") as progress,
    ):
        _write(source, writer, manifest, progress)
    writer.close()
    return source.seconds, time.perf_counter() - began


def _write(source: Source, writer: Writer, manifest: ManifestWriter, progress: Progress) -> None:
    """Writes one batch in threads while the next one is drawn."""

    def write(number: int, piece: Batch) -> list[Row]:
        indices = piece.indices.tolist()
        names = [f"{'synthetic' if piece.synthetic else 'real'}-{piece.label}-{index:06d}" for index in indices]
        items = [
            Item(name, "train", piece.label, image, source.xmp(piece, index))
            for name, index, image in zip(names, indices, piece.images, strict=True)
        ]
        written = writer.write_part(number, items)
        return [source.row(piece, *each) for each in zip(indices, names, written, strict=True)]

    def collect(pieces: list[Future[list[Row]]]) -> None:
        for piece in pieces:
            rows = piece.result()
            manifest.extend(rows)
            progress.advance(len(rows))

    number = itertools.count()
    with ThreadPoolExecutor(min(MAX_THREADS, usable_cores())) as pool:
        written: list[Future[list[Row]]] = []
        for batch in source:
            writing = [pool.submit(write, next(number), piece) for piece in batch.pieces()]
            collect(written)
            written = writing
        collect(written)
