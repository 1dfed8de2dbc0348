"""Differentiable augmentation: what it leaves alone, and that gradients pass."""

import pytest
import torch

from gan.augment import OPERATIONS, augment


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_no_operation_is_the_identity() -> None:
    images = torch.randn(3, 1, 8, 8)
    assert augment(images, (), draws()) is images


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_changes_images_differentiably_and_repeatably(operation: str) -> None:
    images = torch.rand(16, 3, 12, 12, generator=draws(1)).requires_grad_()
    once, again = augment(images, (operation,), draws()), augment(images, (operation,), draws())
    assert torch.equal(once, again)
    assert once.shape == images.shape
    assert not torch.allclose(once, images)
    (gradient,) = torch.autograd.grad(once.sum(), images)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("operation", ["translate", "scale", "rotate", "shear"])
def test_geometry_keeps_a_flat_image_flat(operation: str) -> None:
    flat = torch.full((8, 1, 16, 16), 0.3)
    torch.testing.assert_close(augment(flat, (operation,), draws()), flat)


def test_every_image_gets_amounts_of_its_own() -> None:
    image = torch.randn(1, 1, 16, 16, generator=draws(2)).expand(8, -1, -1, -1)
    warped = augment(image, ("translate", "rotate"), draws())
    assert len({tuple(one.flatten().tolist()) for one in warped}) == 8


def test_a_shift_moves_by_at_most_an_eighth_of_the_side() -> None:
    dot = torch.zeros(64, 1, 32, 32)
    dot[:, :, 16, 16] = 1
    moved = augment(dot, ("translate",), draws())
    centre = torch.arange(32.0)
    rows = (moved.sum(3) * centre).sum(2) / moved.sum((2, 3))
    off = (rows - 16).abs()
    assert off.max() <= 32 / 8 + 1e-3
    assert off.max() > 2  # and does use that room


def test_cutout_blanks_about_its_share() -> None:
    holes = (augment(torch.ones(256, 1, 20, 20), ("cutout",), draws()) == 0).float().mean()
    # a square of 0.4 x 0.4 whose centre may lie at the border: 0.16 at most, a part of it outside
    assert 0.08 < holes < 0.16
