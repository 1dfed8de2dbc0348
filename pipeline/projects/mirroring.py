"""Whether the images of a set may be mirrored, as far as they tell: tried on the train images that were looked at."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gan.seeds import derive
from pipeline.metrics.distances import spans
from pipeline.metrics.symmetry import Asymmetry, asymmetry, thumbnails, told_apart

AT_ONCE = 128  # images that are read to be made small
ACROSS, DOWN, DIAGONAL = 1, 2, 4  # of gan.symmetry.reflect
DIFFER = 0.1  # p up to which images and their mirror images are taken to differ: it costs little to leave a mirror off
APART = 0.8  # of the classes that have to be told apart
VISIBLE, VISIBLE_WORST = 0.01, 0.1  # shares that must be visible in all classes together and in each by itself


class Mirrored(NamedTuple):
    """What becomes of the train images when they are mirrored.

    That no difference is seen proves something only where one would have been seen: a small one by its size, and one
    of the kind that matters here, which the differences between classes stand for.

    Attributes:
        across: mirrored left to right.
        dihedral: mirrored top to bottom, and about the diagonal; empty where the first shows a difference.
        apart: see :func:`pipeline.metrics.symmetry.told_apart`.
    """

    across: Asymmetry
    dihedral: tuple[Asymmetry, ...]
    apart: float

    @property
    def kind(self) -> str:
        """The largest kind of :data:`gan.symmetry.SYMMETRIES` that changes nothing that could be seen."""
        if self.apart < APART or not _unchanged(self.across):
            return "none"
        return "dihedral" if self.dihedral and all(map(_unchanged, self.dihedral)) else "horizontal"


def mirrored(read: Callable[[np.ndarray], np.ndarray], labels: np.ndarray, groups: np.ndarray, seed: int) -> Mirrored:
    """Mirrors images and compares.

    Args:
        read: rows int64 (n,) to images uint8 (n, C, S, S).
        labels: int64 (N,).
        groups: int64 (N,), of images that belong together.
        seed: the project's.
    """
    rows = np.arange(len(labels))
    small = np.concatenate([thumbnails(read(rows[some])) for some in spans(len(rows), AT_ONCE)])
    rng = np.random.default_rng(derive(seed, "init.mirrored"))
    across = asymmetry(small, labels, groups, ACROSS, rng)
    further = [asymmetry(small, labels, groups, code, rng) for code in (DOWN, DIAGONAL) if _unchanged(across)]
    return Mirrored(across, tuple(further), told_apart(small, labels, rng))


def _unchanged(found: Asymmetry) -> bool:
    return found.p > DIFFER and found.visible <= VISIBLE and found.visible_worst <= VISIBLE_WORST


def why(found: Mirrored) -> str:
    """Why the kind is what it is, without a full stop."""
    across, kind = found.across, found.kind
    if across.p <= DIFFER:
        return (
            f"images and their mirror images differ (p = {across.p:.2g}): {max(0.0, across.share):.1%} of what "
            "mirroring does is the same in all images of a class"
        )
    if kind == "none":
        return (
            "cannot be told: mirror images look as likely, but so few or such varied images might not show that they "
            "are not; horizontal if left and right mean nothing in them"
        )
    least = min((one.p for one in found.dihedral), default=1.0)
    seen = f"p = {across.p:.2g}; a difference of {across.visible:.1%} would be seen"
    if kind == "dihedral":
        return f"mirrored, or turned by quarters, images look as likely ({seen}); none if directions mean something"
    turned = f"differ (p = {least:.2g})" if least <= DIFFER else "may differ, which cannot be told"
    return f"mirror images look as likely ({seen}), turned ones {turned}; none if left and right mean something"
