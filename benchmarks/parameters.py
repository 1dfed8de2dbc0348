"""A parameter file of one's own for a benchmark: another file's, with the data's path and some choices changed."""

from collections.abc import Iterable
from pathlib import Path

from ruamel.yaml import YAML


def write(source: Path, data: Path, choices: Iterable[str], path: Path) -> None:
    """Writes ``source`` to ``path`` with ``data.path`` set to ``data`` and each of ``choices`` in force.

    Args:
        choices: such as ``train.kimg=60``; the value is YAML.
    """
    yaml = YAML()
    content = yaml.load(source)
    content["data"]["path"] = str(data.resolve())
    for choice in choices:
        key, _, value = choice.partition("=")
        *groups, name = key.split(".")
        place = content
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = yaml.load(value)
    yaml.dump(content, path)
