"""Charts of the figures: the spectrum, and what the generator confuses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D

from pipeline.drawing import INK, REAL, SQUARE, SYNTHETIC, WIDTH, look, panels, save_png
from pipeline.sheets import shortened

NUMBERED = 12  # classes whose shares still fit into their squares
DRAWN = 40  # classes whose squares are shapes of their own; beyond, pixels are smaller
TICKS = 30  # class names that still fit beside one another
SHADES = 10
DARKEST = 0.55  # opacity of a whole row in one square: ink on it can be read, in light and in dark
ROWS = {"synthetic": "class asked of the generator", "real": "true class"}


@look()
def spectrum_figure(spectrum: Mapping[str, Any]) -> Figure:
    """The power over the radial frequency; ``spectrum`` as ``bias.spectrum`` in ``metrics/quality.json``."""
    figure, (axes,) = panels(2.8)
    for name, colour, width in (("real", REAL, 3.0), ("synthetic", SYNTHETIC, 1.5)):
        axes.plot(spectrum["frequencies"], spectrum[name], color=colour, linewidth=width, marker=".", label=name)
    axes.set_xlabel("cycles a pixel (right: the finest detail)")
    axes.set_ylabel("power, dB")
    axes.legend()
    axes.grid()
    return figure


def plot_spectrum(path: Path, spectrum: Mapping[str, Any]) -> None:
    """The same as a PNG."""
    save_png(spectrum_figure(spectrum), path, "Spectrum of the images")


@look()
def confusion_figure(counts: Sequence[Sequence[int]], classes: Sequence[str], kind: str) -> Figure:
    """What a classifier sees, as a heat-map of shares of each row.

    Args:
        counts: by (asked or true class, class seen).
        classes: their names.
        kind: of images, a key of :data:`ROWS`.
    """
    figure, (axes,) = panels(WIDTH * 0.9)
    _draw_confusion(axes, counts, classes, kind)
    return figure


@look()
def plot_confusion(path: Path, confusion: Mapping[str, Any], classes: Sequence[str]) -> None:
    """A PNG of two heat-maps side by side.

    Args:
        path: where to.
        confusion: ``synthetic`` and ``real``, counts by (asked class, class that the classifier sees).
        classes: their names.
    """
    figure, both = panels(WIDTH * 0.95, columns=2, width=2 * WIDTH)
    for axes, kind in zip(both, ROWS, strict=True):
        axes.set_title(kind, loc="left")
        _draw_confusion(axes, confusion[kind], classes, kind)
    save_png(figure, path)


def _draw_confusion(axes: Axes, counts: Sequence[Sequence[int]], classes: Sequence[str], kind: str) -> None:
    found = np.array(counts, dtype=np.float64)
    shares = found / np.maximum(found.sum(axis=1, keepdims=True), 1)
    if len(classes) <= DRAWN:
        _draw_squares(axes, shares)
    else:
        pixels = np.concatenate([np.broadcast_to(to_rgb(SQUARE), (*shares.shape, 3)), DARKEST * shares[..., None]], 2)
        axes.imshow(pixels, interpolation="none")
    axes.set(aspect="equal", ylabel=ROWS[kind], xlabel="class that the classifier sees")
    axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5))
    _name_ticks(axes, classes)
    if len(classes) <= NUMBERED:
        _write_shares(axes, shares)


def _draw_squares(axes: Axes, shares: np.ndarray) -> None:
    """One path a shade: small, however many squares."""
    shades = np.ceil(shares * SHADES).astype(int)
    for shade in np.unique(shades[shades > 0]).tolist():
        squares = Outline.make_compound_path(*(_square(*place) for place in np.argwhere(shades == shade).tolist()))
        axes.add_patch(PathPatch(squares, facecolor=SQUARE, alpha=DARKEST * shade / SHADES, linewidth=0))


def _square(row: int, column: int) -> Outline:
    return Outline.unit_rectangle().transformed(Affine2D().translate(column - 0.5, row - 0.5))


def _name_ticks(axes: Axes, classes: Sequence[str]) -> None:
    step = -(-len(classes) // TICKS)
    places, names = range(0, len(classes), step), [shortened(name, 14) for name in classes[::step]]
    rotation = 0 if max(map(len, names)) < 3 else 90
    axes.set_xticks(places, names, fontsize=9, rotation=rotation)
    axes.set_yticks(places, names, fontsize=9)


def _write_shares(axes: Axes, shares: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:  # a square without a number is all but empty
            axes.text(column, row, f"{share * 100:.0f}", color=INK, fontsize=9, ha="center", va="center")
