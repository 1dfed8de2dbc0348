"""Families of networks, by name. A new one is a file with a ``FAMILY`` in it, and a line here."""

from gan.networks import dcgan, progressive, r3, resnet, stylegan2
from gan.networks.additions import add_to
from gan.networks.family import LARGE, Family
from gan.networks.shape import Network, Shape

__all__ = ["FAMILIES", "LARGE", "Family", "Network", "Shape", "build"]

FAMILIES: dict[str, Family] = {
    "resnet": resnet.FAMILY,
    "dcgan": dcgan.FAMILY,
    "progressive": progressive.FAMILY,
    "r3": r3.FAMILY,
    "stylegan2": stylegan2.FAMILY,
}


def build(family: str, part: str, shape: Shape) -> Network:
    """The ``part`` (``generator`` or ``critic``) of a family, with fresh weights.

    >>> import torch
    >>> generator = build("dcgan", "generator", Shape(image_size=8, channels=1, classes=2, latent_dim=4, width=8))
    >>> generator(torch.zeros(3, 4), torch.tensor([0, 1, 1])).shape
    torch.Size([3, 1, 8, 8])

    Raises:
        KeyError: no such family or part.
    """
    found = FAMILIES[family]
    network = {"generator": found.generator, "critic": found.critic}[part](shape)
    add_to(network, part, shape)
    return network
