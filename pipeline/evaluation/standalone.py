"""Any two folders of images, made by anything, scored without a project around them."""

from pathlib import Path
from typing import Any

import numpy as np

from gan.seeds import derive
from pipeline.atomic import replacing, write_json
from pipeline.errors import UserError
from pipeline.evaluation.folders import Folder, check_classes, decoded
from pipeline.evaluation.scoring import MOST, Sets, score
from pipeline.evaluation.sharing import Sharing
from pipeline.evaluation.tables import Row, parted, write_table
from pipeline.metrics.embedded import Embedded, Images
from pipeline.metrics.resampling import compared_at
from pipeline.params import EvaluateParams
from pipeline.report import standalone
from pipeline.report.terminal.quality import print_quality
from pipeline.workers import Local

SEED = 0
LEAST_SIDE, MOST_SIDE = 8, 512  # pixels, what the embedder takes


def report_folders(
    real: Path,
    fake: Path,
    train: Path | None,
    target: Path | None,
    by_class: Path | None,
    page: Path | None = None,
    mirror: str = "none",
) -> None:
    """Scores the folders, and prints the figures.

    Args:
        real: see :func:`score_folders`, as ``fake``, ``train`` and ``mirror``.
        target: a JSON file to write them to.
        by_class: a folder to write the figures by class to, as CSV files; it is made if need be.
        page: an HTML file to show them in.

    Raises:
        UserError: see :func:`score_folders`.
        OSError: ``target``, ``by_class`` or ``page`` cannot be written.
    """
    quality, tables = parted(score_folders(real, fake, train, mirror))
    print_quality(quality)
    if target is not None:
        with replacing(target) as (part,):
            write_json(part, quality)
    if by_class is not None:
        _write_tables(by_class, tables)
    if page is not None:
        standalone.write(quality, tables, (str(real), str(fake)), page)


def _write_tables(folder: Path, tables: dict[str, list[Row]]) -> None:
    with replacing(*(folder / f"{name}.csv" for name in tables)) as parts:
        for part, rows in zip(parts, tables.values(), strict=True):
            write_table(part, rows)


def score_folders(real: Path, fake: Path, train: Path | None, mirror: str = "none") -> dict[str, Any]:
    """All figures of the images in ``fake`` against those in ``real``: see :func:`pipeline.metrics.quality.measure`.

    Each folder holds one folder a class. All images are brought to one size, the smaller of those that are typical of
    ``real`` and of ``fake``, and to grey if all are grey. Where the class proportions of the two differ, both are
    thinned to common ones, because a mix of its own is a distance by itself.

    Args:
        real: real images that the generator has not seen.
        fake: what it made.
        train: what it was trained on; it also teaches the embedder. Without it there is no copy check, and a random
            half of each class of ``real`` teaches the embedder, so that the figures are taken on images that it has
            not seen: on the other half.
        mirror: how the images of ``train`` were mirrored for the generator, a kind of :data:`gan.symmetry.SYMMETRIES`.

    Raises:
        UserError: a class is in one folder and not in another, an image cannot be read, or there are too few.
    """
    folders = [Folder.open("--real", real), Folder.open("--fake", fake)]
    if train is not None:
        folders.append(Folder.open("--train", train))
    check_classes(folders)
    classes, settings = folders[0].source.listing.classes, EvaluateParams()
    side = int(np.clip(min(folder.side for folder in folders[:2]), LEAST_SIDE, MOST_SIDE))
    depth: list[str] = []
    with decoded(folders, side, depth) as (held_out, synthetic, *rest):
        colour = "grey" if held_out.images.shape[1] == 1 else "colour"
        notes = [f"All images were brought to {side}x{side} pixels, {colour}.", *depth]
        teaching = rest[0] if rest else None
        if teaching is None:
            teaching, held_out = _halved(held_out, classes)
            notes.append(
                f"Without --train, a random half of each class of --real, {len(teaching.labels):,} images, taught the "
                f"embedder, and the figures are taken on the other {len(held_out.labels):,}."
            )
        held_out, synthetic = _alike(held_out, synthetic, len(classes), notes)
        _check_enough(held_out, synthetic, settings.neighbours)
        sets = Sets(classes, teaching, held_out, synthetic, copies=train is not None, mirror=mirror)
        with Sharing(Local()) as share:
            scored = score(sets, settings, SEED, share)
    return scored.quality | {"notes": [*notes, *_not_held_out(scored.real), *scored.quality["notes"]]}


def _not_held_out(real: Embedded) -> list[str]:
    """A note where real images are training images too."""
    same = 0 if real.pixel is None else int((real.pixel == 0).sum())
    if not same:
        return []
    return [
        f"{same:,} images of --real are also in --train: they are not held out, so real images seem nearer to training "
        "images than they are, and copies may pass; take them out of one of the two."
    ]


def _halved(real: Images, classes: tuple[str, ...]) -> tuple[Images, Images]:
    """Two parts that share no image, half of each class in either; of an odd number, the second has one more."""
    counts = np.bincount(real.labels, minlength=len(classes))
    if counts.min() < 2:
        raise UserError(
            f"--real: class {classes[int(counts.argmin())]!r} has a single image, and without --train one is needed to "
            "teach the embedder and another to compare with; add some, or give --train"
        )
    rng = np.random.default_rng(derive(SEED, "evaluate.half"))
    first = _thinned(real.labels, counts // 2, rng)
    second = np.setdiff1d(np.arange(len(real.labels)), first)
    return _take(real, first), _take(real, second)


def _alike(real: Images, synthetic: Images, classes: int, notes: list[str]) -> tuple[Images, Images]:
    """The largest parts of both, up to :data:`MOST` images each, that have the same class proportions.

    The proportions are the smaller share of each class, so that a class that is rare on one side costs the fewest.
    """
    counts = [np.bincount(images.labels, minlength=classes) for images in (real, synthetic)]
    common = np.minimum(*(count / count.sum() for count in counts))
    common /= common.sum()
    rng = np.random.default_rng(derive(SEED, "evaluate.alike"))
    parts = []
    for images, count in zip((real, synthetic), counts, strict=True):
        total = min(float((count / common).min()), MOST)
        wanted = np.clip(np.floor(common * total + 1e-9).astype(np.int64), 1, count)
        parts.append(images if (wanted == count).all() else _take(images, _thinned(images.labels, wanted, rng)))
    if any(len(part.labels) < count.sum() for part, count in zip(parts, counts, strict=True)):
        notes.append(
            f"So that both sides have the same class proportions, and {MOST:,} images at most, "
            f"{len(parts[0].labels):,} of {len(real.labels):,} real and {len(parts[1].labels):,} of "
            f"{len(synthetic.labels):,} synthetic images are compared."
        )
    return parts[0], parts[1]


def _thinned(labels: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random rows, ``wanted`` of each class: int64, sorted."""
    order = np.lexsort((rng.random(len(labels)), labels))
    rank = np.arange(len(labels)) - np.searchsorted(labels[order], labels[order])
    return np.sort(order[rank < wanted[labels[order]]])


def _take(images: Images, rows: np.ndarray) -> Images:
    return Images(images.images[rows], images.labels[rows])


def _check_enough(real: Images, synthetic: Images, neighbours: int) -> None:
    size = compared_at(len(real.labels), len(synthetic.labels))
    if size <= neighbours:
        raise UserError(
            f"{len(real.labels)} real and {len(synthetic.labels)} synthetic images are left to compare, and halves of "
            f"{size} are too few for {neighbours} neighbours; add images, above all of the smallest class"
        )
