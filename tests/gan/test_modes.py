"""Mode coverage: a recipe finds all of 25 Gaussians, and the benchmark counts as it should."""

import math

import numpy as np
import pytest
import torch

from benchmarks.modes import digits, gaussians
from gan.config import Config


def real_points(count: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(0)
    source = gaussians.Points()
    return source.images(source.draw(source.sample_labels(count, draws), draws)).flatten(1)


def test_r3_finds_all_25_gaussians_and_stays_on_them() -> None:
    """A third of the benchmark's budget, at which 61 samples in 100 are good; with half of it it is 75 to 82."""
    config = Config.of("r3", **gaussians.SETTINGS | gaussians.FOR_RECIPE["r3"] | {"kimg": 256})
    trainer = gaussians.trainer(config, 0)
    for _ in range(config.iterations):
        trainer.iteration()
    found = gaussians.coverage(gaussians.sample(trainer.ema, 0))
    assert found.modes == 25
    assert found.good > 0.5


def test_real_points_lie_within_three_deviations_as_rayleigh_says() -> None:
    found = gaussians.coverage(real_points(20_000))
    assert found.modes == 25
    assert found.good == pytest.approx(1 - math.exp(-9 / 2), abs=0.003)


def test_a_generator_that_draws_one_point_has_one_mode_and_one_between_modes_has_none() -> None:
    one = gaussians.coverage(torch.tensor([[2.0, -4.0]]).expand(100, 2))
    assert (one.modes, one.good) == (1, 1.0)
    between = gaussians.coverage(torch.tensor([[1.0, 1.0]]).expand(100, 2))
    assert (between.modes, between.good) == (0, 0.0)


def test_reverse_kl_by_hand() -> None:
    data = np.array([0.25, 0.25, 0.25, 0.25])
    assert digits.reverse_kl(data, data) == 0
    assert digits.reverse_kl(np.array([0.5, 0.5, 0, 0]), data) == pytest.approx(math.log(2))
    assert digits.reverse_kl(np.array([0, 0, 1.0, 0]), data) == pytest.approx(math.log(4))


def test_stacked_digits_are_named_channel_by_channel() -> None:
    source, draws = digits.Stacked(), torch.Generator().manual_seed(0)
    images = source.images(source.draw(source.sample_labels(2000, draws), draws))
    assert images.shape == (2000, 3, 8, 8)
    found = digits.coverage(images)
    # 2,000 draws leave 1000 e^-2 = 135 of 1,000 modes out
    assert found.modes == pytest.approx(865, abs=25)
    same = digits.coverage(images[:1].expand(50, -1, -1, -1))
    assert same.modes == 1
    assert same.reverse_kl == pytest.approx(math.log(1000), abs=0.2)


def test_the_classifier_of_the_digits_is_a_good_one() -> None:
    assert digits.classifier()[1] > 0.97
