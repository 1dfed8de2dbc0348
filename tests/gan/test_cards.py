"""A card is not believed: what it says is held against the weights before anything of its sizes is made."""

import json
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gan.cards import FormerError, without_storage
from gan.checkpoint import WeightsError, load_generator, read_state, save_network, sha256
from gan.networks import Shape, build
from pipeline.generator import remedy
from tests.gan.kinds import KINDS, named

SHAPE = Shape(8, 1, classes=2, latent_dim=4, width=4)
SIZES = ("image_size", "channels", "classes", "latent_dim", "width")
ABSURD = (10**6, 2**31 - 1, 2**31, 10**400, 0, -1, 4.0, 1e300, True, "4", None, [4], {})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    save_network(
        tmp_path, "generator", build("resnet", "generator", SHAPE), {"family": "resnet", "classes": ["a", "b"]}
    )
    return tmp_path


def edit(models: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = models / "generator.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(card)), encoding="utf-8")


def refused(models: Path) -> str:
    """The reason; refusing it takes no memory to speak of, whatever the card says."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError) as caught:
        load_generator(models)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", ABSURD, ids=lambda value: str(value)[:8])
def test_no_size_is_believed(models: Path, size: str, value: Any) -> None:
    edit(models, lambda card: card | {"shape": card["shape"] | {size: value}})
    assert str(models) in refused(models)


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("part", ["generator", "critic"])
def test_every_family_is_compared_without_storage(family: str, part: str) -> None:
    family, shape = named(family, Shape(64, 3, classes=1000, latent_dim=512, width=100_000))
    network = without_storage(family, part, shape)
    assert all(tensor.is_meta for tensor in network.state_dict().values())


@pytest.mark.parametrize(
    "change",
    [
        lambda card: [],
        lambda card: None,
        lambda card: "card",
        lambda card: {},
        *(lambda card, key=key: {k: v for k, v in card.items() if k != key} for key in ("family", "sha256", "shape")),
        *(lambda card, bad=bad: card | bad for bad in ({"family": []}, {"family": "vae"}, {"shape": []})),
        *(lambda card, bad=bad: card | {"members": bad} for bad in ("ab" * 32, 3, [3], ["x"], ["ab" * 32])),
        *(lambda card, bad=bad: card | {"classes": bad} for bad in (3, "ab", ["a"], ["a", "a"], ["a", 1], {"a": 1})),
        *(lambda card, bad=bad: card | {"sha256": bad} for bad in (3, "", "00" * 32, None, [])),
        *(lambda card, bad=bad: card | {"mirror": bad} for bad in (3, None, [], "vertical")),
        lambda card: card | {"shape": card["shape"] | {"depth": 3}},
        lambda card: card | {"shape": {"width": 4}},
    ],
)
def test_a_card_of_another_form_is_refused(models: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    edit(models, change)
    refused(models)


@pytest.mark.parametrize("name", ["generator.json", "generator.safetensors"])
@pytest.mark.parametrize("kind", ["empty", "folder", "pipe", "dangling", "text", "zeros", "nested", "utf-16"])
def test_what_is_no_such_file_is_refused(models: Path, name: str, kind: str) -> None:
    path = models / name
    path.unlink()
    contents = {"empty": b"", "text": b"hello", "zeros": bytes(4096), "nested": b"[" * 100_000}
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)  # opening it would wait for ever
    elif kind == "dangling":
        path.symlink_to("nothing")
    else:
        path.write_bytes(contents.get(kind, "{}".encode("utf-16")))
    refused(models)


@pytest.mark.parametrize("length", [2**63, 2**40, 99_000_000, 10**6, 1])
def test_the_length_of_a_header_is_not_believed(models: Path, length: int) -> None:
    weights = models / "generator.safetensors"
    weights.write_bytes(struct.pack("<Q", length) + weights.read_bytes()[8:])
    edit(models, lambda card: card | {"sha256": sha256(weights)})
    refused(models)


def test_shapes_in_a_header_are_not_believed(models: Path) -> None:
    weights, many = models / "generator.safetensors", {"x": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4]}}
    text = json.dumps(many).encode()
    weights.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    edit(models, lambda card: card | {"sha256": sha256(weights)})
    refused(models)


@pytest.mark.parametrize("fault", ["missing", "further", "type", "shape"])
def test_tensors_of_another_network_are_named(models: Path, fault: str) -> None:
    tensors = build("resnet", "generator", SHAPE).state_dict()
    if fault == "missing":
        del tensors["to_image.bias"]
    elif fault == "further":
        tensors["zoo"] = torch.zeros(1)
    else:
        tensors["to_image.bias"] = torch.zeros(1, dtype=torch.float64) if fault == "type" else torch.zeros(2)
    weights = models / "generator.safetensors"
    save_file(tensors, weights)
    edit(models, lambda card: card | {"sha256": sha256(weights)})
    assert ("zoo" if fault == "further" else "to_image.bias") in refused(models)


def test_weights_of_an_earlier_version_are_refused_with_what_was_otherwise_then(models: Path) -> None:
    network = build("dcgan", "generator", SHAPE)
    save_network(models, "generator", network, {"family": "dcgan"})
    tensors = {name.replace("conv.", "up."): one for name, one in network.state_dict().items()}
    tensors["blocks.0.up.weight"] = torch.zeros(8, 4, 4, 4)
    weights = models / "generator.safetensors"
    save_file(tensors, weights)
    edit(models, lambda card: card | {"sha256": sha256(weights)})
    with pytest.raises(WeightsError, match=r"an earlier version of augmint.* transposed convolutions") as caught:
        load_generator(models)
    assert isinstance(caught.value.__cause__, FormerError)
    said = f"{caught.value}; {remedy(caught.value)}"
    assert "dvc repro --force --single-item train" in said and str(weights) in said and "\n" not in said


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_state_that_is_no_file_is_damaged(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state.safetensors"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(WeightsError, match="damaged"):
        read_state(path, "mine")
