"""What turns images into the features that they are compared by. A figure is worth what its embedder is: name it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from pipeline.errors import UserError
from pipeline.metrics.embedders.inception import open_inception
from pipeline.metrics.embedders.vision import open_vision


class Embedder(Protocol):
    """Maps images to features, always in the same way: its name says which way."""

    @property
    def name(self) -> str:
        """Its kind and 12 hex digits of the SHA-256 of its weights, parted by a colon."""

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Features, float32 (N, D), of uint8 images (N, C, H, W), which may be memory-mapped."""


def open_embedder(kind: str, weights: str | None) -> Embedder:
    """Opens an embedder that comes with weights of its own.

    Args:
        kind: ``inception`` or ``torchvision:`` and the name of a model.
        weights: its file; ``inception`` also takes ``download``.

    Raises:
        UserError: weights or a package are missing, or the weights are not those of the embedder.
    """
    if kind == "inception":
        return open_inception(weights)
    return open_vision(kind.removeprefix("torchvision:"), weights)


def open_embedders(kinds: Sequence[str], weights: Mapping[str, str]) -> tuple[list[Embedder], list[str]]:
    """Those of ``kinds`` that can be opened, ``domain`` left out, and a note on each that cannot.

    An evaluation without one of its further embedders is worth more than none.
    """
    opened, notes = [], []
    for kind in kinds:
        if kind == "domain":
            continue
        try:
            opened.append(open_embedder(kind, weights.get(kind)))
        except UserError as error:
            notes.append(f"No figures by {kind}: {error}")
    return opened, notes
