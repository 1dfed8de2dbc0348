"""The card beside a network's weights: JSON from anywhere, believed as far as the weights' own header bears it out.

A card says how large a network is, and a network of the sizes that it says might not fit into memory. So nothing is
made before the card, the header and a network without storage (on torch's ``meta`` device) agree.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gan.files import regular
from gan.networks import FAMILIES, Network, Shape, build
from gan.symmetry import SYMMETRIES

MOST_BYTES = 2**24  # of a card
MOST = 2**31 - 1  # of any size that a card says
OPTIONAL = ("minibatch_std", "minibatch_discrimination", "unlabelled", "class_prior", "low_images", "adain")
"""Sizes that may be 0 or left out."""
KINDS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Safetensors' names of types."""

FILLERS = (Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.exponential_, Tensor.random_)
Header = dict[str, tuple[str, tuple[int, ...]]]
"""Type and shape of each tensor by its name."""


def read_card(path: Path) -> dict[str, Any]:
    """A card whose every known entry is of its kind and within bounds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no card.
    """
    if regular(path).stat().st_size > MOST_BYTES:
        raise ValueError(f"{path}: larger than any card")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON ({error})") from None
    if not isinstance(card, dict):
        raise ValueError(f"{path}: no card, but {type(card).__name__}")
    if not isinstance(card.get("family"), str) or card["family"] not in FAMILIES:
        raise ValueError(f"{path}: family: none of {', '.join(FAMILIES)}")
    shape = shape_of(card, path)
    if not _is_digest(card.get("sha256")):
        raise ValueError(f"{path}: sha256: not 64 hex digits")
    members = card.get("members", [])
    if not isinstance(members, list) or not all(map(_is_digest, members)):
        raise ValueError(f"{path}: members: no list of 64 hex digits each")
    if card.get("mirror", "none") not in tuple(SYMMETRIES):
        raise ValueError(f"{path}: mirror: none of {', '.join(SYMMETRIES)}")
    _check_classes(card, shape, path)
    return card


def shape_of(card: dict[str, Any], path: Path) -> Shape:
    """The sizes that a card says.

    Raises:
        ValueError: one is missing, or none that a network can have.
    """
    sizes, known = card.get("shape"), Shape.__dataclass_fields__
    if not isinstance(sizes, dict) or not set(known) - set(OPTIONAL) <= set(sizes) <= set(known):
        raise ValueError(f"{path}: shape: does not hold {', '.join(known)}")
    for name, size in sizes.items():
        least = 0 if name in OPTIONAL else 1
        if type(size) is not int or not least <= size <= MOST:
            raise ValueError(f"{path}: shape.{name}: no whole number from {least} to {MOST}")
    shape = Shape(**sizes)
    if shape.low_images and not 0 <= shape.low < shape.levels:
        raise ValueError(f"{path}: shape.low_images: of no level, by shape.unlabelled")
    return shape


def sizes_of(shape: Shape) -> dict[str, int]:
    """What a card says of a network's sizes; of what is off it says nothing, but of ``minibatch_std``."""
    sizes: dict[str, int] = asdict(shape)
    return {name: size for name, size in sizes.items() if size or name not in OPTIONAL[1:]}


def _check_classes(card: dict[str, Any], shape: Shape, path: Path) -> None:
    if "classes" not in card:
        return
    classes = card["classes"]
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{path}: classes: no list of names")
    if len(classes) != shape.classes or len(set(classes)) != len(classes):
        raise ValueError(f"{path}: classes: not {shape.classes} different names, as shape.classes says")


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def header(path: Path) -> Header:
    """What a safetensors file says that it holds; reads no tensor.

    Raises:
        OSError, SafetensorError: it cannot be read, or does not hold what it says.
        ValueError: no file.
    """
    with safe_open(regular(path), "pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}


class FormerError(ValueError):
    """Weights of an earlier version of augmint, whose networks of that family were others."""


def check_weights(path: Path, card: dict[str, Any], part: str) -> None:
    """Whether the weights' header is that of the network that the card describes; allocates nothing.

    Args:
        path: the weights.
        card: from :func:`read_card`.
        part: ``generator`` or ``critic``.

    Raises:
        OSError, SafetensorError: the weights cannot be read.
        FormerError: they are those of an earlier version's network.
        ValueError: they are another network's.
        RuntimeError, TypeError, ArithmeticError: no network can be as the card says.
    """
    found = header(path)
    former = FAMILIES[card["family"]].former
    for name in sorted(found.keys() & former.keys()):
        raise FormerError(
            f"{path}: made by an earlier version of augmint, whose {card['family']} {former[name]}; "
            "this version has no such network"
        )
    expected = described(without_storage(card["family"], part, shape_of(card, path)).state_dict())
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            there, wanted = (_in_words(each.get(name)) for each in (found, expected))
            raise ValueError(f"{path}: not the network of its card: {name} is {there}, and the card makes it {wanted}")


def without_storage(family: str, part: str, shape: Shape) -> Network:
    """A network of any size whose tensors have types and shapes, but no values.

    Raises:
        KeyError: no such family or part.
        RuntimeError, TypeError, ArithmeticError: no network can be of this shape.
    """
    with torch.device("meta"), _Unfilled():
        return build(family, part, shape)


class _Unfilled(TorchFunctionMode):
    """Draws no random weights: without storage there is nothing to fill, and torch would take seconds to say so."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func in FILLERS or getattr(func, "__module__", "") == nn.init.__name__:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def described(tensors: dict[str, Tensor]) -> Header:
    """The header that tensors have when they are saved."""
    return {name: (KINDS.get(one.dtype, str(one.dtype)), tuple(one.shape)) for name, one in tensors.items()}


def _in_words(entry: tuple[str, tuple[int, ...]] | None) -> str:
    return "not there" if entry is None else f"{entry[0]} {list(entry[1])}"
