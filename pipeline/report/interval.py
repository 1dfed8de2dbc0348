"""Verdicts as intervals around zero."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from pipeline.drawing import LINE, SERIES, SOFT, SYNTHETIC, look, panels
from pipeline.sheets import shortened


class Effect(NamedTuple):
    """A difference in balanced accuracy and its 95 % interval, fractions; ``name`` stands beside it."""

    name: str
    delta: float
    ci95: Sequence[float]


@look()
def interval_figure(effects: Sequence[Effect], margin: float, measure: str = "balanced accuracy") -> Figure:
    """One row an effect, in points, over the band around zero in which a difference does not matter.

    Args:
        margin: ``classify.equivalence_margin``.
        measure: what the difference is in.
    """
    alone = len(effects) == 1
    figure, (axes,) = panels(0.75 + 0.3 * len(effects))
    axes.axvspan(-100 * margin, 100 * margin, color=LINE, linewidth=0, zorder=0)
    axes.axvline(0, color=SOFT, linewidth=1, zorder=1)
    for y, (effect, colour) in enumerate(zip(effects, (SYNTHETIC,) if alone else SERIES, strict=False)):
        axes.plot(
            [100 * end for end in effect.ci95], [y, y], color=colour, linewidth=3, solid_capstyle="butt", zorder=2
        )
        axes.plot(100 * effect.delta, y, "D", color=colour, markersize=7, zorder=3)
    reach = 110 * max(margin, *(abs(end) for effect in effects for end in effect.ci95), 0.002)
    axes.set(xlim=(-reach, reach), ylim=(len(effects) - 0.4, -0.6))
    axes.set_yticks([] if alone else range(len(effects)), [] if alone else [shortened(one.name, 18) for one in effects])
    axes.set_xlabel(f"hurts \N{LEFTWARDS ARROW} points of {measure} \N{RIGHTWARDS ARROW} helps")
    axes.spines["left"].set_visible(False)
    return figure
