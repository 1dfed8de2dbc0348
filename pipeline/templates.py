"""Text made from templates that lie beside the code; pages, which escape what they show, have a way of their own."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def text_templates(folder: Path) -> Environment:
    """Templates of plain text, such as Markdown and Python, in ``folder``; a name that is not given is an error."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
