"""Weights of an earlier training are taken up tensor by tensor, and classes keep what is theirs by name."""

from dataclasses import replace

import pytest
import torch

from gan.config import Config
from gan.networks import Shape, build
from gan.trainer import Trainer
from gan.transfer import Start, class_axes, unlike
from tests.gan import kinds
from tests.gan.test_trainer import CPU, bars

KNOWN, CLASSES = ("cat", "dog", "owl"), ("wolf", "owl", "cat", "elk")
SHAPE = Shape(8, 1, classes=3, latent_dim=4, width=4)
PARTS = ("generator", "critic")


@pytest.mark.parametrize("family", kinds.KINDS)
@pytest.mark.parametrize("part", PARTS)
def test_every_tensor_is_taken_up_and_classes_keep_theirs_by_name(family: str, part: str) -> None:
    torch.manual_seed(0)
    source, network = (kinds.build(family, part, replace(SHAPE, classes=count)) for count in (3, 4))
    Start({part: source}, KNOWN, CLASSES).take_up(Config(kimg=1, **kinds.choices(family)), part, network)
    before, after, classwise = source.state_dict(), network.state_dict(), 0
    for name, one in before.items():
        if one.shape == after[name].shape:
            assert torch.equal(after[name], one), name
            continue
        classwise += 1
        (axis,) = (n for n, (a, b) in enumerate(zip(one.shape, after[name].shape, strict=True)) if (a, b) == (3, 4))
        wolf, owl, cat, elk = after[name].unbind(axis)
        assert torch.equal(owl, one.select(axis, 2)) and torch.equal(cat, one.select(axis, 0))
        assert torch.equal(wolf, one.mean(dim=axis)) and torch.equal(elk, wolf)
    assert classwise >= 1


def test_the_first_images_and_scores_are_those_of_the_source() -> None:
    config, data = Config(kimg=0.064, batch_size=16, latent_dim=4, width=4), bars()
    sources = {part: build("resnet", part, replace(SHAPE, classes=2)) for part in PARTS}
    start = Start(sources, ("a", "b"), ("b", "a"))
    trainer = Trainer.on_images(config, data, 0, CPU, start=start)
    z, labels = torch.randn(6, 4), torch.arange(6) % 2
    for network in (trainer.generator, trainer.ema):
        torch.testing.assert_close(network(z, labels), sources["generator"](z, 1 - labels))
    images = torch.randn(6, 1, 8, 8)
    torch.testing.assert_close(trainer.critic(images, labels), sources["critic"](images, 1 - labels))


def test_a_tensor_with_as_many_rows_as_classes_is_no_class_of_its_own() -> None:
    """4 classes, and 4 for every other size too."""
    axes = class_axes("resnet", "critic", Shape(8, 1, classes=4, latent_dim=4, width=4))
    assert axes == {"head.embed.weight": 0}


def test_sizes_that_differ_are_named_but_for_the_number_of_classes() -> None:
    assert unlike(SHAPE, replace(SHAPE, classes=9)) == []
    assert unlike(SHAPE, replace(SHAPE, width=8, image_size=16)) == ["image_size", "width"]
