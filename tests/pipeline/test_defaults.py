"""A default stands once, in the models: the demo's file and the documents are held against them."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gan.config import Config
from pipeline.params import Params

ROOT = Path(__file__).parents[2]
DEMO = re.compile(r"for the demo, else (\S+)$")


def leaves(tree: dict[str, Any], *above: str) -> Iterator[tuple[str, Any, str]]:
    """Dotted key, value and comment of every key of a file that is no group of ``Params``."""
    for key, value in tree.items():
        name = ".".join((*above, key))
        tokens = tree.ca.items.get(key)  # type: ignore[attr-defined]
        comment = tokens[2].value.split("\n")[0].strip() if tokens and tokens[2] else ""
        if isinstance(value, dict) and isinstance(default(name), dict) and default(name):
            yield from leaves(value, *above, key)
        else:
            yield name, value, comment


def default(name: str) -> Any:
    """The model's default of a dotted key, as YAML would give it."""
    value: Any = Params().model_dump(mode="json")
    for key in name.split("."):
        value = value[key]
    return value


def plain(value: Any) -> Any:
    return (
        {k: plain(v) for k, v in value.items()}
        if isinstance(value, dict)
        else ([plain(v) for v in value] if isinstance(value, list | tuple) else value)
    )


def test_the_demos_file_says_where_it_differs_from_the_defaults() -> None:
    content = YAML().load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    seen = []
    for name, value, comment in leaves(content):
        said = DEMO.search(comment)
        assert (plain(value) != default(name)) == bool(said), f"{name}: {value} in the file, {default(name)} by default"
        if said:
            assert YAML(typ="safe").load(said[1]) == default(name), name
        seen.append(name)
    assert set(seen) >= {f"train.{name}" for name in type(Params().train).model_fields}
    assert len(seen) > 90


def test_what_documents_call_a_default_is_one() -> None:
    stated = []
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for key, value in re.findall(r"[Tt]he default,? `([\w.]+): ([^`]+)`", page.read_text(encoding="utf-8")):
            known = [name for name in all_keys(Params().model_dump(mode="json")) if f".{name}".endswith(f".{key}")]
            assert YAML(typ="safe").load(value) in [default(name) for name in known], f"{page.name}: {key}: {value}"
            stated.append(key)
    assert stated


def all_keys(tree: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{above}{key}"
        if isinstance(value, dict):
            yield from all_keys(value, f"{above}{key}.")


@pytest.mark.parametrize("field", dataclasses.fields(Config), ids=lambda field: field.name)
def test_the_gans_defaults_are_those_of_the_file(field: dataclasses.Field[Any]) -> None:
    if field.default is not dataclasses.MISSING and field.name not in ("precision", "compiled"):
        assert getattr(Params().train.config, field.name) == field.default
