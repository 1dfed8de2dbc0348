"""What a training goes on from: the generator and critic of ``train.init_from``, if it names any."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan.cards import FormerError
from gan.checkpoint import WeightsError, load_network
from gan.config import Config
from gan.networks import Network, Shape
from gan.trainer import fresh_network
from gan.transfer import Start, unlike
from pipeline.errors import UserError
from pipeline.formats import manifest
from pipeline.params import Params
from pipeline.reading.documents import fault
from pipeline.store import Store
from pipeline.workspace import Workspace

PARTS = ("generator", "critic")
KEYS = {  # whose names are others than the networks' own; all but the first two are of the train stage
    "image_size": "data.image_size",
    "channels": "data.channels",
    "unlabelled": "train.unlabelled_below",
    "low_images": "train.unlabelled_weight",
    "class_prior": "train.latent_prior",
    "adain": "train.style",
}
VALUES = {  # what 0 and 1 stand for there
    "low_images": ("0", "above 0"),
    "class_prior": ("normal", "class"),
    "adain": ("demodulation", "adain"),
}


@dataclass(frozen=True)
class Origin:
    """Trained networks, opened; of several generators in a folder the first.

    Attributes:
        path: the folder as params.yaml names it.
        networks: averaged generator and critic, by part.
        cards: theirs.
        before: what they were fine-tuned from themselves, if they were, as their card describes it.
    """

    path: str
    networks: dict[str, Network]
    cards: dict[str, dict[str, Any]]
    before: dict[str, Any] | None = None

    @classmethod
    def open(cls, path: str, root: Path) -> "Origin":
        """The networks in a folder.

        Args:
            path: the folder, from ``root``.
            root: the project's.

        Raises:
            UserError: there are none that can be used.
        """
        try:
            found = {part: load_network(root / path, part) for part in PARTS}
        except WeightsError as error:
            former = isinstance(error.__cause__, FormerError)
            remedy = "train them anew" if former else "name a folder of models that augmint train wrote"
            raise UserError(f"train.init_from: {error}; {remedy}, or leave train.init_from empty") from None
        told = [(card["family"], card.get("classes")) for _, card in found.values()]
        if told[0] != told[1] or told[0][1] is None:
            raise UserError(
                f"train.init_from: {root / path}: the cards of generator and critic do not name the same family and "
                "classes; name a folder of models that one training wrote"
            )
        networks = {part: network for part, (network, _) in found.items()}
        cards = {part: card for part, (_, card) in found.items()}
        return cls(path, networks, cards, _before(cards["generator"], root / path))

    @property
    def classes(self) -> list[str]:
        """Names of the classes that they know, by label."""
        return list(self.cards["generator"]["classes"])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self.networks["generator"].shape.channels

    def require_fit(self, config: Config, image_size: int, channels: int) -> None:
        """Whether the networks are what ``config`` asks for, but for their classes.

        Raises:
            UserError: they are not; all that differs at once.
        """
        wrong = [
            f"{key} is {ours}, and there {theirs}" for key, (ours, theirs) in self._unlike(config, image_size, channels)
        ]
        if wrong:
            raise UserError(
                f"train.init_from: {self.path} holds other networks than are to be trained: {'; '.join(wrong)}. Set "
                "these keys as there, or name another folder"
            )

    def _unlike(self, config: Config, image_size: int, channels: int) -> list[tuple[str, tuple[Any, Any]]]:
        families = (config.family, self.cards["generator"]["family"])
        if families[0] != families[1]:
            return [("train.family", families)]
        shape = Shape(image_size, channels, len(self.classes), config.latent_dim, config.width)
        differing: dict[str, tuple[Any, Any]] = {}
        for part, network in self.networks.items():
            with torch.device("meta"):
                ours = fresh_network(config, part, shape, 0).shape
            for name in unlike(ours, network.shape):
                key, values = KEYS.get(name, f"train.{name}"), (_told(name, ours), _told(name, network.shape))
                if part == "critic" and name == "channels":  # it sees ``packing`` images at once
                    packing = network.shape.channels // self.channels
                    key, values = "train.packing", (config.packing, packing)
                    if packing == config.packing:
                        continue
                differing[key] = values
        return list(differing.items())

    def start(self, store: Store) -> Start:
        """What the training on ``store`` starts from."""
        return Start(self.networks, self.classes, store.classes)

    def described(self) -> dict[str, Any]:
        """For the cards of what is trained, and for who passes it on."""
        digests = {part: self.cards[part]["sha256"] for part in PARTS}
        before = {} if self.before is None else {"init_from": self.before}
        return {"path": self.path, **digests, "classes": self.classes, **before}


def _before(card: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    if "init_from" not in card:
        return None
    try:
        return manifest.Origin.model_validate_json(json.dumps(card["init_from"])).model_dump(mode="json")
    except ValueError as error:
        raise UserError(
            f"train.init_from: {folder / 'generator.json'}: init_from: {fault(error)}; name a folder of models that "
            "augmint train wrote, or leave train.init_from empty"
        ) from None


def _told(name: str, shape: Shape) -> Any:
    """A size, as params.yaml has it."""
    size = getattr(shape, name)
    return VALUES[name][bool(size)] if name in VALUES else size


def open_origin(params: Params, workspace: Workspace, config: Config, store: Store) -> Origin | None:
    """The networks of ``train.init_from`` for a training on ``store``; None if it is empty.

    Raises:
        UserError: there are none that can be used, or they do not fit.
    """
    if not params.train.init_from:
        return None
    origin = Origin.open(params.train.init_from, workspace.root)
    origin.require_fit(config, store.image_size, store.channels)
    return origin
