"""Charts as inline SVG: their colours are variables, their text is text, and nothing of them acts."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from pipeline.drawing import PALETTE, REAL, SERIES, inline_svg, look, panels
from pipeline.report.rendering import render

HOSTILE = "</svg><script>alert(1)</script> $x_1$ & \"q\" 'r'"


@look()
def drawn(colour: str = REAL, text: str = "plain") -> Figure:
    figure, (axes,) = panels(2.0)
    axes.plot([1.0, 2.0], [3.0, 4.0], "D-", color=colour, label=text)
    axes.set_xlabel(text)
    axes.legend()
    return figure


def test_every_colour_is_a_variable_that_the_page_has_in_light_and_in_dark() -> None:
    svg = inline_svg(drawn(SERIES[3]), "a", "label")
    assert "#" not in re.sub(r"(url\(|href=\")#a-\d+", "", svg)
    assert set(re.findall(r"var\(--([\w-]+)\)", svg)) <= set(PALETTE.values())
    style = render("base.html.j2")
    light, dark = style.split("prefers-color-scheme: dark")
    for colour, name in PALETTE.items():
        assert f"--{name}: {colour};" in light
        assert re.search(rf"--{name}: #\w+;", dark)


def test_a_colour_beside_the_palette_is_refused() -> None:
    with pytest.raises(ValueError, match="#ff0000: a colour beside the palette"):
        inline_svg(drawn("red"), "a", "label")


def test_text_is_text_and_does_nothing() -> None:
    svg = inline_svg(drawn(text=HOSTILE), "a", HOSTILE)
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == HOSTILE
    assert [node.text for node in root.iter("text")].count(HOSTILE) == 2
    assert {node.tag for node in root.iter()} <= {"svg", "g", "defs", "path", "use", "text", "clipPath", "rect"}
    allowed = {"class", "role", "aria-label", "viewBox", "id", "d", "style", "clip-path", "href", "x", "y", "transform"}
    assert {key for node in root.iter() for key in node.attrib} <= allowed | {"width", "height"}


def test_the_same_chart_has_the_same_bytes_and_ids_of_its_own() -> None:
    one, same, other = (inline_svg(drawn(), name, "label") for name in ("a", "a", "b"))
    assert one == same
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0] and not ids[0] & ids[1]
    assert set(re.findall(r"#([\w-]+)", one)) == ids[0]
