"""Fine-tuning: a network takes up the weights of one that was trained before, perhaps on other classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gan.cards import without_storage
from gan.config import Config
from gan.networks import Network, Shape


@dataclass(frozen=True)
class Start:
    """What a training starts from in the place of fresh weights.

    Attributes:
        networks: the averaged generator and the critic, by part.
        known: names of the classes that they were trained on, by label.
        classes: names of those that they are to be trained on, by label.
    """

    networks: Mapping[str, Network]
    known: Sequence[str]
    classes: Sequence[str]

    def take_up(self, config: Config, part: str, network: Network) -> None:
        """Gives the fresh ``network`` the weights of that ``part``, those of its classes by their names.

        What belongs to a class, such as its embedding, stays with it, wherever it stands in the new list. A class
        that was not known starts from the mean over all that were.

        Raises:
            RuntimeError: the network is of another shape; see :func:`unlike`.
        """
        axes = class_axes(config.family, part, network.shape)
        weights = self.networks[part].state_dict()
        network.load_state_dict(
            {name: self._renamed(one, axes[name]) if name in axes else one for name, one in weights.items()}
        )

    def _renamed(self, weights: Tensor, axis: int) -> Tensor:
        """(…, known, …) to (…, classes, …)."""
        rows = weights.movedim(axis, 0)
        mean = rows.mean(dim=0)
        label = {name: number for number, name in enumerate(self.known)}
        chosen = [rows[label[name]] if name in label else mean for name in self.classes]
        return torch.stack(chosen).movedim(0, axis)


def class_axes(family: str, part: str, shape: Shape) -> dict[str, int]:
    """The axis of each tensor that has a place for every class, by the tensor's name.

    >>> class_axes("resnet", "generator", Shape(8, 1, classes=5, latent_dim=4, width=4))
    {'style.embed.weight': 0}
    """
    few, more = (without_storage(family, part, replace(shape, classes=n)).state_dict() for n in (2, 3))
    return {
        name: next(axis for axis, (a, b) in enumerate(zip(one.shape, more[name].shape, strict=True)) if a != b)
        for name, one in few.items()
        if one.shape != more[name].shape
    }


def unlike(one: Shape, other: Shape) -> list[str]:
    """The sizes in which two networks differ, but for how many classes they know."""
    sizes = [name for name in Shape.__dataclass_fields__ if name != "classes"]
    return [name for name in sizes if getattr(one, name) != getattr(other, name)]
