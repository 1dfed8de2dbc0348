"""A device without room for a batch: it is taken in parts, and the gradients are those of the whole.

``Room`` is a device that has room for so many images in one pass of a network, and no more.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gan.config import Config
from gan.losses import LOSSES
from gan.networks import FAMILIES, Family, resnet, stylegan2
from gan.parts import groups, in_chunks
from gan.penalties import PENALTIES
from gan.sampler import Sampler
from gan.trainer import Trainer
from tests.gan.test_trainer import CPU, bars

TINY: dict[str, Any] = {"kimg": 1, "batch_size": 16, "width": 4, "latent_dim": 4}
EMBEDDING = torch.ops.aten.embedding.default  # of labels: once in each pass of each network


class Room(TorchDispatchMode):
    """Fails as a full GPU does at every pass of more than ``most`` images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.failed = most, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is EMBEDDING and len(args[1]) > self.most:
            self.failed += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore of it")
        return func(*args, **(kwargs or {}))


class FailingOnce(TorchDispatchMode):
    """Fails at the operation of this number."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left == 0:
            raise torch.OutOfMemoryError("no room")
        return func(*args, **(kwargs or {}))


def made(**choices: Any) -> Trainer:
    choices = TINY | choices
    return Trainer.on_images(Config.of(choices.pop("recipe", "wgan-gp"), **choices), bars(), 0, CPU)


def gradients(trainer: Trainer, network: str) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in getattr(trainer, network).parameters()])


def close(one: Tensor, other: Tensor, bound: float) -> None:
    assert float((one - other).norm() / other.norm()) <= bound


def compare(whole: Trainer, parted: Trainer, most: int, bound: float = 1e-6) -> None:
    """The critic's and the generator's steps of both, from the same weights; all that they leave."""
    critic, generator = whole._draw_critic(0), whole._draw_generator()
    close_figures = [whole._critic_step(critic)]
    with Room(most) as room:
        close_figures.append(parted._critic_step(critic))
    assert room.failed and parted.parts > 1
    torch.testing.assert_close(*close_figures, rtol=1e-5, atol=1e-6)
    close(gradients(parted, "critic"), gradients(whole, "critic"), bound)
    parted.critic.load_state_dict(whole.critic.state_dict())  # so that rounding does not go on
    close_figures = [whole._generator_step(generator)]
    with Room(most):
        close_figures.append(parted._generator_step(generator))
    torch.testing.assert_close(*close_figures, rtol=1e-5, atol=1e-6)
    close(gradients(parted, "generator"), gradients(whole, "generator"), bound)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_those_of_the_whole_for_every_loss(loss: str) -> None:
    choices = {"loss": loss, "drift_weight": 0.1}
    compare(made(**choices), made(**choices), 8)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_penalty_counts_as_in_the_whole(penalty: str) -> None:
    """On the share of the batch that it is taken on: of 16 images the first 5, in four parts 2, 1, 1 and 1."""
    choices = {"recipe": "gan", "penalty": penalty, "penalty_fraction": 0.3, "penalty_every": 2}
    pair = made(**choices), made(**choices)
    compare(*pair, 8)
    assert pair[1].parts == 4


@pytest.mark.parametrize(
    "choices",
    [
        {"packing": 2, "penalty_fraction": 1.0},
        {"minibatch_std": 4, "penalty_fraction": 0.5},
        {"packing": 2, "minibatch_std": 2, "loss": "relativistic"},
        {"batch_size": 12, "packing": 2, "minibatch_std": 2},  # three groups: two parts of two and one of them
        {"family": "dcgan", "penalty_fraction": 0.1},  # some parts without penalty
        {"minibatch_discrimination": 4, "minibatch_std": 2},
        {"lecam": 0.3, "historical_averaging": 0.1, "spectral_weight": 0.5, "unlabelled_below": 4},
        {"feature_matching": 1.0, "batch_size": 12, "packing": 2},
        {
            "unlabelled_below": 4,
            "unlabelled_weight": 0.5,
            "packing": 2,
            "loss": "relativistic",
            "penalty_fraction": 0.3,
        },
        {"unlabelled_below": 4, "unlabelled_weight": 0.5, "family": "progressive", "minibatch_std": 2},
    ],
)
def test_what_is_judged_together_stays_together(choices: dict[str, Any]) -> None:
    roots = "minibatch_std" in choices  # of variances, whose rounding is larger
    compare(made(**choices), made(**choices), 8, 3e-6 if roots else 1e-6)


def test_terms_of_a_family_count_as_in_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    family = Family(
        resnet.Generator,
        resnet.Critic,
        (lambda critic, real, fake, labels: critic(fake, labels).square().mean(),),
        (lambda generator, step: step.images.square().mean() + generator.to_image.weight.square().sum(),),
    )
    monkeypatch.setitem(FAMILIES, "termed", family)
    compare(made(family="termed"), made(family="termed"), 8)


@pytest.mark.parametrize(
    ("choices", "most"),
    [
        ({}, 8),
        ({"batch_size": 12, "packing": 2, "minibatch_std": 2}, 8),  # three groups in two parts
        ({"style": "adain"}, 8),
        ({"batch_size": 24, "minibatch_std": 8}, 16),  # the middle of the batch is in the midst of a group
    ],
)
def test_path_lengths_count_as_in_the_whole_and_their_mean_moves_once(choices: dict[str, Any], most: int) -> None:
    choices = {"family": "stylegan2", "recipe": "stylegan2"} | choices
    whole, parted = made(**choices), made(**choices)
    for one in (whole, parted):
        for layer in one.generator.convs:
            torch.nn.init.constant_(layer.noise_strength, 0.3)
    compare(whole, parted, most, 3e-6)
    known = float(whole.generator.path_length)
    assert known > 0 and float(parted.generator.path_length) == pytest.approx(known, rel=1e-6)


def test_a_mean_that_a_full_device_lost_is_not_taken_in() -> None:
    """The whole batch does not fit, and is begun anew in parts: the running mean moves once."""
    whole, parted = (made(family="stylegan2", recipe="stylegan2") for _ in range(2))
    draws = whole._draw_generator()
    whole._generator_step(draws)
    lengths = stylegan2.path_lengths(parted.generator, draws.latents[:8], draws.labels[:8])
    with pytest.MonkeyPatch.context() as patch:
        first = iter([True])

        def full(*_: Any) -> Tensor:
            if next(first, False):
                raise torch.OutOfMemoryError("no room")
            return judged(*_)

        judged = parted._with_terms
        patch.setattr(parted, "_with_terms", lambda *given: (judged(*given), full(*given))[1])
        parted._generator_step(draws)
    assert parted.parts == 2
    expected = stylegan2.PATH_DECAY * lengths.mean().item()
    for one in (whole, parted):
        assert float(one.generator.path_length) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("at", [3, 100, 250, 500, 1000])
def test_wherever_memory_runs_out_nothing_is_applied_twice(at: int) -> None:
    """Forward and backward, in the critic's steps and the generator's: what comes out is the iteration, once."""
    still = {"critic_lr": 1e-9, "generator_lr": 1e-9}  # Adam's first steps make much of a rounding
    whole, failing = made(**still), made(**still)
    expected = whole.iteration()
    draw = failing._draw()
    with pytest.MonkeyPatch.context() as patch, FailingOnce(at) as mode:
        patch.setattr(failing, "_draw", lambda: draw)
        figures = failing.iteration()
    assert mode.left <= 0 and failing.parts == 2
    torch.testing.assert_close(figures, expected, rtol=1e-4, atol=1e-5)
    for name, tensor in whole.state().items():
        torch.testing.assert_close(failing.state()[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    assert all(parameter.requires_grad for parameter in failing.critic.parameters())


def test_it_is_said_once_and_remembered() -> None:
    trainer = made()
    with Room(8):
        for _ in range(2):
            trainer.iteration()
        state = {name: tensor.clone() for name, tensor in trainer.state().items()}
        for _ in range(2):
            trainer.iteration()
    assert len(trainer.notes) == 2  # two parts were too few: real and fake images pass together
    assert "no room for a batch of 16 at once (CUDA out of memory. Tried to allocate 2.00 GiB.)" in trainer.notes[0]
    assert "in 2 parts" in trainer.notes[0] and "in 4 parts" in trainer.notes[1]
    resumed = made()
    resumed.load_state(state)
    assert resumed.parts == 4
    for _ in range(2):
        resumed.iteration()  # with room by now, and yet the same bytes
    for name, tensor in trainer.state().items():
        assert torch.equal(tensor, resumed.state()[name]), name


def test_a_whole_batch_says_nothing_of_parts() -> None:
    trainer = made()
    assert "parts" not in trainer.state()
    trainer.parts = 2
    old = made()
    trainer.load_state(old.state())  # a device that was full is spared, whatever the state says
    assert trainer.parts == 2


def test_where_not_even_one_image_fits_nothing_is_changed() -> None:
    trainer = made()
    before = {name: tensor.clone() for name, tensor in trainer.state().items()}
    with Room(0), pytest.raises(torch.OutOfMemoryError):
        trainer.iteration()
    assert trainer.parts == groups(trainer.config) == 16
    for name, tensor in trainer.state().items():
        assert name == "parts" or torch.equal(tensor, before[name]), name


def test_a_full_device_ends_the_replay_of_graphs() -> None:
    trainer = made()
    trainer._fix()
    assert trainer._fixed is not None
    with Room(8):
        trainer.iteration()
    assert trainer._fixed is None


def test_a_sampler_draws_a_block_in_halves_where_it_must() -> None:
    whole, halved = (Sampler(made().ema, 0, CPU).draw for _ in range(2))
    expected = whole(1, 0, 40)
    with Room(9) as room:
        images = halved(1, 0, 40)
    assert room.failed and int((images.int() - expected.int()).abs().max()) <= 1


@pytest.mark.parametrize(("most", "unit", "expected"), [(16, 1, [16, 4]), (6, 1, [5, 5, 5, 5]), (6, 3, [3] * 6 + [2])])
def test_chunks_are_halved_where_they_do_not_fit(most: int, unit: int, expected: list[int]) -> None:
    def work(images: Tensor) -> Tensor:
        if len(images) > most:
            raise torch.OutOfMemoryError("no room")
        return images

    made = in_chunks(work, torch.arange(20), at_once=20 if expected[0] != 16 else 16, unit=unit)
    assert [len(one) for one in made] == expected
    assert torch.equal(torch.cat(made), torch.arange(20))
    with pytest.raises(torch.OutOfMemoryError):
        in_chunks(lambda images: work(images.repeat(100)), torch.arange(20), at_once=16, unit=unit)
