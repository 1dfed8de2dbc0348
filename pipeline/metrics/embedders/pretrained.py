"""What the embedders with weights from elsewhere have in common."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.metrics.distances import spans

BATCH = 32  # the activations of so many images at 299x299 stay below 1 GiB


def weights_file(kind: str, weights: str | None) -> Path:
    """The file that the user names for an embedder.

    Raises:
        UserError: none is named, or there is none.
    """
    if weights is None:
        raise UserError(f"its weights are missing; give their file as {{{kind}: <path>}} under evaluate.weights")
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UserError(f"evaluate.weights: {path}: no such file; correct the path of {kind}")
    return path


@torch.inference_mode()
def embed_in_batches(network: Callable[[torch.Tensor], torch.Tensor], images: np.ndarray) -> np.ndarray:
    """Features, float32 (N, D), of uint8 images (N, C, H, W); grey ones are shown as colour.

    Args:
        network: maps uint8 (n, 3, H, W) to float (n, D).
    """
    chunks = []
    for span in spans(len(images), BATCH):
        batch = torch.from_numpy(np.array(images[span]))
        chunks.append(network(batch.expand(-1, 3, -1, -1)).float().numpy())
    return np.concatenate(chunks)
