"""Every loss against a formula from elsewhere, and the direction in which it pushes scores."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gan.losses import LOSSES

REAL = torch.linspace(-2.0, 3.0, 7, dtype=torch.float64)
FAKE = torch.tensor([0.3, -1.7, 2.2, 0.0, 1.0, -0.4, 5.0], dtype=torch.float64)
ONES, ZEROS = torch.ones_like(REAL), torch.zeros_like(REAL)
BCE = F.binary_cross_entropy_with_logits

CRITIC = {
    "wasserstein": np.mean(FAKE.numpy()) - np.mean(REAL.numpy()),
    "logistic": BCE(REAL, ONES) + BCE(FAKE, ZEROS),
    "hinge": F.hinge_embedding_loss(REAL, -ONES) + F.hinge_embedding_loss(-FAKE, -ONES),
    "least_squares": (F.mse_loss(REAL, ONES) + F.mse_loss(FAKE, ZEROS)) / 2,
    "relativistic": F.soft_margin_loss(REAL - FAKE, ONES),
}
GENERATOR = {
    "wasserstein": -np.mean(FAKE.numpy()),
    "logistic": BCE(FAKE, ONES),
    "hinge": -np.mean(FAKE.numpy()),
    "least_squares": F.mse_loss(FAKE, ONES) / 2,
    "relativistic": F.soft_margin_loss(FAKE - REAL, ONES),
}
EVERY_LOSS = pytest.mark.parametrize("name", sorted(LOSSES))


@EVERY_LOSS
def test_both_parts_equal_an_independent_formula(name: str) -> None:
    assert LOSSES[name].critic(REAL, FAKE).item() == pytest.approx(float(CRITIC[name]), rel=1e-12)
    assert LOSSES[name].generator(FAKE, REAL).item() == pytest.approx(float(GENERATOR[name]), rel=1e-12)


@EVERY_LOSS
def test_critic_parts_the_scores_and_generator_raises_its_own(name: str) -> None:
    real, fake = (torch.linspace(0.1, 0.9, 5).requires_grad_() for _ in range(2))
    on_real, on_fake = torch.autograd.grad(LOSSES[name].critic(real, fake), (real, fake))
    assert (on_real < 0).all()
    assert (on_fake > 0).all()
    (on_fake,) = torch.autograd.grad(LOSSES[name].generator(fake, real.detach()), fake)
    assert (on_fake < 0).all()


@EVERY_LOSS
def test_paired_says_whether_the_generator_looks_at_real_scores(name: str) -> None:
    moved = LOSSES[name].generator(FAKE, REAL) != LOSSES[name].generator(FAKE, REAL + 1)
    assert moved.item() == LOSSES[name].paired


@EVERY_LOSS
def test_scores_far_out_give_finite_losses_and_gradients(name: str) -> None:
    def check(loss: Tensor, scores: Tensor) -> None:
        (gradient,) = torch.autograd.grad(loss, scores)
        assert loss.isfinite() and gradient.isfinite().all()

    far = torch.tensor([1e4, -1e4], requires_grad=True)
    check(LOSSES[name].critic(far, far.flip(0)), far)
    check(LOSSES[name].generator(far, far.flip(0).detach()), far)


def test_an_undecided_critic_pays_twice_log_two() -> None:
    """Goodfellow et al. 2014: at the optimum D = 1/2 everywhere, and V = -2 log 2."""
    assert LOSSES["logistic"].critic(ZEROS, ZEROS).item() == pytest.approx(2 * np.log(2))


@EVERY_LOSS
def test_a_loss_is_centred_if_its_best_scores_have_a_sign_that_says_real_or_fake(name: str) -> None:
    """What the critic learns where nothing holds it back; a loss that does not feel a common shift has no zero."""
    critic = LOSSES[name].critic
    shifted = not torch.isclose(critic(REAL + 10, FAKE + 10), critic(REAL, FAKE))
    scores = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([scores], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        critic(scores[0], scores[1]).backward()
        optimizer.step()
    real, fake = scores.flatten().tolist()
    assert LOSSES[name].centred == (shifted and real > 0.5 and fake < -0.5)
