"""Whether a GAN can be trained on a kind of device at all: tried, not looked up."""

import numpy as np
import torch
from torch import Tensor

from gan.augment import OPERATIONS
from gan.config import Config
from gan.errors import first_line
from gan.trainer import FIGURES, Labelled, Trainer

CLOSE = 0.01  # of the figures: float32 in another order, twice differentiated


def trouble(device: torch.device) -> str | None:
    """What keeps ``device`` from training, in a few words; None if nothing does.

    A small iteration has all that a training asks for: second derivatives, which not every backend of torch has for
    every operation, all augmentations, and the fused optimiser. Its figures must be the processor's.
    """
    try:
        there, here = (_figures(where) for where in (device, torch.device("cpu")))
    except (RuntimeError, TypeError, AssertionError) as error:  # no such operation or type there
        return first_line(error)
    for name, one, other in zip(FIGURES, there.tolist(), here.tolist(), strict=True):
        if not abs(one - other) <= CLOSE * max(1.0, abs(other)):
            return f"{name.replace('_', ' ')} is {one:.4g} there and {other:.4g} on the processor"
    return None


def _figures(device: torch.device) -> Tensor:
    """Of the second of two iterations, which hangs on the steps of the first."""
    images = np.random.default_rng(0).integers(0, 256, (16, 3, 9, 9), dtype=np.uint8)
    config = Config(kimg=1, batch_size=8, width=4, latent_dim=4, minibatch_std=2, augment=OPERATIONS)
    trainer = Trainer.on_images(config, Labelled(images, np.arange(16) % 2, 2), 0, device)
    trainer.iteration()
    return trainer.iteration().cpu()
