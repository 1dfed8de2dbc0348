"""The file ``params.yaml``: read, and what is wrong in it said with its line."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml.comments import CommentedMap

from pipeline.errors import UserError
from pipeline.params.whole import Params
from pipeline.plain_yaml import read_mapping, shortened

MOST_PROBLEMS = 20  # of one file that are told at once


def load_params(path: Path) -> Params:
    """Reads and checks ``params.yaml``.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "params.yaml"
    >>> _ = file.write_text("train: {kimg: 20}")
    >>> load_params(file).train.kimg
    20.0

    Raises:
        UserError: no such file, not YAML, an unknown key (the nearest known one is named), a value out of bounds or
            an impossible combination; each with its line.
    """
    try:
        content = read_mapping(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run augmint in the folder that holds params.yaml and dvc.yaml"
        ) from None
    try:
        return params_of(content)
    except ValidationError as error:
        problems = [f"{path}:{line}: {text}" for line, text in sorted(_problems(error, content))]
        more = error.error_count() - MOST_PROBLEMS
        raise UserError("\n".join([*problems, *([f"{path}: and {more} more"] if more > 0 else [])])) from None


def locate(path: Path, *keys: str) -> str:
    """``params.yaml:12``, the line of one key: for values that only a stage can judge. Needs a valid file."""
    return f"{path}:{_line(keys, read_mapping(path))}"


def params_of(tree: Any) -> Params:
    """The parameters of a tree as YAML and JSON have it.

    Raises:
        ValidationError: they are none.
    """
    return Params.model_validate(_plain(tree))


def _plain(node: Any) -> Any:
    """The YAML tree in Python's own types: whole numbers may stand for floats, lists for tuples."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return tuple(_plain(value) for value in node)
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(getattr(node, "value", node))  # a date


def _problems(error: ValidationError, content: CommentedMap) -> Iterator[tuple[int, str]]:
    seen: set[tuple[str, ...]] = set()
    for problem in error.errors()[:MOST_PROBLEMS]:
        keys = _keys(problem["loc"], content) or _named(problem["msg"], content)
        name = ".".join(keys) or "params"
        if problem["type"] == "extra_forbidden":
            yield _line(keys, content), f"{name}: unknown key{_nearest(keys)}"
        elif keys not in seen:  # a union reports each of its members; the first is enough
            seen.add(keys)
            message = problem["msg"].removeprefix("Value error, ").removeprefix(f"{name}: ")
            if problem["type"] == "model_type":
                message = "expected further keys below it; leave it out to take their defaults"
            shown = "" if problem["type"] == "value_error" else f" (got {shortened(repr(problem['input']))})"
            yield _line(keys, content), f"{name}: {message[0].lower() + message[1:]}{shown}"


def _keys(location: tuple[int | str, ...], content: CommentedMap) -> tuple[str, ...]:
    """The part of a pydantic location that names keys of the file; union members and list indices fall off."""
    keys: list[str] = []
    node: Any = content
    for part in location:
        key = _as_written(node, str(part))
        if key is None:
            break
        keys.append(str(part))
        node = node[key]
    return tuple(keys)


def _named(message: str, content: CommentedMap) -> tuple[str, ...]:
    """The key that a message on several groups begins with, as in ``train.unlabelled_below: ...``, if it is there."""
    return _keys(tuple(message.removeprefix("Value error, ").partition(": ")[0].split(".")), content)


def _line(keys: tuple[str, ...], content: CommentedMap) -> int:
    """Of the last of ``keys``, or the last of them that is there."""
    node, line = content, 1
    for name in keys:
        key = _as_written(node, name)
        if key is None:
            break
        line, node = node.lc.key(key)[0] + 1, node[key]
    return line


def _as_written(node: Any, name: str) -> Any:
    """The key of ``node`` that reads so, which may be a number; ``None`` if it has none."""
    return next((key for key in node if str(key) == name), None) if isinstance(node, dict) else None


def _nearest(keys: tuple[str, ...]) -> str:
    """What an unknown key may be meant as: the same key of another group, else the one of its group that reads most
    like it."""
    section: type[BaseModel] = Params
    for key in keys[:-1]:
        section = _section(section.model_fields[key].annotation) or section
    sections = {name: _section(field.annotation) for name, field in Params.model_fields.items()}
    if elsewhere := [name for name, of in sections.items() if of and keys[-1] in of.model_fields]:
        return f"; it belongs below {' or '.join(f'`{name}:`' for name in elsewhere)}"
    known = sorted(section.model_fields)
    close = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.0)
    return f"; did you mean `{close[0]}`? (known here: {', '.join(known)})" if close else ""


def _section(annotation: Any) -> type[BaseModel] | None:
    """The group of keys that a field holds, also one that may be null; None for a value."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
