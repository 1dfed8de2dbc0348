"""A set that is read while it is learnt from: the same bytes as of one on the device, and read ahead."""

import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gan import draws, real_images
from gan.ahead import AHEAD, Ahead
from gan.config import Config
from gan.ranks import Ranks
from gan.real_images import RealImages
from gan.trainer import Labelled, Trainer
from tests.gan.test_trainer import CPU, bars

TINY: dict[str, Any] = {"kimg": 1, "batch_size": 8, "width": 4, "latent_dim": 4, "ema_kimg": 0.1}
SETTINGS: list[dict[str, Any]] = [
    {"mirror": "horizontal", "n_critic": 2},
    {"recipe": "r3", "family": "dcgan", "adaptive": True, "augment": ("translate", "cutout")},
    {"packing": 2, "minibatch_std": 2, "balance": 0.5},
]


class Spied:
    """Images that say which rows were looked up, and in which thread."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.shape, self.nbytes = images, images.shape, images.nbytes
        self.looked_up: list[tuple[bool, list[int]]] = []

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Any) -> np.ndarray:
        ahead = threading.current_thread() is not threading.main_thread()
        self.looked_up.append((ahead, np.asarray(rows).tolist()))
        return self.images[rows]


def made(choices: dict[str, Any], ranks: Ranks | None = None, images: Any = None) -> Trainer:
    choices = TINY | choices
    config, data = Config.of(choices.pop("recipe", "wgan-gp"), **choices), bars()
    return Trainer.on_images(config, data if images is None else Labelled(images, data.labels, 2), 0, CPU, ranks)


def streamed(monkeypatch: pytest.MonkeyPatch, *args: Any) -> Trainer:
    with monkeypatch.context() as patch:
        patch.setattr(real_images, "RESIDENT_BYTES", 0)
        return made(*args)


def same(one: Trainer, other: Trainer) -> bool:
    return all(torch.equal(*pair) for pair in zip(one.state().values(), other.state().values(), strict=True))


@pytest.mark.parametrize("choices", SETTINGS)
def test_the_weights_are_those_of_a_set_on_the_device(choices: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    resident, stream = made(choices), streamed(monkeypatch, choices)
    for number in range(4):
        if number == 2:  # the augmentation sets in: what was foretold of a generator's step is no longer right
            resident.strength = stream.strength = 0.5
        assert torch.equal(resident.iteration(), stream.iteration())
    assert same(resident, stream)
    resumed = streamed(monkeypatch, choices)
    resumed.load_state({name: tensor.clone() for name, tensor in stream.state().items()})
    for trainer in (resident, stream, resumed):
        trainer.iteration()
    assert same(resident, stream) and same(resident, resumed)
    stream.load_state({name: tensor.clone() for name, tensor in resident.state().items()})
    stream.done = resident.done = 1  # back to another iteration than those that were read ahead
    assert torch.equal(resident.iteration(), stream.iteration())


@pytest.mark.parametrize("choices", [{"n_critic": 2}, {"recipe": "r3", "family": "dcgan", "augment": ()}])
def test_all_but_the_first_iteration_is_read_in_another_thread(
    choices: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spied = Spied(bars().images)
    trainer = streamed(monkeypatch, choices, None, spied)
    for _ in range(4):
        trainer.iteration()
    asked = trainer.config.n_critic + trainer.objective.sees_real
    here = [rows for ahead, rows in spied.looked_up if not ahead]
    assert len(here) == asked
    assert len(spied.looked_up) >= asked * 4
    assert all(len(rows) == trainer.config.batch_size for _, rows in spied.looked_up)


def test_each_process_reads_its_own_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = {"recipe": "r3", "family": "dcgan", "packing": 2, "batch_size": 12}
    whole = streamed(monkeypatch, choices, None, spied := Spied(bars().images))
    whole._draw()
    rows = [one for ahead, one in spied.looked_up if not ahead]
    for rank in range(3):
        ranks = Ranks()
        ranks.rank, ranks.count = rank, 3
        own = streamed(monkeypatch, choices, ranks, spied := Spied(bars().images))
        drawn = own._draw()
        here = [one for ahead, one in spied.looked_up if not ahead]
        expected = [np.reshape(one, (6, 2))[rank::3].ravel().tolist() for one in rows]  # packs of two stay together
        assert here == expected
        assert len(drawn.critic[0].real) == 4 and len(drawn.critic[0].labels) == 12


def test_pixels_for_a_gpu_lie_in_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    empty = torch.empty

    def spy(*shape: Any, pin_memory: bool = False, **further: Any) -> Tensor:
        asked.append(pin_memory)
        return empty(*shape, **further)

    monkeypatch.setattr(real_images, "room", lambda device: 0)
    data = bars()
    source = RealImages(data.images, data.labels, 2, 1.0, torch.device("cuda"))
    monkeypatch.setattr(torch, "empty", spy)
    assert source.fetch is not None
    assert torch.equal(source.fetch(torch.tensor([3, 1])), torch.from_numpy(data.images[[3, 1]]))
    assert asked == [True]


def test_what_is_read_ahead_is_bounded() -> None:
    foretold: list[int] = []

    def foretell(iteration: int) -> list[Tensor]:
        foretold.append(iteration)
        return [torch.tensor([iteration])]

    ahead = Ahead(foretell, lambda names: 10 * names)
    for iteration in (0, 1, 2, 9, 10, 3):
        assert ahead.take(iteration, 0, torch.tensor([iteration])).item() == 10 * iteration
        assert ahead.take(iteration, 1, torch.tensor([77])).item() == 770  # not foretold
        assert set(ahead._waiting) == set(range(iteration + 1, iteration + 1 + AHEAD))
    assert foretold.count(2) == 1


def test_an_error_of_the_disk_ends_the_run() -> None:
    def broken(names: Tensor) -> Tensor:
        raise OSError("the disk is gone")

    ahead = Ahead(lambda iteration: [torch.tensor([iteration])], broken)
    with pytest.raises(OSError, match="gone"):
        ahead.take(0, 0, torch.tensor([0]))
    with pytest.raises(OSError, match="gone"):
        ahead.take(1, 0, torch.tensor([1]))


def test_pinned_pixels_go_to_their_place_without_being_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "_goes_alone", lambda tensor: tensor.ndim == 4)  # as pinned ones do
    first, second = ((torch.arange(3) + n, None, (torch.full((2, 1, 2, 2), n), torch.ones(2))) for n in (1, 2))
    place = draws.Place(first, CPU)
    content = place.content
    for given in (first, second):
        place.fill(given)
        assert place.content is content
        for found, expected in ((content[0], given[0]), (content[2][0], given[2][0]), (content[2][1], given[2][1])):
            assert torch.equal(found, expected)
    there = draws.brought(first, torch.device("meta"))
    assert [tensor.shape for tensor in (there[0], *there[2])] == [(3,), (2, 1, 2, 2), (2,)]
