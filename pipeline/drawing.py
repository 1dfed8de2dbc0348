"""Charts of figures: one look, as a PNG for ``dvc plots`` and as inline SVG for a page.

A chart is drawn once, narrow enough for a telephone, in the colours of :data:`PALETTE`. In the SVG they become CSS
variables, so that the chart follows the page from light to dark; its text is text. The same figure gives the same
bytes.
"""

import io
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, SOFT, LINE = "#1c1e21", "#5c626b", "#d8dbe0"
REAL, SYNTHETIC, BASELINE, SQUARE = "#4c72b0", "#c44e52", "#1f3b66", "#4a70ae"
SERIES = ("#3d6ab4", "#b83e48", "#2f7d48", "#7561b5", "#86664a", "#a94f8b", "#6b6b6b", "#80691a")
NAMED = {INK: "ink", SOFT: "soft", LINE: "line", REAL: "real", SYNTHETIC: "synthetic", BASELINE: "baseline"}
PALETTE = NAMED | {SQUARE: "square"} | {colour: f"series-{i}" for i, colour in enumerate(SERIES, 1)}
"""The colours of charts in light, and the CSS variables of ``report/style.css`` that hold them in either scheme."""

WIDTH = 5.0  # inches, 360 units of the SVG: on a telephone a unit is about a pixel
_LOOK: Any = {
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "augmint",
    "text.parse_math": False,  # $ is a dollar
}
_DPI = 160
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_LONG = re.compile(r"-?\d+\.\d{2,}(?:e-?\d+)?")
_REFERENCE = re.compile(r"(?<=#)[\w.]+")
_DROPPED = ("font-family", "stroke-miterlimit")


look = partial(mpl.rc_context, _LOOK)
"""Decorates what draws: texts and ticks take their look when they are made."""


@look()
def panels(height: float, columns: int = 1, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure and its axes side by side; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(1, columns, squeeze=False).ravel())
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save_png(figure: Figure, path: Path, title: str = "") -> None:
    """Writes the chart as a PNG on white, with a title where it stands alone.

    Raises:
        OSError: it cannot be written.
    """
    with look():
        if title:
            figure.axes[0].set_title(title, loc="left")
        figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})


def inline_svg(figure: Figure, name: str, label: str) -> Markup:
    """The chart as an ``<svg>`` for the middle of a page: no scripts, no addresses, no styles but its own elements'.

    Args:
        figure: drawn in the colours of :data:`PALETTE`.
        name: one of its kind on the page; letters, digits and hyphens.
        label: what it shows, in words, for who cannot see it.

    Raises:
        ValueError: a colour is not of the palette.
    """
    written = io.BytesIO()
    with look():
        figure.savefig(written, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator")))
    root = ET.fromstring(written.getvalue())
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib |= {"class": "chart", "role": "img", "aria-label": label, "viewBox": box}
    _name_anew(root, name)
    _lighten(root)
    return Markup(ET.tostring(root, encoding="unicode"))  # ElementTree has escaped all text


def _name_anew(root: ET.Element, name: str) -> None:
    """Keeps the ids that something refers to, as short ones of this chart alone."""
    used: dict[str, str] = {}
    for value in _references(root):
        used.setdefault(value, f"{name}-{len(used)}")
    for node in root.iter():
        if _LINK in node.attrib:
            node.attrib["href"] = node.attrib.pop(_LINK)
        for key in ("href", "clip-path"):
            if key in node.attrib:
                node.attrib[key] = _REFERENCE.sub(lambda found: used[found[0]], node.attrib[key])
        own = node.attrib.pop("id", "")
        if own in used:
            node.attrib["id"] = used[own]


def _references(root: ET.Element) -> Iterator[str]:
    for node in root.iter():
        for key in (_LINK, "clip-path"):
            yield from _REFERENCE.findall(node.attrib.get(key, ""))


def _lighten(node: ET.Element) -> None:
    """Takes out what says nothing, from the leaves up, and turns colours into variables."""
    node.tag = node.tag.removeprefix(_SVG)
    children = []
    for child in list(node):
        _lighten(child)
        bare = child.tag == "g" and not child.attrib
        children += list(child) if bare else [] if child.tag in ("metadata", "style") else [child]
    node[:] = [child for child in children if child.tag not in ("g", "defs") or len(child)]
    if node.tag != "text":
        node.text = None
    node.tail = None
    for key, value in list(node.attrib.items()):
        node.attrib[key] = _written(node, key, value)
        if node.attrib[key] == "":
            del node.attrib[key]


def _written(node: ET.Element, key: str, value: str) -> str:
    if key == "style":
        rules = (rule.partition(": ")[::2] for rule in value.split("; "))
        return ";".join(f"{name}:{_coloured(rule)}" for name, rule in rules if name not in _DROPPED)
    if key == "transform" and value.startswith("rotate(-0 "):
        return ""
    if key in ("d", "x", "y", "width", "height", "transform") and node.tag not in ("svg", "image"):
        return _LONG.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), " ".join(value.split()))
    return value


def _coloured(rule: str) -> str:
    if not rule.startswith("#"):
        return rule
    if rule not in PALETTE:
        raise ValueError(f"{rule}: a colour beside the palette does not follow the page")
    return f"var(--{PALETTE[rule]})"
