"""``evaluate``: measures what the generator draws against the held-out real images."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan.networks import Network
from gan.sampler import Sampler
from gan.seeds import derive
from pipeline.atomic import remove, replacing
from pipeline.binding import quality_sources, write_figures
from pipeline.disk import write_blocks
from pipeline.errors import UserError
from pipeline.evaluation.interpolation import interpolated
from pipeline.evaluation.plots import shown_classes, write_plots
from pipeline.evaluation.scoring import MOST, Sets, score
from pipeline.evaluation.sharing import Sharing
from pipeline.evaluation.tables import parted, write_tables
from pipeline.generator import open_generator
from pipeline.metrics.embedded import Images
from pipeline.metrics.quality import Measured
from pipeline.metrics.resampling import compared_at, proportional, subset
from pipeline.metrics.sharing import Share
from pipeline.params import Params
from pipeline.progress import Progress, track
from pipeline.reading.sharded import span
from pipeline.report.terminal.quality import print_quality
from pipeline.sheets import grid
from pipeline.store import Store
from pipeline.workers import open_workers
from pipeline.workspace import Workspace

DRAW_AT_ONCE = 256


def run(params: Params, workspace: Workspace) -> None:
    """Writes ``metrics/quality.json`` and ``plots/evaluate/``.

    The real side is the val and test splits together: neither taught the generator, and nothing is chosen by these
    figures. The synthetic side has its class proportions, because an equal mix against a skewed set is a distance by
    itself. A gate that fails is said; it is ``export`` that stops.

    Raises:
        UserError: no ingested set, no generator or one of other classes, or too few held-out images.
    """
    store = Store.open(workspace.store)
    train = store.split("train")
    workers = open_workers(params.workers, workspace.scratch)
    with _folder(workspace) as folder, Sharing(workers, folder) as share:
        held_out = _held_out(store, params, share)
        made_from = quality_sources(params, workspace)
        generator, card = open_generator(workspace.models, store)
        synthetic = _synthetic(params, folder, generator, held_out, len(store.classes))
        teaching = Images(train.images, train.labels)
        sets = Sets(store.classes, teaching, held_out, synthetic, mirror=card.get("mirror", "none"))
        scored = score(sets, params.evaluate, params.seed, share)
        with replacing(workspace.metrics("quality"), workspace.plots("evaluate")) as (figures, plots):
            plots.mkdir()
            whole, tables = parted(scored.quality)
            write_figures(figures, whole, made_from)
            write_tables(plots, tables)
            write_plots(plots, sets, scored, params.evaluate.neighbours)
            _interpolation(generator, scored, store.classes, params.seed).save(plots / "interpolation.png")
            _tell(scored.quality)


def _tell(quality: dict[str, Any]) -> None:
    print_quality(quality)
    if not all(gate["passed"] for gate in quality["gates"]):
        print(
            "evaluate: not every gate passed, so export will stop; see evaluate.gates in params.yaml", file=sys.stderr
        )


@contextmanager
def _folder(workspace: Workspace) -> Iterator[Path]:
    """A folder for images and features, so that memory does not grow with them; it goes in the end."""
    folder = workspace.scratch / "evaluate"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        remove(folder)


def _held_out(store: Store, params: Params, share: Share) -> Images:
    """Val and test, or a part of them in the same class proportions where there are very many."""
    start, stop = store.summary["splits"]["val"][0], store.summary["splits"]["test"][1]
    images, labels = span(store.images, start, stop), store.labels[start:stop]
    size = compared_at(len(labels), params.evaluate.samples)
    if size <= params.evaluate.neighbours:
        raise UserError(
            f"{store.folder}: {len(labels)} images in the val and test splits are too few to compare halves of them by "
            f"{params.evaluate.neighbours} neighbours; raise data.val_fraction or data.test_fraction, or lower "
            "evaluate.neighbours, in params.yaml"
        )
    if len(labels) > MOST:
        rng = np.random.default_rng(derive(params.seed, "evaluate.held_out"))
        rows = np.sort(subset(labels, MOST, rng))
        return Images(share.kept("held_out", images[rows]), labels[rows])
    return Images(images, labels)


def _synthetic(params: Params, folder: Path, generator: Network, held_out: Images, classes: int) -> Images:
    """Draws the images to a file."""
    sampler = Sampler(generator, derive(params.seed, "evaluate.latent"), truncation=params.export.truncation)
    counts = proportional(np.bincount(held_out.labels, minlength=classes), params.evaluate.samples)
    path = folder / "synthetic.npy"
    total = int(counts.sum())
    with track(total, "evaluate: drawing", "images") as progress:
        write_blocks(path, _drawn(sampler, counts.tolist(), progress), (total, *held_out.images.shape[1:]))
    return Images(np.load(path, mmap_mode="r"), np.repeat(np.arange(len(counts)), counts))


def _drawn(sampler: Sampler, counts: list[int], progress: Progress) -> Iterator[np.ndarray]:
    for label, count in enumerate(counts):
        for start in range(0, count, DRAW_AT_ONCE):
            part = sampler.draw(label, start, min(DRAW_AT_ONCE, count - start)).numpy()
            yield part
            progress.advance(len(part))


def _interpolation(generator: Network, scored: Measured, classes: tuple[str, ...], seed: int) -> Image.Image:
    """One row a class, from one random latent to another."""
    shown = shown_classes(scored.quality)
    rows = [list(interpolated(generator, label, seed).numpy()) for label in shown]
    headings = [("from one latent to another, each row a class", len(rows[0]))]
    return grid(rows, [classes[label] for label in shown], headings)
