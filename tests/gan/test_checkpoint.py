"""Weights on disk: whole, theirs, and never a pickle."""

from pathlib import Path

import pytest
import torch

from gan.checkpoint import WeightsError, load_generator, load_state, save_network, save_state
from gan.networks import Shape, build

SHAPE = Shape(8, 1, classes=2, latent_dim=4, width=4)


def ship(folder: Path) -> torch.nn.Module:
    network = build("resnet", "generator", SHAPE)
    save_network(folder, "generator", network, {"family": "resnet", "classes": ["a", "b"]})
    return network


def test_a_network_comes_back_as_it_was(tmp_path: Path) -> None:
    network = ship(tmp_path)
    loaded, card = load_generator(tmp_path)
    assert card["classes"] == ["a", "b"]
    assert not loaded.training
    z, labels = torch.randn(3, 4), torch.tensor([0, 1, 0])
    assert torch.equal(network.eval()(z, labels), loaded(z, labels))


def test_no_pickle_is_written(tmp_path: Path) -> None:
    ship(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator.json", "generator.safetensors"]


@pytest.mark.parametrize("fault", ["changed", "cut", "missing", "card"])
def test_weights_that_are_not_those_of_the_card_are_refused(tmp_path: Path, fault: str) -> None:
    ship(tmp_path)
    weights = tmp_path / "generator.safetensors"
    content = weights.read_bytes()
    if fault == "changed":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif fault == "cut":
        weights.write_bytes(content[:100])
    elif fault == "missing":
        weights.unlink()
    else:
        (tmp_path / "generator.json").write_text("{")
    with pytest.raises(WeightsError, match=str(tmp_path)):
        load_generator(tmp_path)


def test_a_state_of_another_run_or_a_damaged_one_is_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "run" / "state.safetensors"
    save_state(path, {"a/b": torch.arange(3)}, key="mine")
    found = load_state(path, "mine")
    assert found is not None
    assert torch.equal(found["a/b"], torch.arange(3))
    assert load_state(path, "other") is None
    path.write_bytes(path.read_bytes()[:-4])
    assert load_state(path, "mine") is None
    assert load_state(tmp_path / "none.safetensors", "mine") is None
