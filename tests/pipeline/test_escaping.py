"""Escaping, judged by what reads each target: a Markdown renderer, an HTML parser, a CSV reader, a terminal's eye."""

import csv
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.escaping import block, code, markdown, spreadsheet, terminal
from pipeline.tables import write_csv

HOSTILE = (
    "<script>alert(1)<-script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp;",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\uff1d1+1",
    "[link](http://evil.example) ![x](http://evil.example/x.png)",
    "http://evil.example www.evil.example a@evil.example <http://evil.example>",
    "*a* _b_ __c__ ~~d~~ `e` ``f`` $\\frac{$ \\",
    "a|b||c",
    "# heading",
    "1. item",
    "---",
    "    indented",
    "```",
    "[red]x[/] [/] [bold",
    ":smile: {x} %41 ${x} {{ x }} {% raw %}",
    'quote" quote\' onload="x',
)
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Seen(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(text: str) -> Seen:
    """Markdown as a page shows it."""
    return Seen(RENDERER.render(text))


TEXT = (
    st.sampled_from(HOSTILE) | st.text("<>&|`*_[]()!#-+=~$\\.:@/w1a \n\t\x1b'\"{}%", max_size=20) | st.text(max_size=20)
)


@given(TEXT)
def test_markdown_shows_the_text_and_nothing_else(text: str) -> None:
    shown = terminal(text)
    cell = rendered(f"| a | b |\n| --- | --- |\n| {markdown(text)} | 7 |\n")
    assert cell.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert cell.text.split() == ["a", "b", *shown.split(), "7"]
    line = rendered(f"Note: {markdown(text)}\n")
    assert line.tags == {"p"}
    assert line.text.split() == ["Note:", *shown.split()]
    alone = rendered(f"{markdown(text)}\n")
    assert alone.tags <= {"p"}
    assert alone.text.split() == shown.split()
    for link in ("://", "www.", "@"):  # which other renderers turn into links without brackets
        assert link not in markdown(text).lower()


@given(TEXT.filter(lambda text: text.strip()))
def test_code_ends_where_it_should(text: str) -> None:
    span = rendered(f"in `front` {code(text)} behind")
    assert span.tags == {"p", "code"}
    assert span.text.split() == ["in", "front", *terminal(text).split(), "behind"]


@given(st.lists(st.sampled_from((*HOSTILE, "````", "~~~", "")), max_size=5))
def test_a_block_of_code_ends_where_it_should(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    page = rendered(f"{block(text, 'yaml')}\n\nbehind\n")
    assert page.tags == {"pre", "code", "p"}
    assert page.text == f"{text}\nbehind\n"


@given(TEXT)
def test_a_terminal_sees_one_line_without_controls(text: str) -> None:
    shown = terminal(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u202e\u2066"]
    shown.encode()
    if text.isprintable():
        assert shown == text
    assert terminal("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@given(TEXT)
def test_text_is_no_formula_in_a_spreadsheet(text: str) -> None:
    cell = spreadsheet(text)
    if cell and cell[0] in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20":
        float(cell)
    assert cell in (text, f"'{text}")


@pytest.mark.parametrize("number", [-0.5, 3, None, True, "-0.25", "+3", "-1e-05", "", "-inf"])
def test_numbers_stay_as_they_are(number: object) -> None:
    assert spreadsheet(number) is number


def test_a_table_is_read_back_as_it_was_but_for_formulas(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["class", "x"], ((name, -1.5) for name in HOSTILE))
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["class", "x"]
    formulas = {name for name in HOSTILE if name[0] in "=+-@\uff1d"}
    assert rows[1:] == [[f"'{name}" if name in formulas else name, "-1.5"] for name in HOSTILE]
