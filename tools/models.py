"""What the models of ``params.yaml`` take, in words: types, choices and bounds."""

import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.params import OneOf

PLAIN = {int: "whole number", float: "number", str: "text", type(None): "`null`"}
BOUNDS: dict[type, tuple[str, str]] = {
    Gt: ("gt", "above"),
    Ge: ("ge", "of at least"),
    Le: ("le", "up to"),
    Lt: ("lt", "below"),
    MinLen: ("min_length", "of a length of at least"),
    MaxLen: ("max_length", "of a length of at most"),
}


def described(kind: Any, metadata: Iterable[Any] = ()) -> str:
    """A type of the models with its bounds, as Markdown for a table's cell.

    >>> described(float, [Gt(0), Le(1e6)])
    'number above 0, up to 1,000,000'
    >>> described(Literal["a", "b"] | None)
    '`a`, `b` or `null`'

    Args:
        kind: an annotation.
        metadata: what stands beside it, as ``Annotated`` and pydantic's fields have it.

    Raises:
        TypeError: a type that has no words yet.
    """
    if get_origin(kind) is Annotated:
        kind, *further = get_args(kind)
        return described(kind, [*metadata, *further])
    marks = list(_flat(metadata))
    if known := next((mark.func for mark in marks if isinstance(getattr(mark, "func", None), OneOf)), None):
        return _either([f"`{name}`" for name in known.names])
    if get_origin(kind) in (Union, types.UnionType):
        return _either([word for one in get_args(kind) for word in _words(one)])
    if get_origin(kind) is tuple and get_args(kind)[-1] is Ellipsis:
        return f"list{_length(marks)} of: {described(get_args(kind)[0])}"
    return _of_kind(kind) + _bounds(marks)


def _words(kind: Any) -> list[str]:
    if kind is bool:
        return ["`true`", "`false`"]
    return [f"`{value}`" for value in get_args(kind)] if get_origin(kind) is Literal else [described(kind)]


def _of_kind(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if kind in PLAIN:
        return PLAIN[kind]
    if kind is bool or origin is Literal:
        return _either(_words(kind))
    if origin is tuple:
        return f"[{', '.join(described(part) for part in parts)}]"
    if origin is dict:
        return f"map from {described(parts[0])} to {described(parts[1])}"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "; ".join(
            f"`{key}`: {described(one.annotation, one.metadata)}" for key, one in kind.model_fields.items()
        )
    raise TypeError(f"no words for {kind!r}: add them to tools/models.py")


def _flat(metadata: Iterable[Any]) -> Iterable[Any]:
    for mark in metadata:
        yield from mark.metadata if isinstance(mark, FieldInfo) else [mark]


def _bounds(marks: Iterable[Any]) -> str:
    """What limits a value, in words and with a space before them; nothing where nothing does."""
    found = {type(mark): getattr(mark, BOUNDS[type(mark)][0]) for mark in marks if type(mark) in BOUNDS}
    if found == {MinLen: 1}:
        return ", not empty"
    if {Ge, Le} <= set(found):
        return f" from {_number(found[Ge])} to {_number(found[Le])}"
    return ",".join(f" {BOUNDS[kind][1]} {_number(bound)}" for kind, bound in found.items())


def _length(marks: Iterable[Any]) -> str:
    limits = {type(mark): getattr(mark, BOUNDS[type(mark)][0]) for mark in marks if type(mark) in BOUNDS}
    return f" of {limits[MinLen]} to {limits[MaxLen]}" if MaxLen in limits else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e12 else f"{value:g}"


def _either(words: list[str]) -> str:
    *first, last = dict.fromkeys(words)
    if any(mark in word for word in first for mark in (", ", " or ")):
        return f"{'; '.join(first)}; or {last}"
    return f"{', '.join(first)} or {last}" if first else last
