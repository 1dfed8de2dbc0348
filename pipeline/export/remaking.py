"""Synthetic images made again from their generator, and compared with the bytes that the manifest vouches for."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.networks import Network
from gan.sampler import Sampler
from gan.seeds import derive
from pipeline.export.inventory import place
from pipeline.export.rows import mark
from pipeline.formats.encoding import encode
from pipeline.formats.manifest import MANIFEST, About, Row, read_rows
from pipeline.runtime import one_thread, usable_cores
from pipeline.threads import in_order


class Compared(NamedTuple):
    """Images made again, and a line for each that differs."""

    images: int
    problems: list[str]


def remake(folder: Path, about: About, generator: Network, sample: int | None, seal: str) -> Compared:
    """Makes images again.

    Args:
        folder: the set's.
        about: what its manifest says of the whole of it.
        generator: the one that it names.
        sample: how many; None for all.
        seal: chooses which.

    Raises:
        UserError: the manifest cannot be read.
    """
    sampler = Sampler(generator, about.seed, truncation=about.truncation)
    images, problems = 0, []
    blocks = _blocks(_chosen(folder / MANIFEST, sample, seal), sampler.block)
    with one_thread(), ThreadPoolExecutor(usable_cores()) as pool:
        for found in in_order(pool, lambda rows: _compare(sampler, about, rows), blocks, 2 * usable_cores()):
            images += found.images
            problems += found.problems
    if problems and len(problems) == images:
        problems.append("all that was made again differs: another processor or version of torch may round otherwise")
    return Compared(images, problems)


def _chosen(manifest: Path, sample: int | None, seal: str) -> Iterator[Row]:
    synthetic = (row for row in read_rows(manifest) if row.synthetic)
    if sample is None:
        return synthetic
    total = sum(row.synthetic for row in read_rows(manifest))
    rng = np.random.default_rng(derive(0, "verify.sample", seal))
    places = set(rng.choice(total, min(sample, total), replace=False).tolist())
    return (row for number, row in enumerate(synthetic) if number in places)


def _blocks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """Rows that the sampler makes at once."""
    return (list(block) for _, block in groupby(rows, lambda row: (row.label_index, row.index // size)))


def _compare(sampler: Sampler, about: About, rows: list[Row]) -> Compared:
    label, start = rows[0].label_index, rows[0].index // sampler.block * sampler.block
    if start < 0 or not 0 <= label < len(about.classes):
        return Compared(len(rows), [f"{place(row.file, row.name)}: no such class or index" for row in rows])
    images = sampler.draw(label, start, sampler.block).numpy()
    problems = []
    for row in rows:
        data = encode(images[row.index - start], about.encoding, mark(about, label, row.index))
        if hashlib.sha256(data).hexdigest() != row.sha256:
            problems.append(f"{place(row.file, row.name)}: not what the generator makes of its row")
    return Compared(len(rows), problems)
