"""What ``auto`` stands for in ``train.recipe`` and ``train.family``."""

import pytest
import torch

from gan.config import Config
from gan.networks import FAMILIES
from gan.recipes import RECIPES
from pipeline.params import TrainParams
from pipeline.training.automatic import settled
from pipeline.training.settings import gan_config

CPU = torch.device("cpu")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("size", [8, 27, 64, 512])
def test_auto_is_a_recipe_and_a_family_that_there_are_and_says_why(size: int, device: str) -> None:
    params, said = settled(TrainParams(recipe="auto", family="auto"), size, device)
    assert params.recipe in RECIPES
    assert params.family in FAMILIES
    assert len(said) == 1
    assert said[0].startswith(f"recipe auto: {params.recipe}, {params.family}")


def test_what_the_user_gave_goes_before_what_goes_with_the_recipe() -> None:
    params, said = settled(TrainParams(recipe="auto", family="resnet", penalty_every=2, critic_lr=1e-4), 64, "cpu")
    assert (params.recipe, params.family, params.penalty_every, params.critic_lr) == ("r3", "resnet", 2, 1e-4)
    assert params.generator_lr == 2.5e-4
    assert "penalty_every" not in said[0]


@pytest.mark.parametrize("family", [name for name, one in FAMILIES.items() if "critic_lr" in one.defaults])
def test_a_family_with_rates_of_its_own_keeps_them(family: str) -> None:
    for size in (32, 64):
        config = gan_config(TrainParams(recipe="auto", family=family), CPU, [9], size)
        asked = FAMILIES[family].defaults | (FAMILIES[family].large if size == 64 else {})
        assert (config.critic_lr, config.generator_lr) == (asked["critic_lr"], asked["generator_lr"])


def test_stylegan2_learns_slower_on_large_images_and_says_so() -> None:
    for size, rate in ((8, 0.01), (63, 0.01), (64, 0.005), (512, 0.005)):
        params, said = settled(TrainParams(recipe="stylegan2"), size, "cpu")
        assert (params.config.critic_lr, params.config.generator_lr) == (rate, rate)
        assert said == [f"critic_lr 0.005, generator_lr 0.005: family stylegan2 asks for it at {size} pixels"] * (
            size >= 64
        )
    params, said = settled(TrainParams(recipe="stylegan2", critic_lr=0.002), 64, "cpu")
    assert (params.critic_lr, params.generator_lr) == (0.002, 0.005)
    assert said[0].startswith("generator_lr 0.005: family stylegan2")
    params, said = settled(TrainParams(recipe="wgan", family="stylegan2"), 64, "cpu")  # clipped weights bear no others
    assert (params.config.critic_lr, said) == (RECIPES["wgan"]["critic_lr"], [])


def test_what_was_measured_with_another_family_is_not_said_of_the_users() -> None:
    _, said = settled(TrainParams(recipe="auto", family="progressive"), 64, "cpu")
    assert said[0].endswith("; but that was with family dcgan, and yours is progressive")
    for own in ("dcgan", "auto", None):
        _, said = settled(TrainParams(recipe="auto", family=own), 64, "cpu")
        assert said[0].endswith("these have 64")


def test_a_family_fits_the_recipe_that_was_given() -> None:
    config = gan_config(TrainParams(recipe="wgan-gp", family="auto"), CPU, [9], 8)
    assert (config.family, config.loss) == ("dcgan", "wasserstein")
    assert gan_config(TrainParams(recipe="stylegan2", family="auto"), CPU, [9], 8).family == "stylegan2"
    params, said = settled(TrainParams(recipe="gan", family="auto"), 8, "cuda")
    assert params.config.family == Config.of("gan", kimg=1).family
    assert said == ["family auto: null: the recipe's own: no GPU was at hand to compare others"]


def test_without_auto_nothing_changes_and_nothing_is_said() -> None:
    params = TrainParams(recipe="wgan-gp")
    assert settled(params, 8, "cpu") == (params, [])
