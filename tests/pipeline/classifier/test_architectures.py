import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from pipeline.classifier.architectures import build, fingerprint
from pipeline.classifier.network import SmallResNet
from pipeline.classifier.training import fit, logits
from pipeline.errors import UserError
from pipeline.params import ClassifyParams

SMALL = "torchvision:shufflenet_v2_x0_5"
OWN = """
import torch
from torch import nn

def flat(classes, channels, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, classes), nn.Dropout(0.5))

def wrong(classes, channels, image_size):
    return nn.Flatten()

def broken(classes, channels, image_size):
    raise RuntimeError("out of ideas")

def large(classes, channels, image_size):
    return nn.Conv2d(channels, classes, 64)

value = 3
"""


def _params(classifier: str, weights: str = "") -> ClassifyParams:
    return ClassifyParams(classifier=classifier, weights=weights)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    (tmp_path / "mine.py").write_text(OWN)
    return tmp_path


def test_the_default_is_the_small_residual_network(tmp_path: Path) -> None:
    network = build(_params("small-resnet"), tmp_path, 3, 1, 8, seed=5)
    assert isinstance(network, SmallResNet)
    assert torch.equal(network.head.weight, SmallResNet(3, 1, 8, seed=5).head.weight)
    assert fingerprint(_params("small-resnet"), tmp_path) == ""


@pytest.mark.parametrize("channels", [1, 3])
def test_one_of_torchvisions_takes_small_and_grey_images_and_depends_on_its_seed(channels: int, tmp_path: Path) -> None:
    first, again, other = (build(_params(SMALL), tmp_path, 4, channels, 8, seed=s) for s in (1, 1, 2))
    images = np.random.default_rng(0).integers(0, 256, (4, channels, 8, 8), dtype=np.uint8)
    assert logits(first, images).shape == (4, 4)
    assert np.array_equal(logits(first, images), logits(again, images))
    assert not np.array_equal(logits(first, images), logits(other, images))
    fit(first, images, np.arange(4), seed=0, steps=2, batch_size=4)
    assert not np.array_equal(logits(first, images), logits(again, images))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_local_file_are_taken_over_but_for_the_last_layer(suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = models.shufflenet_v2_x0_5(num_classes=1000).state_dict()
    file = tmp_path / f"weights{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    own = build(_params(SMALL, file.name), tmp_path, 4, 3, 32, seed=1).state_dict()
    assert torch.equal(own["network.conv1.0.weight"], state["conv1.0.weight"])
    assert own["network.fc.weight"].shape == (4, 1024)
    assert len(fingerprint(_params(SMALL, file.name), tmp_path)) == 64


def test_weights_that_are_none_or_anothers_are_refused(tmp_path: Path) -> None:
    save_file({"stem.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    for name, message in (("other.safetensors", "conv1"), ("broken.pth", "can be read"), ("none.pth", "no such file")):
        with pytest.raises(UserError, match=message):
            build(_params(SMALL, name), tmp_path, 4, 3, 32, seed=1)


def test_a_network_of_ones_own_is_imported_from_the_project(project: Path) -> None:
    network = build(_params("mine:flat"), project, 4, 1, 8, seed=1)
    assert logits(network, np.zeros((2, 1, 8, 8), np.uint8)).shape == (2, 4)
    before = fingerprint(_params("mine:flat"), project)
    (project / "mine.py").write_text(OWN + "\n")
    assert fingerprint(_params("mine:flat"), project) != before


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        ("torchvision:resnet19", "no model 'resnet19'"),
        ("mine:large", "does not take 32x32 images"),
        ("mine:missing", "AttributeError"),
        ("mine:wrong", r"gives \(2, 1024\)"),
        ("mine:broken", "out of ideas"),
        ("mine:value", "not callable"),
        ("nowhere:flat", "nowhere"),
    ],
)
def test_what_is_no_classifier_is_said(classifier: str, message: str, project: Path) -> None:
    with pytest.raises(UserError, match=message):
        build(_params(classifier), project, 4, 1, 32, seed=1)


def test_a_module_that_is_not_there_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no module 'nowhere'"):
        fingerprint(_params("nowhere:flat"), tmp_path)
