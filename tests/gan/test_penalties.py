"""The gradient penalties, against values that can be had by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from gan.networks import Shape, build
from gan.penalties import PENALTIES, Penalty, one_sided, r1, r1_r2, r2, two_sided

SHAPE = Shape(image_size=8, channels=1, classes=3, latent_dim=4, width=4)
LABELS = torch.tensor([0, 1, 2, 0])
TAKEN = {name: penalty for name, penalty in PENALTIES.items() if penalty is not None}
EVERY_PENALTY = pytest.mark.parametrize("penalty", TAKEN.values(), ids=TAKEN)


def images(seed: int, n: int = 4) -> Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def linear(slope: float):
    """A critic whose gradient is the same vector of norm ``slope`` everywhere."""
    return lambda x, y: x.flatten(1).sum(dim=1) * slope / 8


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (two_sided, {0.0: 1.0, 0.5: 0.25, 1.0: 0.0, 3.0: 4.0}),  # (slope - 1)^2
        (one_sided, {0.0: 0.0, 0.5: 0.0, 1.0: 0.0, 3.0: 4.0}),  # the same above 1 alone
        (r1, {0.0: 0.0, 0.5: 0.125, 1.0: 0.5, 3.0: 4.5}),  # slope^2 / 2
        (r2, {0.0: 0.0, 0.5: 0.125, 1.0: 0.5, 3.0: 4.5}),
        (r1_r2, {0.0: 0.0, 0.5: 0.25, 1.0: 1.0, 3.0: 9.0}),
    ],
)
def test_what_a_linear_critic_pays_for_its_slope(penalty: Penalty, expected: dict[float, float]) -> None:
    for slope, amount in expected.items():
        paid = penalty(linear(slope), images(0), images(1), LABELS, torch.rand(4))
        assert paid.item() == pytest.approx(amount, abs=5e-6)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (two_sided, (2 * 2.5 - 1) ** 2),  # halfway between norms 3 and 2, along one line
        (one_sided, (2 * 2.5 - 1) ** 2),
        (r1, (2 * 3) ** 2 / 2),
        (r2, (2 * 2) ** 2 / 2),
        (r1_r2, (2 * 3) ** 2 / 2 + (2 * 2) ** 2 / 2),
    ],
)
def test_each_penalty_looks_where_its_paper_says(penalty: Penalty, expected: float) -> None:
    """D(x) = |x|^2 has the gradient 2 x, so that what is paid tells the norm of the image where it was taken."""
    real, fake = torch.full((1, 1, 8, 8), 3 / 8), torch.full((1, 1, 8, 8), 2 / 8)
    paid = penalty(lambda x, y: x.flatten(1).square().sum(1), real, fake, LABELS[:1], torch.full((1,), 0.5))
    assert paid.item() == pytest.approx(expected, rel=1e-5)


def test_hand_derived_value_and_its_gradient_for_a_quadratic_critic() -> None:
    # D(x) = a/2 |x|^2 has the gradient a x; at alpha 1 it is taken at the fake image, of norm r: (a r - 1)^2
    a = torch.tensor(2.0, requires_grad=True)
    fake = torch.full((1, 1, 8, 8), 0.25)  # r = sqrt(64) / 4 = 2
    penalty = two_sided(
        lambda x, y: a / 2 * x.flatten(1).square().sum(1), images(0, 1), fake, LABELS[:1], torch.ones(1)
    )
    assert penalty.item() == pytest.approx((2 * 2 - 1) ** 2, rel=1e-6)
    (slope,) = torch.autograd.grad(penalty, a)
    assert slope.item() == pytest.approx(2 * (2 * 2 - 1) * 2, rel=1e-6)  # d/da (a r - 1)^2


def test_alpha_is_one_number_an_image_and_says_where_between_real_and_fake() -> None:
    seen: list[Tensor] = []

    def critic(x: Tensor, y: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.flatten(1).sum(1)

    real, fake, alpha = images(0), images(1), torch.tensor([0.0, 0.25, 0.5, 1.0])
    two_sided(critic, real, fake, LABELS, alpha)
    for i, share in enumerate(alpha.tolist()):
        torch.testing.assert_close(seen[0][i], (1 - share) * real[i] + share * fake[i])


def test_the_norm_is_taken_image_by_image() -> None:
    # slopes 0 and 2: the mean of (0-1)^2 and (2-1)^2 is 1; a norm over the whole batch would give 0.17
    def critic(x: Tensor, y: Tensor) -> Tensor:
        return x.flatten(1).sum(1) * torch.tensor([0.0, 3.0]) / 8

    penalty = two_sided(critic, images(0, 2), images(1, 2), LABELS[:2], torch.rand(2))
    assert penalty.item() == pytest.approx(2.5, abs=5e-6)


@EVERY_PENALTY
def test_the_order_of_the_batch_does_not_matter(penalty: Penalty) -> None:
    critic = build("resnet", "critic", SHAPE)
    real, fake, alpha = images(0), images(1), torch.rand(4)
    turned = torch.tensor([2, 0, 3, 1])
    one = penalty(critic, real, fake, LABELS, alpha)
    other = penalty(critic, real[turned], fake[turned], LABELS[turned], alpha[turned])
    torch.testing.assert_close(one, other)


@EVERY_PENALTY
def test_no_nan_where_the_gradient_vanishes(penalty: Penalty) -> None:
    weight = torch.zeros(64, requires_grad=True)
    paid = penalty(lambda x, y: x.flatten(1) @ weight, images(0), images(1), LABELS, torch.rand(4))
    paid.backward()
    assert paid.item() == pytest.approx(1.0 if penalty is two_sided else 0.0, abs=1e-5)
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


@EVERY_PENALTY
def test_fakes_and_reals_receive_no_gradient_but_the_critic_does(penalty: Penalty) -> None:
    critic = build("resnet", "critic", SHAPE)
    real, fake = images(0).requires_grad_(), images(1).requires_grad_()
    # steep enough for the one-sided penalty to be due
    penalty(lambda x, y: 1000 * critic(x, y), real, fake, LABELS, torch.rand(4)).backward()
    assert real.grad is None
    assert fake.grad is None
    assert critic.blocks[0].first.weight.grad.abs().sum() > 0


@EVERY_PENALTY
def test_double_backward_is_the_derivative_of_the_penalty(penalty: Penalty) -> None:
    """``gradcheck`` of the whole penalty with respect to a critic's weights, in float64, with a smooth critic."""
    real, fake = images(0, 2).double()[:, :, :3, :3], images(1, 2).double()[:, :, :3, :3]
    alpha = torch.tensor([0.3, 0.7], dtype=torch.float64)

    def penalty_of(first: Tensor, second: Tensor) -> Tensor:
        def critic(x: Tensor, y: Tensor) -> Tensor:
            return 3 * torch.tanh(x.flatten(1) @ first) @ second

        return penalty(critic, real, fake, LABELS[:2], alpha)

    torch.manual_seed(0)
    first = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    second = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert penalty_of(first, second) > 0
    assert torch.autograd.gradcheck(penalty_of, (first, second))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_equals_an_independent_implementation_by_torch_func(share: float) -> None:
    critic = build("resnet", "critic", SHAPE)
    real, fake, alpha = images(0), images(1), torch.full((4,), share)
    x = real + share * (fake - real)
    one = torch.func.grad(lambda image, label: critic(image[None], label[None])[0])
    gradients = torch.stack([one(x[i], LABELS[i]) for i in range(4)])
    norms = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
    expected = sum((norm.item() - 1) ** 2 for norm in norms) / 4
    assert two_sided(critic, real, fake, LABELS, alpha).item() == pytest.approx(expected, rel=1e-5)


@EVERY_PENALTY
def test_it_stays_in_float32_under_autocast(penalty: Penalty) -> None:
    critic: nn.Module = build("resnet", "critic", SHAPE)
    args = (images(0), images(1), LABELS, torch.rand(4))
    plain = penalty(critic, *args)
    with torch.autocast("cpu", torch.bfloat16):
        cast = penalty(critic, *args)
    assert cast.dtype == torch.float32
    assert cast.item() == plain.item()
    assert math.isfinite(cast.item())
