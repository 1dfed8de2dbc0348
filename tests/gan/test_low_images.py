"""Levels without a label in every family, and the second loss of the images of the largest of them."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan.cards import shape_of, sizes_of, without_storage
from gan.config import Config
from gan.losses import LOSSES
from gan.networks import Network, Shape
from gan.networks.growing import Growing
from gan.networks.low import lowered, with_low_images
from gan.objective import Objective
from gan.penalties import PENALTIES
from gan.trainer import FIGURES, Trainer
from gan.truncation import truncated
from tests.gan.kinds import KINDS, build, choices, named
from tests.gan.slopes import slope
from tests.gan.test_trainer import CPU, bars

FAMILY = pytest.mark.parametrize("family", KINDS)
TINY: dict[str, Any] = {"kimg": 1, "batch_size": 16, "width": 4, "latent_dim": 4}
ON: dict[str, Any] = {"unlabelled_below": 4, "unlabelled_weight": 1.0}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def made(recipe: str = "gan", **choices: Any) -> Trainer:
    return Trainer.on_images(Config.of(recipe, **TINY | choices), bars(), 0, CPU)


def network(family: str, part: str, size: int = 32, pixels: int = 8, **sizes: int) -> Network:
    """With weights in the place of those that begin at zero."""
    built = build(family, part, Shape(size, 1, 2, 4, 4, unlabelled=pixels, low_images=1, **sizes))
    for parameter in built.parameters():
        if not parameter.any() and parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.1)
    return built


# Where the label is --------------------------------------------------------------------------------------------------


@FAMILY
@pytest.mark.parametrize(("size", "pixels", "side"), [(32, 8, 8), (32, 31, 16), (27, 7, 7), (25, 20, 13), (8, 4, 4)])
def test_images_of_a_low_level_know_no_label_and_the_whole_ones_do(
    family: str, size: int, pixels: int, side: int
) -> None:
    generator, critic = (network(family, part, size, pixels) for part in ("generator", "critic"))
    z = torch.randn(3, 4)
    (one, low), (other, again) = (with_low_images(generator, z, torch.full((3,), label)) for label in (0, 1))
    assert low.shape == (3, 1, side, side) and low.abs().max() <= 1
    assert torch.equal(low, again) and not torch.equal(one, other)
    assert (low.std(dim=0) > 0).all()
    assert lowered(one, generator.shape).shape == low.shape
    assert critic(low, None).shape == (3,)


@FAMILY
def test_without_low_images_the_label_is_left_out_just_so(family: str) -> None:
    """What a generator makes of z, and what it learned, is the same with and without an image of the lower level."""
    both = []
    for low in (0, 1):
        torch.manual_seed(0)
        both.append(build(family, "generator", Shape(16, 1, 2, 4, 4, unlabelled=8, low_images=low)))
    z, labels = torch.randn(4, 4), torch.arange(4) % 2
    plain, more = both
    added = more.state_dict().keys() - plain.state_dict().keys()
    assert torch.equal(plain(z, labels), more(z, labels))
    assert added == {name for name in added if "low" in name}


@pytest.mark.parametrize("family", ["progressive", "r3"])
def test_the_label_comes_in_at_the_first_level_that_has_one(family: str) -> None:
    """In families whose label is otherwise at the coarsest level alone."""
    generator, z, seen = network(family, "generator", 32, 8), torch.randn(2, 4), []
    for entry in generator.entries:
        entry.register_forward_hook(lambda _, inputs, made: seen.extend([inputs[0], made]))
    for label in (0, 1):
        generator(z, torch.full((2,), label))
    assert len(generator.entries) == 2  # of levels of 4, 8, 16 and 32 pixels
    alike = [torch.equal(*pair) for pair in zip(seen[:4], seen[4:], strict=True)]
    assert alike == [True, False, False, False]


def test_truncation_draws_both_styles_of_a_grown_network_to_their_middles() -> None:
    generator = network("progressive", "generator").eval()
    z = torch.randn(4, 4)
    labels = torch.arange(4) % 2
    near = truncated(generator, 1e-5)(z, labels)
    for label in (0, 1):
        alike = near[labels == label]
        torch.testing.assert_close(alike[0], alike[1], atol=0.01, rtol=0)
    assert (near[0] - near[1]).abs().max() > 0.02


@pytest.mark.parametrize("levels", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_until_a_low_level_has_grown_its_images_are_those_that_there_are(levels: float) -> None:
    generator, critic = network("progressive", "generator", 16, 8), network("progressive", "critic", 16, 8)
    for each in (generator, critic):
        assert isinstance(each, Growing)
        each.grow(levels)
    z, labels = torch.randn(2, 4), torch.arange(2)
    with torch.no_grad():
        whole, low = with_low_images(generator, z, labels)
    if levels <= 1:
        torch.testing.assert_close(whole, F.interpolate(low, scale_factor=2.0))
    elif levels < 2:
        assert not torch.allclose(whole, F.interpolate(low, scale_factor=2.0), atol=1e-3)
    used = {name for name, _ in critic.in_use()}
    (critic(whole, labels).sum() + critic(low, None).sum()).backward()
    assert used == {name for name, parameter in critic.named_parameters() if parameter.grad is not None}


# What no layer may look at -------------------------------------------------------------------------------------------


@FAMILY
def test_an_image_does_not_see_the_others_of_its_batch(family: str) -> None:
    generator, critic = (network(family, part, 16, 8) for part in ("generator", "critic"))
    z, labels, others = torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 1]), [0, 1, 3, 4]
    low = with_low_images(generator, z, labels)[1]
    scores = critic(low, None)
    z[2] += 1
    changed = with_low_images(generator, z, labels)[1]
    assert torch.equal(low[others], changed[others]) and not torch.equal(low[2], changed[2])
    low = low.detach().clone()
    low[2] += 1
    after = critic(low, None)
    assert torch.equal(scores[others], after[others]) and scores[2] != after[2]


@FAMILY
@pytest.mark.parametrize("penalty", ["two_sided", "r1_r2"])
def test_the_penalties_second_derivatives_are_right_in_float64(family: str, penalty: str) -> None:
    critic = network(family, "critic", 8, 4).double()
    real, fake = torch.randn(2, 4, 1, 4, 4).double()
    labels, alpha = torch.zeros(4, dtype=torch.int64), torch.linspace(0, 1, 4).double()
    taken = PENALTIES[penalty]
    assert taken is not None

    def value() -> Tensor:
        return taken(lambda x, _: 30 * critic(x, None), real, fake, labels, alpha)

    found, expected = slope(value, list(critic.parameters()))
    assert found == pytest.approx(expected, rel=1e-4) and expected != 0


# The loss ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("penalty", ["two_sided", "r1"])
def test_both_losses_are_weighed_to_one(loss: str, penalty: str) -> None:
    critic = network("dcgan", "critic", 16, 8)
    real, fake, labels = torch.randn(4, 1, 16, 16), torch.randn(4, 1, 16, 16), torch.arange(4) % 2
    low = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8)
    config = Config(
        kimg=1,
        family="dcgan",
        loss=loss,
        penalty=penalty,
        drift_weight=0.1,
        lecam=0.1,
        unlabelled_below=8,
        unlabelled_weight=0.5,
    )
    objective, alpha = Objective(config), torch.linspace(0, 1, 2)
    plain = Objective(Config(kimg=1, family="dcgan", loss=loss, penalty=penalty, drift_weight=0.1, lecam=0.1))
    taken = PENALTIES[penalty]
    assert taken is not None
    r, f = critic(low[0], None), critic(low[1], None)
    of_low = LOSSES[loss].critic(r, f) + 0.1 * r.square().mean()
    of_low = of_low + config.penalty_weight * taken(
        lambda x, _: critic(x, None), low[0][:2], low[1][:2], labels[:2], alpha
    )
    of_whole, known = plain.critic(critic, real, fake, labels, alpha)
    total, figures = objective.critic(critic, real, fake, labels, alpha, low=low)
    assert total.item() == pytest.approx(((of_whole + 0.5 * of_low) / 1.5).item(), rel=1e-4)
    assert torch.equal(figures[1:], known[1:])  # gap, penalty and scores are those of the whole images
    generated = objective.generator(critic, fake, real, labels, low=low)
    expected = plain.generator(critic, fake, real, labels) + 0.5 * LOSSES[loss].generator(f, r)
    assert generated.item() == pytest.approx((expected / 1.5).item(), rel=1e-4)


def test_both_networks_see_real_images_made_smaller_and_augmented_alike() -> None:
    trainer = made("wgan-gp", **ON, augment=("brightness",))
    seen: list[Any] = []
    gradients = trainer._gradients
    trainer._gradients = lambda *batch: (seen.append(batch), gradients(*batch))[1]
    trainer.iteration()
    for real, _, _, _, low in seen:
        assert low is not None and low[0].shape == low[1].shape == (16, 1, 4, 4)
        torch.testing.assert_close(F.avg_pool2d(real, 2), low[0])  # brightness and means change places freely


@FAMILY
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_that_is_resumed_ends_in_the_same_bits(family: str, precision: str) -> None:
    chosen = {**choices(family), "precision": precision, "n_critic": 1, **ON}
    whole, first, second = (made("wgan-gp", **chosen) for _ in range(3))
    figures = torch.stack([whole.iteration() for _ in range(4)])
    first.iteration(), first.iteration(), second.iteration()
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    second.iteration(), second.iteration()
    assert figures.isfinite().all()
    for name, tensor in whole.state().items():
        assert torch.equal(tensor, second.state()[name]), name
    learnt = dict(made("wgan-gp", **chosen).critic.named_parameters())
    for name, parameter in whole.critic.named_parameters():
        if "low" in name and parameter.dim() > 1:
            assert not torch.equal(parameter, learnt[name]), name


def test_the_compiled_step_equals_the_eager_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_with = torch.compile
    monkeypatch.setattr("torch.compile", lambda f, **options: compile_with(f, backend="eager", **options))
    eager, compiled = (made(**ON, family="dcgan", compiled=choice) for choice in (False, True))
    torch.testing.assert_close(compiled.iteration(), eager.iteration(), rtol=1e-3, atol=1e-4)
    assert not [note for note in compiled.notes if "compiled" in note]


def test_it_costs_nothing_and_is_nowhere_where_it_is_off() -> None:
    off, plain = (made("wgan-gp", **choices) for choices in ({"unlabelled_weight": 0.0}, {}))
    assert torch.equal(off.iteration(), plain.iteration())
    assert off.state().keys() == plain.state().keys()
    assert not [name for name in plain.state() if "low" in name or "entries" in name]
    assert "low_images" not in sizes_of(made(unlabelled_below=4).generator.shape)
    assert sizes_of(made(**ON).critic.shape)["low_images"] == 1


def test_the_generator_learns_by_it() -> None:
    loss = FIGURES.index("generator_loss")
    one, other = made(**ON, critic_lr=1e-30), made(**ON | {"unlabelled_weight": 3.0}, critic_lr=1e-30)
    assert one.iteration()[loss] != other.iteration()[loss]
    one.generator.zero_grad()
    low = with_low_images(one.generator, torch.randn(4, 4), torch.zeros(4).long())[1]
    one.critic(low, None).sum().backward()
    grad = one.generator.style.embed.weight.grad
    assert grad is None or not grad.any()  # no label is part of it
    assert one.generator.to_low_image.weight.grad.any() and one.generator.stem.weight.grad.any()


@FAMILY
def test_a_card_tells_of_it(family: str) -> None:
    family, shape = named(family, Shape(16, 1, 2, 4, 4, unlabelled=8, low_images=1))
    added = set()
    for part in ("generator", "critic"):
        names = without_storage(family, part, shape).state_dict().keys()
        added |= names - without_storage(family, part, replace(shape, low_images=0)).state_dict().keys()
    assert {name for name in added if name.startswith("low_score")}


@pytest.mark.parametrize("pixels", [0, 3, 16, 2**31 - 1])
def test_a_card_with_images_of_no_such_level_is_refused(pixels: int, tmp_path: Path) -> None:
    sizes = {**asdict(Shape(16, 1, 2, 4, 4)), "unlabelled": pixels, "low_images": 1}
    with pytest.raises(ValueError, match=r"card\.json: shape\.low_images: of no level"):
        shape_of({"shape": sizes}, tmp_path / "card.json")
    assert shape_of({"shape": sizes | {"unlabelled": 8}}, tmp_path).low == 1


def test_a_weight_for_levels_that_all_have_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match="unlabelled_weight: without unlabelled_below every level has a label"):
        Config(kimg=1, unlabelled_weight=1.0)
