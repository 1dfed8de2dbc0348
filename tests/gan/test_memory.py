"""The prediction of memory: what must be in it, and that it holds for the batch it was not counted on."""

import pytest
import torch

from gan.config import Config
from gan.memory import _counted, peak_bytes
from gan.networks import Shape
from gan.trainer import fresh_network

CPU = torch.device("cpu")
SHAPE = Shape(16, 1, classes=3, latent_dim=8, width=8)


def test_small_batches_tell_of_a_large_one() -> None:
    config = Config(kimg=1, batch_size=64, width=8, latent_dim=8)
    counted = _counted(config, SHAPE, CPU)
    assert abs(peak_bytes(config, SHAPE, CPU) - counted) < 0.02 * counted


def test_weights_gradients_and_moments_are_in_it() -> None:
    config = Config(kimg=1, batch_size=4, width=8, latent_dim=8)
    sizes = [sum(p.numel() for p in fresh_network(config, part, SHAPE, 0).parameters()) for part in PARTS]
    generator, critic = sizes
    # both with two moments each, and the average; the gradients of one of the two
    assert peak_bytes(config, SHAPE, CPU) > 4 * (4 * generator + 3 * critic)


def test_a_larger_image_takes_more() -> None:
    config = Config(kimg=1, batch_size=8, width=8, latent_dim=8)
    small, large = (peak_bytes(config, Shape(size, 1, 3, 8, 8), CPU) for size in (8, 32))
    assert large > 4 * small


def test_few_large_images_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of 32 images of 512 pixels takes a processor minutes."""
    counted: list[int] = []

    def linear(config: Config, *_: object) -> int:
        counted.append(config.batch_size)
        return 100 + 7 * config.batch_size

    monkeypatch.setattr("gan.memory._counted", linear)
    config = Config(kimg=1, batch_size=32)
    for side, expected in ((256, [8, 16]), (512, [2, 4])):
        counted.clear()
        assert peak_bytes(config, Shape(side, 3, 2, 8, 8), CPU) == 100 + 7 * 32
        assert counted == expected


PARTS = ("generator", "critic")
