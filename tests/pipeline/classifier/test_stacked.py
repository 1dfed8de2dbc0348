"""Classifiers that are trained together are those that are trained alone."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.classifier import layers, training
from pipeline.classifier.learners import Mapped, One, learner_of, stackable, together
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.stacked import StackedResNet
from pipeline.classifier.training import ExtraPass, Recipe, Task, fit, fit_all, logits

SEEDS = 4


def _images(size: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, channels, size, size), dtype=np.uint8)


def _tasks(images: np.ndarray, second: bool) -> list[Task]:
    """A seed and rates each, and as with other draws of the generator other rows for the second pass."""
    labels, rng = np.arange(len(images)) % 4, np.random.default_rng(1)
    tasks = []
    for seed in range(SEEDS):
        extra = ExtraPass(255 - images, rng.integers(0, 60, 50), labels[:50], 0.5, 10) if second else None
        tasks.append(Task(images, labels, seed, extra, 0.01 * (1 + seed), 0.05 * seed))
    return tasks


def _networks(size: int, channels: int) -> list[SmallResNet]:
    return [SmallResNet(4, channels, size, width=16, seed=seed) for seed in range(SEEDS)]


CASES = [
    (8, 1, Recipe("weights", "trivial", "mixup"), True),
    (32, 3, Recipe("none", "trivial", "cutmix"), True),
]


@pytest.mark.parametrize(("size", "channels", "recipe", "second"), CASES)
def test_alone_and_in_stacks_of_any_size_every_bit_is_the_same(
    size: int, channels: int, recipe: Recipe, second: bool
) -> None:
    images, found = _images(size, channels), []
    tasks = _tasks(images, second)
    for cuts in ((1, 2, 3), (2,)):
        networks = _networks(size, channels)
        for start, end in zip((0, *cuts), (*cuts, SEEDS), strict=True):
            fit_all(networks[start:end], tasks[start:end], steps=4, batch_size=12, recipe=recipe)
        found.append([network.state_dict() for network in networks])
    alone = found[0]
    for stacked in found[1:]:
        for one, other in zip(alone, stacked, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(alone[0]["head.weight"], alone[1]["head.weight"])


def test_a_network_alone_is_computed_beside_itself_where_its_bits_would_be_others_and_only_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both ways are forced, then it finds out by itself; whatever it finds, the bits are those of a stack."""
    images, convolution = _images(16, 3), layers.F.conv2d

    def trained() -> tuple[dict[str, torch.Tensor], set[int]]:
        groups = set()

        def seen(*inputs: torch.Tensor, **how: int) -> torch.Tensor:
            groups.add(how["groups"])
            return convolution(*inputs, **how)

        networks = _networks(16, 3)[:1]
        with monkeypatch.context() as patched:
            patched.setattr(layers.F, "conv2d", seen)
            fit_all(networks, _tasks(images, True)[:1], steps=3, batch_size=12)
        return networks[0].state_dict(), groups

    found, _ = trained()
    with monkeypatch.context() as forced:
        forced.setattr(layers, "_same_alone", lambda *_: False)
        doubled, groups = trained()
        assert groups == {2}
        forced.setattr(layers, "_same_alone", lambda *_: True)
        assert trained()[1] == {1}
    assert all(torch.equal(found[name], doubled[name]) for name in found)


@pytest.mark.parametrize("second", [False, True])
def test_a_stack_learns_what_torchs_own_layers_learn(second: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, where rounding cannot grow to anything over a whole training."""
    floats = training._floats
    monkeypatch.setattr(training, "_floats", lambda images, device: floats(images, device).double())
    images = _images(8, 1)
    tasks = _tasks(images, second)
    stacked, plain = ([network.double() for network in _networks(8, 1)] for _ in range(2))
    recipe, budget = Recipe("weights", "affine", "mixup"), {"steps": 10, "batch_size": 8}
    fit_all(stacked, tasks, recipe=recipe, **budget)  # type: ignore[arg-type]
    for network, task in zip(plain, tasks, strict=True):
        fit(network, recipe=recipe, **vars(task), **budget)  # type: ignore[arg-type]
    for one, other in zip(stacked, plain, strict=True):
        np.testing.assert_allclose(logits(one, images), logits(other, images), atol=1e-5)
        assert int(one.body[1].num_batches_tracked) == int(other.body[1].num_batches_tracked) == 10
        assert not one.training


def _own(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))


def test_a_network_of_ones_own_learns_the_same_by_vmap() -> None:
    tasks = _tasks(_images(8, 1), True)
    found = []
    for learners in ([Mapped([_own(0), _own(1)])], [One(_own(0)), One(_own(1))]):
        parts: Sequence[list[Task]] = [tasks[:2]] if len(learners) == 1 else [[task] for task in tasks[:2]]
        for learner, part in zip(learners, parts, strict=True):
            training._train(learner, part, 4, 12, Recipe("weights", "affine", "mixup"))
        networks = learners[0]._networks if isinstance(learners[0], Mapped) else [one._network for one in learners]  # type: ignore[union-attr]
        found.append([logits(network, tasks[0].images) for network in networks])
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def test_what_goes_together() -> None:
    ours = _networks(8, 1)
    assert together(ours, (1, 8, 8)) and isinstance(learner_of(ours), StackedResNet)
    assert not stackable([SmallResNet(4, 1, 8, width=4)])  # a processor's bits would depend on the stack
    assert not together([_own(0), _own(1)], (1, 8, 8))  # nothing to gain on a processor
