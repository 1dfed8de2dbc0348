"""A family is one object: what it brings reaches the training without an edit elsewhere."""

import copy

import pytest
import torch
from torch import Tensor, nn

from gan.config import Config
from gan.networks import FAMILIES, Family, Network, Shape, build, resnet
from gan.trainer import Labelled, Trainer

CPU = torch.device("cpu")
SEEN: list[tuple[str, float]] = []


class Counting(resnet.Generator):
    """The residual generator with a buffer of floats and one of counts, both of which move as it is trained."""

    level: Tensor
    calls: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return super().forward(z, labels)


def schedule(network: Network, share: float) -> None:
    SEEN.append((type(network).__name__, share))
    if isinstance(network, Counting) and network.training:
        network.level.fill_(share)


def small_steps(generator: Network, latents: Tensor, labels: Tensor, fake: Tensor, iteration: int) -> Tensor:
    assert latents.shape == (16, 4) and labels.shape == (16,) and fake.shape == (16, 1, 8, 8)
    return 0.5 * (generator.to_image.weight.square().sum() + iteration * 0)  # type: ignore[union-attr,operator]


def centred(critic: nn.Module, real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
    return 10 * critic(real, labels).mean().square()


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> str:
    family = Family(
        Counting, resnet.Critic, (centred,), (small_steps,), schedule, {"latent_dim": 4, "width": 4, "n_critic": 3}
    )
    monkeypatch.setitem(FAMILIES, "toy", family)
    SEEN.clear()
    return "toy"


def made(family: str, **choices: object) -> Trainer:
    images = torch.randint(0, 255, (32, 1, 8, 8), dtype=torch.uint8).numpy()
    data = Labelled(images, torch.arange(32).remainder(2).numpy(), 2)
    return Trainer.on_images(Config.of("gan", family=family, kimg=1, batch_size=16, **choices), data, 0, CPU)


def test_its_defaults_stand_below_the_recipes_and_the_users(registered: str) -> None:
    config = Config.of("gan", family=registered, kimg=1)
    assert (config.latent_dim, config.width) == (4, 4)
    assert config.n_critic == 1  # the recipe says so
    assert Config.of("gan", family=registered, kimg=1, width=9).width == 9


def test_its_terms_are_what_the_networks_minimise(registered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    with_terms, without = made(registered), None
    bare = Family(Counting, resnet.Critic, schedule=schedule, defaults=FAMILIES[registered].defaults)
    torch.manual_seed(0)
    monkeypatch.setitem(FAMILIES, registered, bare)
    without = made(registered)
    weights = with_terms.generator.to_image.weight.detach().clone()  # type: ignore[operator,union-attr]
    real = torch.from_numpy(with_terms.source._resident.numpy()[:1])  # type: ignore[attr-defined]
    assert real.shape == (1, 1, 8, 8)
    one, other = with_terms.iteration(), without.iteration()
    # the first generator step sees equal critics but for the term, whose own size is known
    expected = 0.5 * float(weights.square().sum())
    assert float(one[1] - other[1]) == pytest.approx(expected, abs=0.2)
    assert float(one[0]) > float(other[0])


def test_its_schedule_is_told_for_all_three_networks(registered: str) -> None:
    trainer = made(registered)
    trainer.iteration(0.25)
    assert SEEN == [("Counting", 0.25), ("Critic", 0.25), ("Counting", 0.25)]


def test_buffers_of_floats_are_averaged_and_others_copied(registered: str) -> None:
    trainer = made(registered)
    for share in (0.5, 0.75):
        before = copy.deepcopy(trainer.ema)
        trainer.iteration(share)
        weight = (trainer.ema.to_image.weight - before.to_image.weight) / (  # type: ignore[operator,union-attr]
            trainer.generator.to_image.weight - before.to_image.weight  # type: ignore[operator,union-attr]
        )
        moved = torch.lerp(before.level, trainer.generator.level, float(weight.detach().median()))
        assert float(trainer.ema.level) == pytest.approx(float(moved), abs=1e-3)
        assert trainer.ema.calls == trainer.generator.calls > 0


def test_a_part_that_no_family_has_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        build("resnet", "encoder", Shape(8, 1, 2, 4, 4))
