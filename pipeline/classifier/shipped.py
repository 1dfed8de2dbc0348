"""The classifier that ships: its weights (safetensors) and its card (JSON), enough to use it on another machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import nn

from gan.cards import described, header
from gan.checkpoint import save_tensors
from gan.files import regular, sha256
from pipeline.binding import Digest, Figures, read_bound, write_figures
from pipeline.classifier.architectures import build, fingerprint
from pipeline.classifier.training import logits
from pipeline.errors import UserError
from pipeline.params import ClassifyParams, DataParams
from pipeline.reading.documents import Document, again, fault
from pipeline.reading.weights import read_weights
from pipeline.store import GreyEnds

WEIGHTS, CARD = "classifier.safetensors", "classifier.json"
STAGE = "classify"
MOST_CLASSES = 100_000


class Images(Document):
    """What images the classifier takes, and what ``ingest`` makes of others.

    Attributes:
        image_size: height and width in pixels.
        channels: 1 for grey, 3 for colour.
        colour: ``data.channels``.
        fit: ``data.fit``.
        grey_range: ``data.grey_range``.
        levels: what became black and white in train images of more than 8 bits; None if there were none.
    """

    image_size: Annotated[int, Field(ge=8, le=512)]
    channels: Literal[1, 3]
    colour: Literal["auto", "L", "RGB"]
    fit: Literal["crop", "pad", "stretch"]
    grey_range: Literal["auto", "type"] | Annotated[list[float], Field(min_length=2, max_length=2)]
    levels: GreyEnds | None


class Architecture(Document):
    """The network, as :mod:`pipeline.classifier.architectures` builds it.

    Attributes:
        classifier: ``classify.classifier``.
        width: of the small residual network.
        module: SHA-256 of the user's own module; empty for others.
    """

    classifier: str
    width: Annotated[int, Field(ge=4, le=512)]
    module: str


class ClassifierCard(Figures):
    """What ``classifier/classifier.json`` has to say.

    Attributes:
        logit_offsets: what is taken from each class's logit before it is compared (logit adjustment, Menon et al.
            2021): tau times the logarithm of the class's share; zeros for none.
        sha256: of the weights' file.
    """

    classes: Annotated[list[str], Field(min_length=2, max_length=MOST_CLASSES)]
    images: Images
    architecture: Architecture
    logit_offsets: list[float]
    sha256: Digest


@dataclass(frozen=True)
class Shipped:
    """A classifier that can be asked.

    Attributes:
        network: float32 (N, C, H, W) in [-1, 1] to logits (N, classes).
        card: see :class:`ClassifierCard`.
    """

    network: nn.Module
    card: ClassifierCard

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Of each class: uint8 (N, C, H, W) to float64 (N, classes), each row summing to 1."""
        adjusted = logits(self.network, images).astype(np.float64) - np.array(self.card.logit_offsets)
        exponentials = np.exp(adjusted - adjusted.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)


def save_shipped(
    folder: Path, network: nn.Module, content: Mapping[str, Any], made_from: Sequence[Mapping[str, str]]
) -> None:
    """Writes weights and card.

    Args:
        folder: where to, made if need be.
        content: of the card, but for ``sha256``.
        made_from: see :func:`pipeline.binding.sources`.

    Raises:
        OSError: they cannot be written, as on a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    save_tensors(state, folder / WEIGHTS)
    write_figures(folder / CARD, {**content, "sha256": sha256(folder / WEIGHTS)}, made_from)


def read_card(folder: Path) -> dict[str, Any]:
    """The card in ``folder``, which fits :class:`ClassifierCard`.

    Raises:
        UserError: there is none, or it was edited or is damaged.
    """
    card = read_bound(folder / CARD, ClassifierCard, STAGE)
    if len(set(card["classes"])) != len(card["classes"]) or len(card["logit_offsets"]) != len(card["classes"]):
        raise UserError(f"{folder / CARD}: not what {STAGE} writes (its classes do not fit together); {again(STAGE)}")
    return card


def load_shipped(folder: Path, root: Path, device: torch.device) -> Shipped:
    """The classifier in ``folder``, in evaluation mode.

    Args:
        root: the folder of a module of the user's own.

    Raises:
        UserError: it is not there, was edited, is damaged, or its network cannot be built here.
    """
    card = ClassifierCard.model_validate(read_card(folder))
    weights = folder / WEIGHTS
    try:
        if sha256(regular(weights)) != card.sha256:
            raise ValueError("not the weights that its card describes")
        found = header(weights)
    except FileNotFoundError:
        raise UserError(f"{weights}: not there; run `dvc repro {STAGE}` first") from None
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{weights}: damaged ({fault(error)}); {again(STAGE)}") from None
    network = _built(card, root)
    if described(network.state_dict()) != found:
        raise UserError(f"{weights}: of another network than {card.architecture.classifier}; {again(STAGE)}")
    network.load_state_dict(read_weights(weights))
    return Shipped(network.eval().to(device), card)


def _built(card: ClassifierCard, root: Path) -> nn.Module:
    params = ClassifyParams(classifier=card.architecture.classifier, width=card.architecture.width)
    if card.architecture.module and fingerprint(params, root) != card.architecture.module:
        raise UserError(
            f"{card.architecture.classifier}: the module in {root.resolve()} is not the one that the classifier was "
            f"trained with; bring that one back, or {again(STAGE)}"
        )
    return build(params, root, len(card.classes), card.images.channels, card.images.image_size, seed=0)


def images_taken(
    data: DataParams, image_size: int, channels: int, levels: tuple[float, float] | None
) -> dict[str, Any]:
    """The card's ``images``: see :class:`Images`."""
    return {
        "image_size": image_size,
        "channels": channels,
        "colour": data.channels,
        "fit": data.fit,
        "grey_range": list(data.grey_range) if isinstance(data.grey_range, tuple) else data.grey_range,
        "levels": None if levels is None else {"low": levels[0], "high": levels[1]},
    }
