"""A real set for short trainings, and how far a generator's images are from it."""

import io
from functools import cache
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from PIL import Image

from gan.config import Config
from gan.networks import Network
from gan.sampler import Sampler
from gan.trainer import Labelled, Trainer

DIGITS = Path(__file__).parents[2] / "data" / "digits.zip"


@cache
def digits() -> Labelled:
    """All 8x8 digits, uint8 (N, 1, 8, 8), by their folders' names."""
    with ZipFile(DIGITS) as archive:
        names = [name for name in archive.namelist() if name.endswith(".png")]
        images = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names]
    return Labelled(np.stack(images)[:, None], np.array([int(name.split("/")[0]) for name in names]), 10)


def kid(generator: Network, per_class: int = 40) -> float:
    """Unbiased MMD² of generated and real digits with the kernel (a·b / 64 + 1)³ on pixels (Bińkowski et al. 2018)."""
    real = digits().images.reshape(-1, 64) / 127.5 - 1
    sampler = Sampler(generator, 0)
    fake = torch.cat([sampler.draw(label, 0, per_class) for label in range(10)]).flatten(1).numpy() / 127.5 - 1

    def mean(one: np.ndarray, other: np.ndarray) -> float:
        kernel = (one @ other.T / 64 + 1) ** 3
        return (kernel.sum() - np.trace(kernel)) / (len(one) * (len(one) - 1)) if one is other else kernel.mean()

    return float(mean(real, real) + mean(fake, fake) - 2 * mean(real, fake))


def kids(config: Config) -> tuple[float, float]:
    """Of a fresh averaged generator, and of the one that a training leaves."""
    trainer = Trainer.on_images(config, digits(), 0, torch.device("cpu"))
    before = kid(trainer.ema)
    for _ in range(config.iterations):
        assert trainer.iteration().isfinite().all()
    return before, kid(trainer.ema)
