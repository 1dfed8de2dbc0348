"""Text has one encoding, whatever the locale: each place where gan/ and pipeline/ read or write text names it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUBPROCESS = {"text", "universal_newlines"}


def unnamed(source: str) -> Iterator[int]:
    """Lines of calls that would take the locale's encoding: of paths, ``open``, ``fdopen`` and subprocesses."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        keywords = {keyword.arg for keyword in node.keywords}
        if "encoding" in keywords:
            continue
        by_text = name in ("read_text", "write_text") or (name in ("open", "fdopen") and _of_text(node))
        if by_text or keywords & SUBPROCESS:
            yield node.lineno


def _of_text(call: ast.Call) -> bool:
    """Whether an ``open`` is of text; those of archives, images and stores take something else than a mode."""
    method = isinstance(call.func, ast.Attribute) and call.func.attr == "open"
    values = [*call.args[0 if method else 1 :], *(k.value for k in call.keywords if k.arg == "mode")]
    if not values:
        return not method or not call.args
    mode = values[0]
    text = isinstance(mode, ast.Constant) and isinstance(mode.value, str) and set(mode.value) <= set("rwax+t")
    return text or (isinstance(call.func, ast.Name) and not isinstance(mode, ast.Constant))


@pytest.mark.parametrize("package", ["augmint", "gan", "pipeline"])
def test_every_text_names_its_encoding(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > (1 if package == "augmint" else 10)
    found = [f"{f.relative_to(ROOT)}:{line}" for f in files for line in unnamed(f.read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("p.read_text()", [1]),
        ("p.write_text(x, newline='')", [1]),
        ("p.open()", [1]),
        ("p.open('w', newline='')", [1]),
        ("open(p)", [1]),
        ("open(p, 'a')", [1]),
        ("os.fdopen(3, 'r+')", [1]),
        ("run(x, text=True)", [1]),
        ("p.open(mode='w')", [1]),
        ("p.read_text(encoding='utf-8')", []),
        ("p.open('rb')", []),
        ("open(p, 'wb')", []),
        ("Image.open(p)", []),
        ("Store.open(folder)", []),
        ("os.fdopen(3, 'wb')", []),
        ("tarfile.open(p, 'r:')", []),
        ("run(x, encoding='utf-8', text=True)", []),
    ],
)
def test_the_search_finds_what_it_is_for(code: str, lines: list[int]) -> None:
    assert list(unnamed(code)) == lines
