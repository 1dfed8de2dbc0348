"""What the pictures of ``plots/evaluate/`` show, and the CSV files beside them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gan.symmetry import SYMMETRIES, reflect
from pipeline.charts import plot_confusion, plot_spectrum
from pipeline.evaluation.scoring import Sets
from pipeline.metrics.distances import kth_nearest, nearest
from pipeline.metrics.embedded import Images
from pipeline.metrics.quality import Measured
from pipeline.sheets import Pair, grid, pairs, shortened, stacked
from pipeline.tables import write_csv

GRID_ROWS, GRID_COLUMNS = 32, 8
NEAREST_PAIRS, EXTREME_PAIRS = 25, 15


def write_plots(folder: Path, sets: Sets, scored: Measured, neighbours: int) -> None:
    """Writes every picture and CSV file that takes no generator into ``folder``, which exists.

    Args:
        folder: where to.
        sets: what was compared.
        scored: what came of it.
        neighbours: how far a real image's ball reaches, for the best and the worst images.
    """
    quality = scored.quality
    grid_sheet(quality, sets).save(folder / "grid.png")
    nearest_sheet(sets, scored).save(folder / "nearest.png")
    extremes_sheet(sets, scored, neighbours).save(folder / "extremes.png")
    _write_confusion(folder / "confusion.csv", sets, scored)
    plot_confusion(folder / "confusion.png", quality["bias"]["confusion"], sets.classes)
    _write_spectrum(folder / "spectrum.csv", quality["bias"]["spectrum"])
    plot_spectrum(folder / "spectrum.png", quality["bias"]["spectrum"])


def shown_classes(quality: dict[str, Any]) -> list[int]:
    """The labels of all classes, or of those that fall shortest where there are too many for a sheet."""
    shortfalls = [row["shortfall"] or 0 for row in quality["per_class"]]
    return sorted(sorted(range(len(shortfalls)), key=lambda label: -shortfalls[label])[:GRID_ROWS])


def grid_sheet(quality: dict[str, Any], sets: Sets) -> Image.Image:
    """One row a class, real beside synthetic."""
    shown = shown_classes(quality)
    rows = [[*_some(sets.real, label), *_some(sets.synthetic, label)] for label in shown]
    headings = [("real, held out", GRID_COLUMNS), ("synthetic", GRID_COLUMNS)]
    return grid(rows, [sets.classes[label] for label in shown], headings)


def _some(images: Images, label: int) -> list[np.ndarray | None]:
    rows = np.flatnonzero(images.labels == label)[:GRID_COLUMNS]
    return [images.images[row] for row in rows] + [None] * (GRID_COLUMNS - len(rows))


def nearest_sheet(sets: Sets, scored: Measured) -> Image.Image:
    """The pairs of synthetic and training image that are nearest in pixels; suspected copies in red.

    Raises:
        ValueError: the copy check was left out.
    """
    distance, neighbour = scored.synthetic.pixel, scored.synthetic.neighbour
    if distance is None or neighbour is None:
        raise ValueError("no training images are near where none were given")
    threshold = scored.quality["copies"]["pixel"]["threshold"]
    values = np.sqrt(np.prod(sets.teaching.images.shape[1:]))
    shown = [
        _pair(
            sets,
            row,
            _as_seen(sets.synthetic.images[row], sets.teaching.images[neighbour[row]], sets.mirror),
            f"{distance[row] / values:.1f}",
            bool(distance[row] < threshold),
        )
        for row in np.argsort(distance, kind="stable")[:NEAREST_PAIRS].tolist()
    ]
    which = "nearest training image" + (", mirrored where that is nearer" if sets.mirror != "none" else "")
    heading = f"synthetic | {which}, RMS difference of 255 (red: below {threshold / values:.1f})"
    return pairs(shown, heading)


def _as_seen(image: np.ndarray, other: np.ndarray, mirror: str) -> np.ndarray:
    """``other`` (C, S, S) under the symmetry by which it is nearest to ``image``."""
    codes = torch.arange(SYMMETRIES[mirror])
    ways = reflect(torch.from_numpy(np.array(other)).expand(len(codes), -1, -1, -1), codes).numpy()
    return ways[int(np.square(ways.astype(float) - image).sum(axis=(1, 2, 3)).argmin())]


def extremes_sheet(sets: Sets, scored: Measured, neighbours: int) -> Image.Image:
    """The synthetic images that lie deepest among the held-out real ones, and those that lie furthest off.

    The measure is the distance to the nearest real image in features, over the radius of that one's ball, which
    reaches to its ``neighbours``-th nearest other real image: precision asks for a distance below 1.
    """
    real, synthetic = scored.real.features, scored.synthetic.features
    distance, rows = nearest(synthetic, real)
    radius = np.sqrt(kth_nearest(real, neighbours))[rows]
    relative = np.divide(distance, radius, out=np.full_like(distance, np.inf), where=radius > 0)
    order = np.argsort(np.where(distance == 0, 0.0, relative), kind="stable")
    count = min(EXTREME_PAIRS, len(order) // 2)
    sheets = []
    for chosen, what in ((order[:count], "best"), (order[::-1][:count], "worst")):
        shown = [_pair(sets, row, sets.real.images[rows[row]], f"{relative[row]:.2f}") for row in chosen.tolist()]
        sheets.append(
            pairs(shown, f"{what}: synthetic | nearest held-out real image, distance (below 1: among real ones)")
        )
    return stacked(sheets)


def _pair(sets: Sets, row: int, other: np.ndarray, figure: str, alarm: bool = False) -> Pair:
    name = shortened(sets.classes[sets.synthetic.labels[row]], 10)
    return Pair(sets.synthetic.images[row], other, f"{name}  {figure}", alarm)


def _write_spectrum(path: Path, spectrum: dict[str, Any]) -> None:
    columns = ("frequencies", "real", "synthetic")
    write_csv(path, ["frequency", "real", "synthetic"], zip(*(spectrum[name] for name in columns), strict=True))


def _write_confusion(path: Path, sets: Sets, scored: Measured) -> None:
    """One row a synthetic image, as DVC's own template counts them."""
    asked, seen = scored.synthetic.labels.tolist(), scored.synthetic.predicted.tolist()
    write_csv(path, ["asked", "seen"], ((sets.classes[i], sets.classes[j]) for i, j in zip(asked, seen, strict=True)))
