"""Families of networks, by name. A family is a module with ``Generator`` and ``Critic``, built from one ``Shape``."""

from gan.networks import dcgan, resnet
from gan.networks.shape import Network, Shape

__all__ = ["FAMILIES", "Network", "Shape", "build"]

FAMILIES: dict[str, dict[str, type[Network]]] = {
    "dcgan": {"generator": dcgan.Generator, "critic": dcgan.Critic},
    "resnet": {"generator": resnet.Generator, "critic": resnet.Critic},
}


def build(family: str, part: str, shape: Shape) -> Network:
    """The ``part`` (``generator`` or ``critic``) of a family, with fresh weights.

    Raises:
        KeyError: no such family or part.
    """
    return FAMILIES[family][part](shape)
