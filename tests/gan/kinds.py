"""Every kind of networks that a training can ask for: each family, and what an option makes of one."""

from dataclasses import replace
from typing import Any

import gan.networks
from gan.networks import FAMILIES, Network, Shape

KINDS = [*sorted(FAMILIES), "stylegan2 adain"]


def named(kind: str, shape: Shape) -> tuple[str, Shape]:
    """The family of a kind, and ``shape`` with what its option says."""
    family, *options = kind.split()
    return family, replace(shape, **dict.fromkeys(options, 1))


def build(kind: str, part: str, shape: Shape) -> Network:
    """As ``gan.networks.build``, of a kind."""
    family, shape = named(kind, shape)
    return gan.networks.build(family, part, shape)


def choices(kind: str) -> dict[str, Any]:
    """What a ``Config`` says of a kind."""
    family, *options = kind.split()
    return {"family": family} | ({"style": options[0]} if options else {})
