"""Synthetic images in someone's own training loop."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from gan.checkpoint import load_generator, save_network
from gan.networks import Shape, build
from gan.sampler import BLOCK, Sampler
from gan.synthetic_images import MIXED, SyntheticImages, SyntheticStream

CLASSES = ["cup", "tail", "bowl"]
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    generator = build("resnet", "generator", Shape(8, 1, len(CLASSES), 4, 4))
    save_network(folder, "generator", generator, {"family": "resnet", "classes": CLASSES})
    return folder


def pixels(item: tuple[Image.Image, int]) -> tuple[bytes, int]:
    return item[0].tobytes(), item[1]


def test_items_are_the_samplers_images_class_by_class(model: Path) -> None:
    images = SyntheticImages(model, counts={"cup": 2, "bowl": BLOCK + 3}, seed=5)
    assert len(images) == BLOCK + 5
    assert (images.classes, images.class_to_idx) == (CLASSES, {"cup": 0, "tail": 1, "bowl": 2})
    sampler = Sampler(load_generator(model)[0], seed=5)
    for item, (label, index) in {
        0: (0, 0),
        1: (0, 1),
        2: (2, 0),
        BLOCK + 4: (2, BLOCK + 2),
        -1: (2, BLOCK + 2),
    }.items():
        picture, given = images[item]
        assert given == label
        assert picture.mode == "RGB"
        for channel in np.asarray(picture).transpose(2, 0, 1):
            np.testing.assert_array_equal(channel, sampler.draw(label, index, 1)[0, 0])
    with pytest.raises(IndexError):
        images[len(images)]


def test_an_item_is_the_same_whatever_the_order_the_cache_and_the_workers(model: Path) -> None:
    whole = SyntheticImages(model, per_class=2 * BLOCK, seed=1, transform=ToTensor())
    expected = [whole[i] for i in range(len(whole))]
    small = SyntheticImages(model, per_class=2 * BLOCK, seed=1, transform=ToTensor(), cache_bytes=1)
    for item in torch.randperm(len(small))[:12].tolist():
        assert torch.equal(small[item][0], expected[item][0])
    loader = DataLoader(whole, batch_size=50, num_workers=2)
    images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert torch.equal(images, torch.stack([image for image, _ in expected]))
    assert labels.tolist() == [label for _, label in expected]


def test_numbers_of_classes_can_be_those_of_another_set(model: Path) -> None:
    numbers = {"bowl": 0, "cup": 1, "plate": 2, "tail": 3}
    images = SyntheticImages(model, per_class=1, seed=0, class_to_idx=numbers)
    assert [label for _, label in (images[i] for i in range(3))] == [1, 3, 0]
    assert images.classes == ["bowl", "cup", "plate", "tail"]
    with pytest.raises(ValueError, match="lacks tail"):
        SyntheticImages(model, per_class=1, seed=0, class_to_idx={"bowl": 0, "cup": 1})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "either"),
        ({"per_class": 1, "counts": {}}, "either"),
        ({"counts": {"plate": 1}}, "no class plate"),
        ({"counts": {"cup": -1}}, "negative"),
    ],
)
def test_what_cannot_be_drawn_is_refused(model: Path, asked: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SyntheticImages(model, seed=0, **asked)


def test_a_stream_gives_the_same_images_in_another_order(model: Path) -> None:
    counts = {"cup": 9 * BLOCK, "tail": 8 * BLOCK + 5, "bowl": 1}
    expected = Counter(pixels(item) for item in SyntheticImages(model, counts=counts, seed=2))
    stream = SyntheticStream(model, counts=counts, seed=2)
    first = [pixels(item) for item in stream]
    assert len(first) > MIXED * BLOCK  # more than one group
    assert Counter(first) == expected
    assert first == [pixels(item) for item in stream]
    assert len({label for _, label in first[:BLOCK]}) > 1


def test_workers_share_a_stream_without_repeats(model: Path) -> None:
    counts = {"cup": 20 * BLOCK, "tail": 20 * BLOCK, "bowl": 7}
    stream = SyntheticStream(model, counts=counts, seed=2, transform=ToTensor())
    alone = Counter((image.numpy().tobytes(), label) for image, label in stream)
    loader = DataLoader(stream, batch_size=None, num_workers=2)
    assert Counter((image.numpy().tobytes(), label) for image, label in loader) == alone


def test_a_stream_without_numbers_does_not_end(model: Path) -> None:
    items = iter(SyntheticStream(model, seed=0))
    labels = Counter(next(items)[1] for _ in range(3 * MIXED * BLOCK))
    assert labels == dict.fromkeys(range(3), MIXED * BLOCK)


def test_the_readmes_example_runs(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    (example,) = [block for block in blocks if "SyntheticImages" in block]
    for name in sorted(CLASSES):
        (tmp_path / "tiles" / "train" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "tiles" / "train" / name / "real.png")
    (tmp_path / "models").symlink_to(model)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(example, found)
    assert found["images"].shape == (64, 3, 8, 8)
    assert isinstance(found["real"], ImageFolder)
    assert len(found["loader"].dataset) == 3 + 3 * 200
