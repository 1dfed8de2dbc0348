"""Any classifier of torchvision, by its name and a local file of weights, without its last layer."""

import difflib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gan.files import sha256
from pipeline.errors import UserError
from pipeline.metrics.embedders.pretrained import embed_in_batches, weights_file
from pipeline.reading.documents import fault
from pipeline.reading.weights import read_weights

SIZE = 224
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, on which torchvision trained them


@dataclass(frozen=True)
class VisionEmbedder:
    """What a classifier of torchvision hands to its last layer.

    Attributes:
        name: ``torchvision:``, the model, and 12 hex digits of the SHA-256 of its weights.
    """

    name: str
    network: nn.Module

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Features, float32 (N, D), of uint8 images (N, C, H, W), brought to 224x224."""
        return embed_in_batches(lambda batch: self.network(_normalised(batch)), images)


def open_vision(model: str, weights: str | None) -> VisionEmbedder:
    """Opens ``model`` with a state dict, as ``torch.save(network.state_dict(), path)`` leaves it.

    Raises:
        UserError: torchvision has no such classifier, or the weights are missing or not the model's.
    """
    from torchvision import models  # seconds, as it loads torch's compiler

    known = models.list_models(module=models)
    if model not in known:
        close = difflib.get_close_matches(model, known, n=1, cutoff=0.0)[0]
        raise UserError(f"torchvision has no classifier {model!r}; did you mean {close!r}?")
    path = weights_file(f"torchvision:{model}", weights)
    network = models.get_model(model, weights=None)
    try:
        network.load_state_dict(read_weights(path))
    except (OSError, ValueError, RuntimeError) as error:
        reason = fault(error)
        raise UserError(f"evaluate.weights: {path}: no state dict of torchvision's {model} ({reason})") from None
    _drop_last_layer(network, model)
    return VisionEmbedder(f"torchvision:{model}:{sha256(path)[:12]}", network.eval().requires_grad_(False))


def _normalised(batch: torch.Tensor) -> torch.Tensor:
    resized = F.interpolate(batch.float().div_(255), (SIZE, SIZE), mode="bilinear", antialias=True)
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (resized - mean) / deviation


def _drop_last_layer(network: nn.Module, model: str) -> None:
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise UserError(f"torchvision's {model} does not end in a linear layer, so there are no features before it")
    network.set_submodule(linear[-1], nn.Identity())
