"""YAML that people write: plain data of a sane size, with line numbers, or one sentence that says what is not."""

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, Event, NodeEvent, ScalarEvent
from ruamel.yaml.reader import ReaderError

from pipeline.errors import UserError

MOST_BYTES = 256 * 1024  # a few seconds of reading
DEEPEST = 16  # mappings and lists in each other
LONGEST = 1024  # characters of one value


def read_mapping(path: Path) -> CommentedMap:
    """The mapping at the top of a file, of strings, numbers, booleans, nulls, lists and mappings with text for keys.

    It takes time and memory in proportion to the file, which may not be long: there are no aliases, merged keys, tags
    or directives, and it is not nested deeply.

    Raises:
        FileNotFoundError: no such file.
        UserError: anything else, with its line.
    """
    text = _text(path)
    try:
        for line, problem in _not_plain(_events(text)):
            raise UserError(f"{path}:{line}: {problem}")
        content = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not valid YAML: {shortened(error.problem or 'it makes no sense')}") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{path}:{line}: not valid YAML: the character U+{error.character:04X}") from None
    except (YAMLError, ValueError) as error:  # of numbers and dates, which ruamel.yaml names no line of
        raise UserError(f"{path}:{_odd_line(text)}: not valid YAML: {shortened(error)}") from None
    if not isinstance(content, CommentedMap):
        raise UserError(f"{path}:1: expected groups such as `data:` and `train:` at the top level")
    for line, key in _odd_keys(content):
        raise UserError(f"{path}:{line}: the key {key} is no text; write it in quotes")
    return content


def shortened(value: object, most: int = 100) -> str:
    """``value`` as text of one line, cut."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise UserError(f"{path}: not a regular file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"{path}: larger than {MOST_BYTES // 1024} KiB; such a file is not read")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 text; save it in that encoding") from None


def _events(text: str) -> Iterator[Event]:
    return YAML(typ="rt", pure=True).parse(text)


def _not_plain(events: Iterator[Event]) -> Iterator[tuple[int, str]]:
    """What is more than data, each with its line; reads no further than it is asked to."""
    depth = documents = 0
    for event in events:
        line, kind = event.start_mark.line + 1, type(event).__name__
        depth += kind in ("MappingStartEvent", "SequenceStartEvent")
        depth -= kind in ("MappingEndEvent", "SequenceEndEvent")
        if depth > DEEPEST:
            yield line, f"nested more than {DEEPEST} deep"
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                yield line, "a second document; there must be one, without `---` lines in it"
            if event.version or event.tags:
                yield line, "directives (%YAML, %TAG) are not taken; leave them out"
        if isinstance(event, NodeEvent) and event.anchor:
            sign = "*" if isinstance(event, AliasEvent) else "&"
            yield line, f"anchors and aliases ({sign}{shortened(event.anchor)}) are not taken; write the value out"
        if tag := getattr(event, "tag", None):
            yield line, f"tags ({shortened(tag)}) are not taken; write a plain value"
        if isinstance(event, ScalarEvent):
            if len(event.value) > LONGEST:
                yield line, f"a value of more than {LONGEST} characters"
            if "\0" in event.value:
                yield line, "a NUL in a value, which no path or name can have; take it out"
            if event.value == "<<" and event.implicit[0]:
                yield line, "merged keys (<<) are not taken; write the keys out"


def _odd_line(text: str) -> int:
    """The line of the first value that cannot be made, such as the 99th of a month; 1 if none is found."""
    for event in _events(text):
        if isinstance(event, ScalarEvent) and event.implicit[0]:
            try:
                YAML(typ="safe", pure=True).load(event.value)
            except (YAMLError, ValueError):
                return event.start_mark.line + 1
    return 1


def _odd_keys(node: object) -> Iterator[tuple[int, str]]:
    """Keys that are neither text nor a whole number, such as the name of a class may be, with their lines."""
    if isinstance(node, CommentedMap):
        for key, value in node.items():
            if not isinstance(key, str | int) or isinstance(key, bool):
                yield node.lc.key(key)[0] + 1, shortened(key)
            yield from _odd_keys(value)
    elif isinstance(node, CommentedSeq):
        for value in node:
            yield from _odd_keys(value)


def scalar(value: Any) -> str:
    """``value`` in YAML, on one line.

    >>> scalar(["translate", 0.5, None]), scalar("a: b"), scalar("no")
    ('[translate, 0.5, null]', '"a: b"', '"no"')
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    if isinstance(value, str):
        plain = re.fullmatch(r"[\w./-]+", value) is not None and YAML(typ="safe", pure=True).load(value) == value
        return (
            value
            if plain and value not in ("yes", "no", "on", "off")
            else json.dumps(value, ensure_ascii=not value.isprintable())
        )
    return json.dumps(value)
