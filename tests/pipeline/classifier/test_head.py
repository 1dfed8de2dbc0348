from copy import deepcopy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from pipeline.classifier.head import _instead, head, head_steps, retrain_head
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import ExtraPass, Recipe, Task, features, fit, logits

Digits = tuple[np.ndarray, np.ndarray]
HOW = {"batch_size": 32, "recipe": Recipe("none", "trivial")}
RATES = {"lr": 2e-2, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def trained(digits: Digits) -> SmallResNet:
    network = SmallResNet(10, 1, 8, width=4, seed=0)
    fit(network, digits[0][:400], digits[1][:400], seed=0, steps=30, batch_size=32, lr=2e-2)
    return network


def test_all_but_the_last_layer_stays_as_it_is_statistics_too(digits: Digits, trained: SmallResNet) -> None:
    network = deepcopy(trained)
    retrain_head(network, Task(digits[0][:400], digits[1][:400], 3, **RATES), steps=5, **HOW)  # type: ignore[arg-type]
    before, after = trained.state_dict(), network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.weight", "head.bias"}
    again = deepcopy(trained)
    retrain_head(again, Task(digits[0][:400], digits[1][:400], 3, **RATES), steps=5, **HOW)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


def test_it_ends_where_a_logistic_regression_on_balanced_features_ends(digits: Digits, trained: SmallResNet) -> None:
    network, images, labels = deepcopy(trained), digits[0][:400], digits[1][:400]
    few = np.r_[np.flatnonzero(labels != 8), np.flatnonzero(labels == 8)[:6]]
    images, labels = images[few], labels[few]
    how = HOW | {"recipe": Recipe(), "batch_size": 256}
    retrain_head(network, Task(images, labels, 3, **RATES), steps=300, **how)  # type: ignore[arg-type]
    reference = LogisticRegression(C=1e3, class_weight="balanced", max_iter=2000).fit(features(trained, images), labels)
    rest = digits[0][400:1200]
    same = logits(network, rest).argmax(axis=1) == reference.predict(features(trained, rest))
    assert same.mean() > 0.95


def test_half_of_each_class_are_extra_images_where_it_has_any() -> None:
    labels = np.tile(np.arange(4), (50, 10))
    extra = ExtraPass(np.zeros((9, 1, 2, 2), np.uint8), np.array([7, 5, 6, 8, 2]), np.array([1, 1, 1, 3, 3]), 0.5, 8)
    rows = _instead(labels, extra, seed=0)
    assert (rows[(labels == 0) | (labels == 2)] == -1).all()
    assert set(rows[labels == 1].tolist()) == {-1, 5, 6, 7}
    assert set(rows[labels == 3].tolist()) == {-1, 2, 8}
    for label in (1, 3):
        assert 0.4 < (rows[labels == label] >= 0).mean() < 0.6
    counts = np.bincount(rows[labels == 1] + 1, minlength=9)[[6, 7, 8]]
    assert counts.max() - counts.min() <= 1


def test_extra_images_are_seen_by_the_head_alone(digits: Digits, trained: SmallResNet) -> None:
    images, labels = digits[0][:400], digits[1][:400]
    extra = ExtraPass(255 - images, np.arange(400), labels, 0.5, 32)
    plain, with_extra = deepcopy(trained), deepcopy(trained)
    retrain_head(plain, Task(images, labels, 3, **RATES), steps=3, **HOW)  # type: ignore[arg-type]
    retrain_head(with_extra, Task(images, labels, 3, extra, **RATES), steps=3, **HOW)  # type: ignore[arg-type]
    assert not torch.equal(plain.head.weight, with_extra.head.weight)
    assert np.array_equal(features(plain, images[:9]), features(with_extra, images[:9]))
    copies = deepcopy(trained)  # were the extra images the very real ones, then nothing would change
    same = ExtraPass(images, np.arange(400), labels, 0.5, 32)
    retrain_head(copies, Task(images, labels, 3, same, **RATES), steps=3, **HOW)  # type: ignore[arg-type]
    assert np.array_equal(features(plain, images[:9]), features(copies, images[:9]))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "densenet121", "vit_b_16"])
def test_the_head_of_torchvisions_networks_is_what_makes_their_logits(name: str) -> None:
    from torchvision import models

    with torch.device("meta"):
        last = head(models.get_model(name, weights=None, num_classes=7))
    assert isinstance(last, nn.Linear | nn.Conv2d)
    if name != "squeezenet1_1":  # its class scores are pooled afterwards
        assert isinstance(last, nn.Linear)
    assert last.weight.shape[0] == 7


def test_a_fifth_of_the_steps_are_the_heads() -> None:
    assert [head_steps(steps) for steps in (1, 4, 160, 1000)] == [1, 1, 32, 200]
