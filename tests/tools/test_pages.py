"""The documents: what they say of the code is what it does, and the site builds without a broken link or a stranger."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from gan.health import SIGNS, Sign
from pipeline.params import Params, load_params
from tests.browser import needs_browser, opened
from tools import pages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ROW = re.compile(r"^\| `(?P<key>[\w.]+)` \| (?P<takes>.*?) \| `(?P<default>.*?)` \| (?P<comment>.*) \|$", re.MULTILINE)


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted(page.name for page in DOCS.glob("*.md")))
def test_a_committed_page_is_what_the_code_says(page: str) -> None:
    assert pages.made(text(page)) == text(page), "run `make docs`"


def test_a_made_part_follows_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Sign("divergence", "explosion", 50.0, above=True, remedy="raise train.kimg")
    monkeypatch.setattr(pages, "SIGNS", (new,))
    assert "over 50 times" in pages.made(text("troubleshooting.md"))
    assert "raise `train.kimg`" in pages.made(text("troubleshooting.md"))
    with pytest.raises(KeyError, match="nonsense"):
        pages.made("<!-- made: nonsense -->\n<!-- /made -->")


def test_every_sign_has_its_row() -> None:
    rows = [
        line
        for line in text("troubleshooting.md").splitlines()
        if line.startswith(tuple(f"| {s.name} |" for s in SIGNS))
    ]
    assert [row.split(" | ")[0][2:] for row in rows] == [sign.name for sign in SIGNS]
    for sign, row in zip(SIGNS, rows, strict=True):
        assert f"{sign.limit:g}" in row
        assert sign.remedy in row.replace("`", "")


# Parameters -----------------------------------------------------------------------------------------------------------


def documented() -> Iterator[tuple[str, re.Match[str]]]:
    """Dotted key and row of each key on the page."""
    for part in text("parameters.md").split("\n## ")[1:]:
        group = part.partition("\n")[0].strip("`")
        for row in ROW.finditer(part):
            yield row["key"] if row["key"] == group else f"{group}.{row['key']}", row


def faults(key: str, value: object) -> set[str]:
    """The keys that the models find at fault where one key has a value."""
    tree: object = value
    for name in reversed(key.split(".")):
        tree = {name: tree}
    try:
        Params.model_validate(tree)
    except ValidationError as error:
        return {".".join(str(step) for step in one["loc"][: key.count(".") + 1]) for one in error.errors()}
    return set()


def leaves(group: type[BaseModel], *above: str) -> Iterator[str]:
    for name, field in group.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, *above, name)
        else:
            yield ".".join((*above, name))


def test_every_key_stands_on_the_page_once_in_the_order_of_the_models() -> None:
    assert [key for key, _ in documented()] == list(leaves(Params))


def test_defaults_are_those_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("{}\n", encoding="utf-8")
    params = load_params(tmp_path / "params.yaml").model_dump(mode="json")
    for key, row in documented():
        value = params
        for name in key.split("."):
            value = value[name]
        assert YAML(typ="safe").load(row["default"]) == value, key


def test_comments_are_those_of_params_yaml() -> None:
    written = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for key, row in documented():
        plain = row["comment"].replace("\\", "").replace("&lt;", "<").replace("&gt;", ">")
        assert re.search(rf"^ *{key.rpartition('.')[2]}: [^#]*#.*{re.escape(plain)}", written, re.MULTILINE), key
    assert "for the demo" not in text("parameters.md")


def test_bounds_and_choices_are_those_that_the_models_keep() -> None:
    tried = 0
    for key, row in documented():
        if bounds := re.match(r"(whole )?number from ([\d.,]+) to ([\d.,]+)(; or `null`)?$", row["takes"]):
            low, high = (float(bounds[end].replace(",", "")) for end in (2, 3))
            kind = int if bounds[1] else float
            assert faults(key, kind(low - 1)) == faults(key, kind(high + 1)) == {key}
            assert key not in faults(key, kind(low)) | faults(key, kind(high))
            tried += 1
        elif re.match(r"`\w", row["takes"]) and "`head`" not in row["takes"] and "true" not in row["takes"]:
            names = set(re.findall(r"`([\w-]+)`", row["takes"].partition("whole number")[0])) - {"null"}
            assert len(names) > 1
            assert key not in set().union(*(faults(key, name) for name in names)), key
            assert key in faults(key, "nonsense")
            tried += 1
    assert tried > 40


@pytest.mark.parametrize("page", sorted(page.name for page in DOCS.glob("*.md")))
def test_parts_of_params_yaml_in_the_documents_are_valid(page: str, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    for block in re.findall(r"^```yaml\n(.*?)^```", text(page), re.DOTALL | re.MULTILINE):
        if block.split(":")[0] in Params.model_fields:
            file.write_text(block, encoding="utf-8")
            load_params(file)


def test_what_a_snippet_prints_is_what_stands_below_it() -> None:
    (code, printed), *_ = re.findall(
        r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", text("concepts.md"), re.DOTALL | re.MULTILINE
    )
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {})
    assert out.getvalue() == printed


# The site -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def test_the_site_builds_strictly_with_every_page_and_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in DOCS.glob("*.md"):
        html = (site / f"{page.stem}.html").read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"?([^\s\">]+)|<link[^>]*\shref=\"?([^\s\">]+)", html)
        assert [one for pair in loaded for one in pair if one.startswith(("http", "//"))] == [], page.name


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](index.md#nowhere)\n", encoding="utf-8")
    config = load_config(
        str(ROOT / "mkdocs.yml"),
        docs_dir=str(tmp_path / "docs"),
        site_dir=str(tmp_path / "site"),
        nav=None,
        strict=True,
    )
    with pytest.raises(Abort):
        build(config)


@needs_browser
def test_a_page_asks_nobody_and_fits_a_phone(site: Path) -> None:
    with opened(390, "dark") as seen:
        for page in ("index", "parameters", "concepts"):
            seen.page.goto((site / f"{page}.html").as_uri())
            seen.page.wait_for_load_state("load")
            assert seen.sideways() <= 0, page
    assert seen.leaving() == []
