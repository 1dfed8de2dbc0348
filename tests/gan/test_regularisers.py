"""What options add to loss and penalty, each against a formula of its own in NumPy, and all of them in a training."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from gan.cards import without_storage
from gan.config import Config
from gan.losses import LOSSES
from gan.networks import FAMILIES, Family, Shape, build, resnet
from gan.networks.additions import scores_and_features
from gan.networks.minibatch import KERNELS, SIZE, MinibatchDiscrimination
from gan.objective import Objective
from gan.penalties import PENALTIES
from gan.regularisers import (
    History,
    ScoreAverages,
    class_weights,
    feature_matching,
    group_spectral,
    groups_of,
    mean_difference,
    squared_norm,
)
from gan.trainer import FIGURES, Trainer
from tests.gan import kinds
from tests.gan.test_trainer import CPU, bars

TINY: dict[str, Any] = {"kimg": 1, "batch_size": 16, "width": 4, "latent_dim": 4}
OPTIONS: dict[str, Any] = {
    "lecam": 0.3,
    "spectral_weight": 0.5,
    "feature_matching": 1.0,
    "historical_averaging": 0.1,
    "label_smoothing": 0.1,
    "minibatch_discrimination": 4,
    "unlabelled_below": 4,
    "latent_prior": "class",
}
OFF: dict[str, Any] = {name: type(value)() for name, value in OPTIONS.items()} | {"latent_prior": "normal"}
TOGETHER = {name: value for name, value in OPTIONS.items() if name != "unlabelled_below"}
FAMILY = pytest.mark.parametrize("family", sorted(FAMILIES))


def made(recipe: str = "gan", **choices: Any) -> Trainer:
    return Trainer.on_images(Config.of(recipe, **TINY | choices), bars(), 0, CPU)


def run(trainer: Trainer, iterations: int) -> list[Tensor]:
    return [trainer.iteration() for _ in range(iterations)]


def same(one: Trainer, other: Trainer) -> None:
    states = one.state(), other.state()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# LeCam ---------------------------------------------------------------------------------------------------------------


def test_lecam_is_the_squared_distance_to_the_other_sides_average() -> None:
    averages, real, fake = ScoreAverages(), draw(6) + 2, draw(6, seed=1) - 2
    assert averages.lecam(real, fake).item() == 0  # nothing is known yet
    history = [(2.0, -1.0), (3.0, 0.5), (1.0, -2.0)]
    for pair in history:
        averages.update(*map(torch.tensor, pair))
    weights = 0.99 ** np.arange(len(history))[::-1]
    of_real, of_fake = (weights / weights.sum()) @ np.array(history)
    r, f = real.numpy(), fake.numpy()
    expected = (np.maximum(r - of_fake, 0) ** 2).mean() + (np.maximum(of_real - f, 0) ** 2).mean()
    assert averages.lecam(real, fake).item() == pytest.approx(expected, rel=1e-4)  # averages are float32
    assert gradcheck(averages.lecam, (real.requires_grad_(), fake.requires_grad_()))


def test_averages_are_those_of_every_critic_step() -> None:
    trainer, means, gradients = made("wgan-gp", lecam=0.3), [], None
    gradients = trainer._gradients

    def noted(*batch: Any) -> Tensor:
        with torch.no_grad():
            means.append([trainer.critic(images, batch[2]).mean().item() for images in batch[:2]])
        return gradients(*batch)

    trainer._gradients = noted
    run(trainer, 2)
    expected = np.zeros(3)
    for pair in means:
        expected = 0.99 * expected + 0.01 * np.array([*pair, 1.0])
    assert len(means) == 4
    assert trainer.state()["memory/scores"].tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("loss", "penalty"), product(LOSSES, PENALTIES))
def test_lecam_is_added_to_any_loss_with_any_penalty(loss: str, penalty: str) -> None:
    torch.manual_seed(0)
    network = build("resnet", "critic", Shape(8, 1, classes=2, latent_dim=4, width=4))
    real, fake, labels = draw(4, 1, 8, 8).float(), draw(4, 1, 8, 8, seed=1).float(), torch.arange(4) % 2
    plain, held = (Objective(Config(kimg=1, loss=loss, penalty=penalty, lecam=lecam)) for lecam in (0.0, 0.3))
    assert held.averages is not None
    held.averages.update(torch.tensor(1.0), torch.tensor(-1.0))
    one, other = (each.critic(network, real, fake, labels, torch.full((2,), 0.3))[0] for each in (plain, held))
    r, f = network(real, labels), network(fake, labels)
    expected = 0.3 * ((r + 1).clamp_min(0).square().mean() + (1 - f).clamp_min(0).square().mean())
    assert (other - one).item() == pytest.approx(expected.item(), rel=1e-4)


# Grouped spectral norms ----------------------------------------------------------------------------------------------


def test_groups_are_those_of_the_papers_code() -> None:
    """Its rows and columns for the widths of its own networks."""
    assert [(groups_of(n), n // groups_of(n)) for n in (64, 96, 128, 192, 256, 384)] == [
        *((8, 8), (8, 12), (8, 16), (12, 16), (16, 16), (16, 24))
    ]


def test_the_squared_norm_is_that_of_the_singular_value_decomposition() -> None:
    matrices = torch.cat([draw(20, 4, 6), torch.zeros(1, 4, 6, dtype=torch.float64)])
    matrices[1] *= 1e-3
    matrices[2, 0] = matrices[2, 1] = 0  # of rank two
    largest = np.linalg.svd(matrices.numpy(), compute_uv=False)[:, 0] ** 2
    assert squared_norm(matrices).tolist() == pytest.approx(largest.tolist(), rel=1e-5, abs=1e-12)
    assert gradcheck(squared_norm, matrices[:3].clone().requires_grad_(), atol=1e-4)
    zero = torch.zeros(2, 3, 3, requires_grad=True)
    squared_norm(zero).sum().backward()
    assert zero.grad is not None and zero.grad.isfinite().all()


def test_rare_classes_weigh_more_as_by_their_effective_number() -> None:
    counts = np.array([100, 30, 1])
    effective = (1 - 0.99**counts) / (1 - 0.99)
    expected = (1 / effective) / (1 / effective).mean()
    assert class_weights(torch.from_numpy(counts)).tolist() == pytest.approx(expected.tolist(), rel=1e-6)


@pytest.mark.parametrize("family", ["resnet", "dcgan"])
def test_it_is_of_what_the_label_adds_to_gains_and_biases(family: str) -> None:
    torch.manual_seed(0)
    generator = build(family, "generator", Shape(16, 1, classes=3, latent_dim=5, width=4))
    weights, state = torch.tensor([0.5, 1.0, 1.5]), {k: v.numpy() for k, v in generator.state_dict().items()}
    layers = [matrix[:, 5:] for name, matrix in state.items() if name.endswith("affine.weight")]  # of the label's half
    total = 0.0
    for matrix, (row, weight) in product(layers, enumerate(weights.tolist())):
        for vector in np.split(matrix @ state["style.embed.weight"][row], 2):
            total += weight * np.linalg.norm(vector.reshape(groups_of(len(vector)), -1), ord=2) ** 2
    found = FAMILIES[family].modulations
    assert found is not None
    value = group_spectral(found(generator), weights)
    assert value.item() == pytest.approx(total / (3 * len(layers)), rel=1e-4)
    value.backward()
    assert generator.style.embed.weight.grad.abs().sum() > 0


def test_it_is_part_of_the_generators_loss_and_knows_the_classes_sizes() -> None:
    with_it, without = made(spectral_weight=0.5, balance=0.0), made(balance=0.0)
    found = with_it.objective.generator_weights(with_it.generator)
    figures = [trainer.iteration()[FIGURES.index("generator_loss")].item() for trainer in (with_it, without)]
    assert found is not None and figures[0] - figures[1] == pytest.approx(found.item(), rel=1e-3)
    assert with_it.objective.class_weights.tolist() == [1.0, 1.0]  # the bars are as many of both


# Improved GANs -------------------------------------------------------------------------------------------------------


def test_feature_matching_is_the_squared_distance_of_means_and_parts_add_up_to_it() -> None:
    fake, real = draw(6, 5).requires_grad_(), draw(6, 5, seed=1)
    expected = ((fake.detach().numpy().mean(axis=0) - real.numpy().mean(axis=0)) ** 2).sum()
    whole = feature_matching(fake, real)
    assert whole.item() == pytest.approx(expected, rel=1e-5)
    (gradient,) = torch.autograd.grad(whole, fake)
    parts = slice(0, 2), slice(2, 6)
    apart = sum(len(fake[one]) / 6 * mean_difference(fake[one], real[one]) for one in parts).detach()
    added = sum(len(fake[one]) / 6 * feature_matching(fake[one], real[one], apart) for one in parts)
    assert added.item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(torch.autograd.grad(added, fake)[0], gradient, rtol=1e-5, atol=1e-8)


@FAMILY
def test_features_are_what_the_score_is_made_of(family: str) -> None:
    """The difference of two labels' scores is their embeddings' difference times the features."""
    critic = build(family, "critic", Shape(8, 1, classes=2, latent_dim=4, width=8))
    images = draw(3, 1, 8, 8).float()
    scores, features = scores_and_features(critic, images, torch.zeros(3, dtype=torch.int64))
    other = critic(images, torch.ones(3, dtype=torch.int64))
    embed = critic.head.embed.weight * getattr(critic.head, "scale", 1.0)
    torch.testing.assert_close(other - scores, features @ (embed[1] - embed[0]), rtol=1e-4, atol=1e-5)
    assert len(critic.head._forward_pre_hooks) == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_feature_matching_stands_beside_any_loss_of_the_generator(loss: str) -> None:
    torch.manual_seed(0)
    network = build("resnet", "critic", Shape(8, 1, classes=2, latent_dim=4, width=4))
    real, fake, labels = draw(4, 1, 8, 8).float(), draw(4, 1, 8, 8, seed=1).float(), torch.arange(4) % 2
    value = Objective(Config(kimg=1, loss=loss, feature_matching=2.0)).generator(network, fake, real, labels)
    x, y = (scores_and_features(network, images, labels)[1].detach().numpy() for images in (fake, real))
    expected = LOSSES[loss].generator(network(fake, labels), network(real, labels)).item()
    assert value.item() == pytest.approx(expected + 2 * ((x.mean(0) - y.mean(0)) ** 2).sum(), rel=1e-4)


def test_history_is_the_mean_of_past_weights_and_pulls_towards_it() -> None:
    theta = draw(3, 2).requires_grad_()
    history, past = History([theta]), [theta.detach().numpy().copy()]
    for step in range(4):
        theta.grad = torch.ones_like(theta)
        away = theta.detach().numpy() - np.mean(past, axis=0)
        assert history.pull(0.3).item() == pytest.approx(0.3 * (away**2).sum(), rel=1e-5, abs=1e-12)
        assert np.allclose(theta.grad.numpy(), 1 + 0.6 * away, rtol=1e-5)
        with torch.no_grad():
            theta += draw(3, 2, seed=step + 1)
        history.update()
        past.append(theta.detach().numpy().copy())
    assert np.allclose(history.means[0].numpy(), np.mean(past, axis=0))


def test_both_networks_have_a_history() -> None:
    trainer, past = made("wgan", historical_averaging=0.1), []
    past.append([p.detach().clone() for p in trainer.generator.parameters()])
    for _ in range(3):
        trainer.iteration()
        past.append([p.detach().clone() for p in trainer.generator.parameters()])
    for number, values in enumerate(zip(*past, strict=True)):
        mean = trainer.state()[f"memory/generator/{number}"]
        torch.testing.assert_close(mean, torch.stack(values).mean(dim=0), rtol=1e-5, atol=1e-6)
    assert trainer.state()["memory/critic/count"].item() == 1 + 3 * trainer.config.n_critic


def test_smoothing_moves_the_target_of_real_images_alone() -> None:
    real, fake = draw(7), draw(7, seed=1)
    targets = torch.full_like(real, 0.9)
    expected = {
        "logistic": F.binary_cross_entropy_with_logits(real, targets)
        + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake)),
        "least_squares": (F.mse_loss(real, targets) + F.mse_loss(fake, torch.zeros_like(fake))) / 2,
    }
    for name, loss in LOSSES.items():
        assert (loss.smoothed is not None) == (name in expected)
        if loss.smoothed is None:
            with pytest.raises(ValueError, match=f"the loss {name} has no target to smooth; take logistic or least"):
                Config(kimg=1, loss=name, label_smoothing=0.1)
            continue
        assert loss.smoothed(real, fake, 0.1).item() == pytest.approx(expected[name].item(), rel=1e-12)
        assert loss.smoothed(real, fake, 0.0).item() == pytest.approx(loss.critic(real, fake).item(), rel=1e-12)
        given = Objective(Config(kimg=1, loss=name, label_smoothing=0.1, penalty="none"))
        total, _ = given.critic(lambda x, _: x, real, fake, torch.zeros(7), None)
        assert total.item() == pytest.approx(expected[name].item(), rel=1e-6)


def test_comparisons_are_the_papers_within_each_group() -> None:
    layer, h = MinibatchDiscrimination(6, group=3).double(), draw(6, 6)
    matrix = (h.numpy() @ layer.project.weight.detach().numpy().T).reshape(6, KERNELS, SIZE)
    expected = np.zeros((6, KERNELS))
    for i, j in product(range(6), range(6)):
        if i // 3 == j // 3:
            expected[i] += np.exp(-np.abs(matrix[i] - matrix[j]).sum(axis=1))
    assert np.allclose(layer.nearness(h).detach().numpy(), expected)
    assert np.allclose(layer(h).detach().numpy(), expected @ layer.score.weight.detach().numpy()[0])


def test_comparisons_can_be_differentiated_twice_for_the_penalty() -> None:
    layer, h = MinibatchDiscrimination(3, group=2).double(), draw(4, 3).requires_grad_()
    assert gradcheck(layer, h) and gradgradcheck(layer, h)


@FAMILY
def test_an_image_is_compared_with_its_group_and_no_other(family: str) -> None:
    torch.manual_seed(0)
    critic = build(family, "critic", Shape(8, 1, 2, latent_dim=4, width=8, minibatch_discrimination=4))
    images, labels = draw(8, 1, 8, 8).float(), torch.arange(8) % 2
    before = critic(images, labels)
    images[1] *= 2
    after = critic(images, labels)
    assert (before[:4] != after[:4]).all()
    assert torch.equal(before[4:], after[4:])


def test_groups_of_both_kinds_stay_whole() -> None:
    config = Config(kimg=1, batch_size=24, minibatch_std=4, minibatch_discrimination=6)
    assert config.group == 12
    with pytest.raises(ValueError, match="minibatch_discrimination: a batch of 16 does not part into groups of 5"):
        Config(kimg=1, batch_size=16, minibatch_discrimination=5)


# Latents and labels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_class_prior_begins_as_the_standard_normal_and_is_there_only_if_asked_for(kind: str) -> None:
    networks = []
    for prior in (0, 1):
        torch.manual_seed(0)
        shape = Shape(8, 1, classes=2, latent_dim=4, width=4, class_prior=prior)
        networks.append(kinds.build(kind, "generator", shape))
    plain, shifted = networks
    z, labels = draw(6, 4).float(), torch.arange(6) % 2
    assert torch.equal(plain(z, labels), shifted(z, labels))
    assert set(shifted.state_dict()) - set(plain.state_dict()) == {"prior.mean.weight", "prior.log_scale.weight"}
    mean, scale = draw(2, 4, seed=2).float(), draw(2, 4, seed=3).float().exp()
    shifted.prior.mean.weight.data, shifted.prior.log_scale.weight.data = mean, scale.log()
    for network in networks:
        network.eval()  # in training StyleGAN2 mixes in latents of its own, which go through the prior too
    expected = plain(mean[labels] + scale[labels] * z, labels)
    torch.testing.assert_close(shifted(z, labels), expected, rtol=1e-4, atol=1e-5)


def test_each_class_learns_a_prior_of_its_own() -> None:
    trainer = made("wgan-gp", latent_prior="class")
    run(trainer, 3)
    tables = [trainer.ema.prior.mean.weight, trainer.ema.prior.log_scale.weight]
    for table in tables:
        assert (table[0] != table[1]).all() and table.abs().max() > 1e-4


LABELLED = [name for name, family in FAMILIES.items() if family.leaves_labels_out and family.modulations]


@pytest.mark.parametrize("family", LABELLED)
@pytest.mark.parametrize(("size", "pixels", "unlabelled"), [(32, 8, 2), (32, 31, 3), (27, 7, 1)])
def test_low_levels_do_not_see_the_label(family: str, size: int, pixels: int, unlabelled: int) -> None:
    torch.manual_seed(0)
    generator = build(family, "generator", Shape(size, 1, 2, latent_dim=4, width=4, unlabelled=pixels))
    seen: list[list[Tensor]] = [[], []]
    layers = [*generator.blocks, generator.last_norm]
    for label in (0, 1):
        hooks = [
            layer.register_forward_pre_hook(lambda _, inputs, label=label: seen[label].append(inputs[0]))
            for layer in layers
        ]
        images = [generator(draw(2, 4).float(), torch.full((2,), label)) for _ in range(1)]
        seen[label].append(images[0])
        for hook in hooks:
            hook.remove()
    alike = [torch.equal(one, other) for one, other in zip(*seen, strict=True)]
    assert alike == [True] * (unlabelled + 1) + [False] * (len(layers) - unlabelled)


def test_low_layers_of_stylegan2_have_the_style_of_no_class() -> None:
    generator = build("stylegan2", "generator", Shape(32, 1, 2, latent_dim=4, width=4, unlabelled=8)).eval()
    z = draw(3, 4).float()
    one, other = (generator.styles(z, torch.full((3,), label)) for label in (0, 1))
    alike = [torch.equal(*layer) for layer in zip(one.unbind(1), other.unbind(1), strict=True)]
    assert alike == [True] * 3 + [False] * 5  # one layer at 4x4 and two at 8x8; two each at 16 and 32, and the image's


def test_sizes_that_leave_no_level_or_all_without_label_are_refused() -> None:
    for pixels, words in ((3, "no level"), (8, "all levels"), (500, "all levels")):
        with pytest.raises(ValueError, match=f"{pixels} leaves {words} without a label, for images of 8: take 4 to 7"):
            made(unlabelled_below=pixels)


def test_what_a_family_cannot_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "plugged", Family(resnet.Generator, resnet.Critic))
    for name in ("spectral_weight", "unlabelled_below"):
        with pytest.raises(ValueError, match=f"{name}: the family plugged has no .*; take 0"):
            Config(kimg=1, family="plugged", **{name: OPTIONS[name]})
    with pytest.raises(ValueError, match="latent_prior: class gives every level the label"):
        Config(kimg=1, latent_prior="class", unlabelled_below=4)


# In a training -------------------------------------------------------------------------------------------------------


def test_options_that_are_off_change_no_byte() -> None:
    off, plain = made("wgan-gp", **OFF), made("wgan-gp")
    assert torch.equal(torch.stack(run(off, 2)), torch.stack(run(plain, 2)))
    same(off, plain)
    assert not [name for name in plain.state() if name.startswith("memory/") or "prior" in name or "compared" in name]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_changes_what_is_trained(name: str) -> None:
    option, plain = made(**{name: OPTIONS[name]}), made()
    run(option, 2), run(plain, 2)
    for network in ("generator", "critic"):
        weights = [dict(getattr(one, network).named_parameters()) for one in (option, plain)]
        assert any(not torch.equal(weights[0][key], value) for key, value in weights[1].items()), network


@pytest.mark.parametrize(
    "choices", [TOGETHER, {"unlabelled_below": 4, "recipe": "r3", "family": "dcgan", "lecam": 0.3}]
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_that_is_resumed_ends_in_the_same_bits(choices: dict[str, Any], precision: str) -> None:
    whole, first, second = (made(**choices, precision=precision) for _ in range(3))
    assert torch.stack(run(whole, 5)).isfinite().all()
    run(first, 2), run(second, 1)  # a state of one's own must leave no trace
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    run(second, 3)
    same(whole, second)


def test_a_state_without_what_is_remembered_is_refused() -> None:
    with pytest.raises(KeyError):
        made(lecam=0.3).load_state(made().state())


@FAMILY
def test_a_card_tells_what_was_added_and_no_more(family: str) -> None:
    on = Shape(8, 1, 2, 4, 4, minibatch_discrimination=4, class_prior=1)
    for part, added in (("generator", "prior.mean.weight"), ("critic", "head.compared.project.weight")):
        network = without_storage(family, part, on)
        assert all(tensor.is_meta for tensor in network.state_dict().values())
        assert added in network.state_dict()
