"""``evaluate``: measures what the generator draws against the held-out real images."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image
from rich.console import Console

from gan.sampler import Sampler
from gan.seeds import derive
from pipeline.atomic import remove, replacing, write_json
from pipeline.errors import UserError
from pipeline.generator import open_generator
from pipeline.metrics.embedded import Embedded, Images
from pipeline.metrics.embedders import open_embedders
from pipeline.metrics.embedders.domain import DomainEmbedder, train_domain_embedder
from pipeline.metrics.quality import Settings, measure
from pipeline.metrics.resampling import compared_at, proportional, subset
from pipeline.params import Params
from pipeline.progress import track
from pipeline.report.pictures import Pair, grid, pairs
from pipeline.report.quality import quality_table
from pipeline.store import Split, Store
from pipeline.workspace import Workspace

DRAW_AT_ONCE = 256
HELD_OUT_MOST = 10_000  # more would move no figure and cost the square in time
GRID_ROWS, GRID_COLUMNS = 32, 8
PAIRS = 25
DIGITS = 6


def run(params: Params, workspace: Workspace) -> None:
    """Writes ``metrics/quality.json`` and ``plots/evaluate/``.

    The real side is the val and test splits together: neither taught the generator, and nothing is chosen by these
    figures. The synthetic side has its class proportions, because an equal mix against a skewed set is a distance by
    itself.

    Raises:
        UserError: no ingested set, no generator or one of other classes, or too few held-out images.
    """
    store = Store.open(workspace.store)
    held_out = _held_out(store, params)
    train = store.split("train")
    with _synthetic(params, workspace, store, held_out) as synthetic:
        others, notes = open_embedders(params.evaluate.embedders, params.evaluate.weights)
        domain = _embedder(train, store, params)
        settings = Settings(params.evaluate.repeats, params.evaluate.neighbours, params.seed)
        quality, _, drawn = measure(held_out, synthetic, train.images, store.classes, domain, others, settings)
        quality["notes"] += notes
        with replacing(workspace.metrics("quality"), workspace.plots("evaluate")) as (figures, plots):
            plots.mkdir()
            write_json(figures, _rounded(quality))
            _write_csv(plots / "per_class.csv", _rounded(quality["per_class"]))
            _grid(quality, held_out, synthetic, store).save(plots / "grid.png")
            _nearest(quality, drawn, synthetic, train, store).save(plots / "nearest.png")
    _tell(quality)


def _held_out(store: Store, params: Params) -> Images:
    """Val and test, or a part of them in the same class proportions where there are very many."""
    start, stop = store.summary["splits"]["val"][0], store.summary["splits"]["test"][1]
    images, labels = store.images[start:stop], store.labels[start:stop]
    size = compared_at(len(labels), params.evaluate.samples)
    if size <= params.evaluate.neighbours:
        raise UserError(
            f"{store.folder}: {len(labels)} images in the val and test splits are too few to compare halves of them by "
            f"{params.evaluate.neighbours} neighbours; raise data.val_fraction or data.test_fraction, or lower "
            "evaluate.neighbours, in params.yaml"
        )
    if len(labels) > HELD_OUT_MOST:
        rng = np.random.default_rng(derive(params.seed, "evaluate.held_out"))
        rows = np.sort(subset(labels, HELD_OUT_MOST, rng))
        return Images(images[rows], labels[rows])
    return Images(images, labels)


@contextmanager
def _synthetic(params: Params, workspace: Workspace, store: Store, held_out: Images) -> Iterator[Images]:
    """Draws the images to a file in the scratch folder, so that memory does not grow with them; it goes in the end."""
    sampler = _sampler(params, workspace, store)
    counts = proportional(np.bincount(held_out.labels, minlength=len(store.classes)), params.evaluate.samples)
    path = workspace.scratch / "evaluate" / "synthetic.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        images = open_memmap(path, "w+", np.uint8, (int(counts.sum()), *store.images.shape[1:]))
        with track(len(images), "evaluate: drawing", "images") as progress:
            done = 0
            for label, count in enumerate(counts.tolist()):
                for start in range(0, count, DRAW_AT_ONCE):
                    part = sampler.draw(label, start, min(DRAW_AT_ONCE, count - start)).numpy()
                    images[done : done + len(part)] = part
                    done += len(part)
                    progress.advance(len(part))
        yield Images(images, np.repeat(np.arange(len(counts)), counts))
    finally:
        remove(path.parent)


def _sampler(params: Params, workspace: Workspace, store: Store) -> Sampler:
    generator, _ = open_generator(workspace.models, store)
    return Sampler(generator, derive(params.seed, "evaluate.latent"))


def _embedder(train: Split, store: Store, params: Params) -> DomainEmbedder:
    steps = params.evaluate.embedder_steps
    print(f"evaluate: training the embedder, {steps:,} steps on {len(train):,} images", file=sys.stderr, flush=True)
    seed = derive(params.seed, "evaluate.embedder")
    return train_domain_embedder(train.images, train.labels, len(store.classes), steps=steps, seed=seed)


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _grid(quality: dict[str, Any], held_out: Images, synthetic: Images, store: Store) -> Image.Image:
    """One row a class, real beside synthetic; the classes that fall shortest where there are too many for a sheet."""
    order = sorted(range(len(store.classes)), key=lambda label: -(quality["per_class"][label]["shortfall"] or 0))
    shown = sorted(order[:GRID_ROWS])
    rows = [[*_some(held_out, label), *_some(synthetic, label)] for label in shown]
    headings = [("real, held out", GRID_COLUMNS), ("synthetic", GRID_COLUMNS)]
    return grid(rows, [store.classes[label] for label in shown], headings)


def _some(images: Images, label: int) -> list[np.ndarray | None]:
    rows = np.flatnonzero(images.labels == label)[:GRID_COLUMNS]
    return [images.images[row] for row in rows] + [None] * (GRID_COLUMNS - len(rows))


def _nearest(quality: dict[str, Any], drawn: Embedded, synthetic: Images, train: Split, store: Store) -> Image.Image:
    """The pairs of synthetic and training image that are nearest in pixels; suspected copies in red."""
    threshold = quality["copies"]["pixel"]["threshold"]
    values = np.sqrt(np.prod(train.images.shape[1:]))
    assert drawn.pixel is not None
    assert drawn.neighbour is not None
    closest = np.argsort(drawn.pixel, kind="stable")[:PAIRS]
    shown = [
        Pair(
            synthetic.images[row],
            train.images[drawn.neighbour[row]],
            f"{store.classes[synthetic.labels[row]][:10]}  {drawn.pixel[row] / values:.1f}",
            bool(drawn.pixel[row] < threshold),
        )
        for row in closest
    ]
    heading = f"synthetic | nearest training image, RMS difference of 255 (red: below {threshold / values:.1f})"
    return pairs(shown, heading)


def _rounded(tree: Any) -> Any:
    """Six digits: what lies beyond is noise, and the same figures read the same on the next processor."""
    if isinstance(tree, dict):
        return {key: _rounded(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_rounded(value) for value in tree]
    return float(f"{tree:.{DIGITS}g}") if isinstance(tree, float) else tree


def _tell(quality: dict[str, Any]) -> None:
    console = Console()
    console.print(quality_table(quality))
    kid, error, agreement = quality["kid"], quality["kid_standard_error"], quality["label_agreement"]
    console.print(
        f"KID {kid:.4f} ± {error:.4f}; label agreement {agreement:.3f} by an embedder that is right on "
        f"{quality['embedder_accuracy']:.3f} of real images; worst class: {quality['worst_class']}"
    )
    for note in quality["notes"]:
        console.print(note)
