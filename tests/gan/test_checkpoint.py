"""Weights on disk: whole, theirs, and never a pickle."""

from pathlib import Path

import pytest
import torch

from gan.checkpoint import (
    WeightsError,
    joined,
    load_generator,
    load_state,
    member_folder,
    save_network,
    save_state,
)
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


def refuse(line: str) -> None:
    pytest.fail(f"nothing to say, but: {line}")


def test_a_state_comes_back_to_its_own_run_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "state.safetensors"
    written = {"a/b": torch.arange(3), "c": torch.tensor(2.5, dtype=torch.float64), "d": torch.empty(0, 4)}
    save_state(path, written, key="mine")
    found = load_state(path, "mine", refuse)
    assert found is not None
    assert found.keys() == written.keys()
    assert all(torch.equal(found[name], written[name]) for name in written)
    assert load_state(path, "other", refuse) is None
    assert load_state(tmp_path / "none.safetensors", "mine", refuse) is None


@pytest.mark.parametrize("damage", ["cut", "empty", "first byte", "middle byte", "last byte"])
def test_of_a_damaged_state_the_one_before_is_taken(tmp_path: Path, damage: str) -> None:
    path, said = tmp_path / "state.safetensors", []
    for step in (1, 2):
        save_state(path, {"step": torch.tensor(step), "weights": torch.full((64,), float(step))}, key="mine")
    content = bytearray(path.read_bytes())
    if damage in {"cut", "empty"}:
        del content[len(content) // 2 if damage == "cut" else 0 :]
    else:
        content[{"first byte": 0, "middle byte": -128, "last byte": -1}[damage]] ^= 1
    path.write_bytes(content)
    found = load_state(path, "mine", said.append)
    assert found is not None
    assert found["step"] == 1
    assert len(said) == 1
    assert "damaged" in said[0]


def test_a_kill_between_two_renames_leaves_the_state_before(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    for step in (1, 2):
        save_state(path, {"step": torch.tensor(step)}, key="mine")
    path.unlink()
    found = load_state(path, "mine", refuse)
    assert found is not None
    assert found["step"] == 1


def test_an_ensemble_is_opened_whole_or_not_at_all(tmp_path: Path) -> None:
    card = {"family": "resnet", "classes": ["a", "b"]}
    second = save_network(member_folder(tmp_path, 1), "generator", build("resnet", "generator", SHAPE), card)
    first = save_network(tmp_path, "generator", build("resnet", "generator", SHAPE), card | {"members": [second]})
    generator, opened = load_generator(tmp_path)
    assert opened["sha256"] == joined([first, second])
    assert len(list(generator.parameters())) == 2 * len(list(build("resnet", "generator", SHAPE).parameters()))
    save_network(member_folder(tmp_path, 1), "generator", build("resnet", "generator", SHAPE), card)
    with pytest.raises(WeightsError, match="not the member"):
        load_generator(tmp_path)
