"""Loss, penalty and drift put together, against sums that can be had by hand."""

import pytest
import torch
from torch import Tensor

from gan.config import Config
from gan.losses import LOSSES
from gan.networks import Shape, build
from gan.objective import Objective
from gan.penalties import PENALTIES, two_sided

LABELS = torch.arange(8) % 3
ALPHA = torch.rand(4, generator=torch.Generator().manual_seed(2))


def images(seed: int) -> Tensor:
    return torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


REAL, FAKE = images(0), images(1)


def critic(family: str = "resnet", minibatch_std: int = 0) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(family, "critic", Shape(8, 1, classes=3, latent_dim=4, width=8, minibatch_std=minibatch_std))


def slope_three(x: Tensor, y: Tensor) -> Tensor:
    """D(x) = 3/8 sum(x): the gradient's norm is 3 everywhere, so the two-sided penalty is 4."""
    return x.flatten(1).sum(1) * 3 / 8


def test_the_total_is_loss_and_weighted_penalty_and_drift() -> None:
    config = Config(kimg=1, penalty_weight=0.5, penalty_every=3, drift_weight=0.1)
    total, figures = Objective(config).critic(slope_three, REAL, FAKE, LABELS, ALPHA)
    real, fake = (slope_three(x, LABELS) for x in (REAL, FAKE))
    expected = fake.mean() - real.mean() + 0.5 * 3 * 4 + 0.1 * (real**2).mean()
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    found = [expected.item(), (real.mean() - fake.mean()).item(), 4.0, real.mean().item(), fake.mean().item()]
    assert figures.tolist() == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("penalty", sorted(PENALTIES))
def test_any_loss_composes_with_any_penalty(loss: str, penalty: str) -> None:
    config = Config(kimg=1, loss=loss, penalty=penalty, penalty_weight=0.7)
    network = critic()
    total, _ = Objective(config).critic(network, REAL, FAKE, LABELS, ALPHA)
    taken = PENALTIES[penalty]
    paid = 0.0 if taken is None else taken(network, REAL[:4], FAKE[:4], LABELS[:4], ALPHA).item()
    alone = LOSSES[loss].critic(network(REAL, LABELS), network(FAKE, LABELS)).item()
    assert total.item() == pytest.approx(alone + 0.7 * paid, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_lazy_penalty_has_the_same_weight_on_average(every: int) -> None:
    objective = Objective(Config(kimg=1, penalty_every=every, penalty_weight=2.0))
    paid = []
    for step in range(10):
        alpha = ALPHA if objective.penalised(step) else None
        total, figures = objective.critic(slope_three, REAL, FAKE, LABELS, alpha)
        paid.append((total + figures[1]).item())
    assert sum(amount > 1 for amount in paid) == 10 / every
    assert sum(paid) / 10 == pytest.approx(2.0 * 4, rel=1e-5)


@pytest.mark.parametrize("family", ["resnet", "dcgan"])
@pytest.mark.parametrize("minibatch_std", [0, 4])
def test_one_pass_over_both_halves_is_two_passes(family: str, minibatch_std: int) -> None:
    """No layer looks from the real images over to the fake ones, batch statistics included."""
    network = critic(family, minibatch_std)
    _, figures = Objective(Config(kimg=1)).critic(network, REAL, FAKE, LABELS, None)
    apart = network(REAL, LABELS).mean() - network(FAKE, LABELS).mean()
    assert figures[1].item() == pytest.approx(apart.item(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("penalty", sorted(PENALTIES))
def test_the_order_of_the_batch_does_not_matter(loss: str, penalty: str) -> None:
    objective, network = Objective(Config(kimg=1, loss=loss, penalty=penalty)), critic().double()
    alpha = torch.rand(8, dtype=torch.float64)
    turned = torch.randperm(8)
    one, _ = objective.critic(network, REAL.double(), FAKE.double(), LABELS, alpha)
    order = (x[turned] for x in (REAL.double(), FAKE.double(), LABELS, alpha))
    torch.testing.assert_close(one, objective.critic(network, *order)[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", ["resnet", "dcgan"])
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_autocast_keeps_the_penalty_and_moves_the_rest_by_two_hundredths_at_most(family: str, loss: str) -> None:
    """bfloat16 keeps 8 bits, 2^-8 = 0.4 % of a score; scores of fresh networks are of order 1."""
    network = critic(family)
    plain, cast = (
        Objective(Config(kimg=1, loss=loss, precision=precision)).critic(network, REAL, FAKE, LABELS, ALPHA)[1]
        for precision in ("float32", "bfloat16")
    )
    assert cast.dtype == torch.float32
    assert cast[2].item() == plain[2].item()
    assert not torch.equal(cast, plain)
    torch.testing.assert_close(cast, plain, rtol=0.01, atol=0.02)


def test_gradients_under_autocast_point_the_same_way() -> None:
    """The angle between the gradients of both precisions over all of a critic's weights: its cosine is above 0.999."""
    found = []
    for precision in ("float32", "bfloat16"):
        network = critic()
        Objective(Config(kimg=1, precision=precision)).critic(network, REAL, FAKE, LABELS, ALPHA)[0].backward()
        found.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert torch.cosine_similarity(*found, dim=0) > 0.999


def test_the_generator_alone_follows_its_loss_and_real_scores_only_where_paired() -> None:
    network = critic()
    for name, loss in LOSSES.items():
        objective = Objective(Config(kimg=1, loss=name))
        fake = FAKE.clone().requires_grad_()
        value = objective.generator(network, fake, REAL if loss.paired else None, LABELS)
        expected = loss.generator(network(FAKE, LABELS), network(REAL, LABELS))
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
        (gradient,) = torch.autograd.grad(value, fake)
        assert gradient.abs().sum() > 0


def test_the_penalty_is_taken_from_the_first_pairs_alone() -> None:
    network = critic()
    _, figures = Objective(Config(kimg=1)).critic(network, REAL, FAKE, LABELS, ALPHA[:3])
    expected = two_sided(network, REAL[:3], FAKE[:3], LABELS[:3], ALPHA[:3])
    assert figures[2].item() == pytest.approx(expected.item(), rel=1e-6)
