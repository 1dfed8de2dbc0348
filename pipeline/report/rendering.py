"""Templates to pages: one HTML file each, which holds its pictures and styles, needs no network and runs no script."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.escaping import terminal
from pipeline.provenance import version
from pipeline.report import wording

_COMMAND = re.compile(r"`((?:dvc|augmint) [a-z -]+)`")
FILTERS = ("percent", "points", "number", "count", "setting", "between")


def render(template: str, **content: Any) -> str:
    """The page that a template of this folder makes of ``content``; all text in it is escaped."""
    return _environment().get_template(template).render(version=version(), **content)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {name: getattr(wording, name) for name in FILTERS} | {"coded": _coded}
    return environment


def _coded(text: str) -> Markup:
    """Text in which commands between backticks are code; other backticks are some class's own."""
    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(terminal(text)))))


def _shown(value: object) -> object:
    """Plain text without characters that cannot be seen, or that turn what stands beside them."""
    return value if not isinstance(value, str) or isinstance(value, Markup) else terminal(value, keep="\n")
