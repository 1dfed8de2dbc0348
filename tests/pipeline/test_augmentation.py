import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference

from gan.seeds import stream
from pipeline.classifier import augmentation
from pipeline.classifier.augmentation import OPERATIONS, augment


def _images(count: int = 4, channels: int = 3, size: int = 16) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=stream(1, "test")) * 2 - 1


def test_none_changes_nothing_and_draws_nothing() -> None:
    generator, images = stream(0, "a"), _images()
    assert augment(images, "none", generator) is images
    assert torch.equal(generator.get_state(), stream(0, "a").get_state())


@pytest.mark.parametrize("kind", ["affine", "trivial"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_in_range_and_each_has_its_own_draw(kind: augmentation.Augment, channels: int) -> None:
    images = _images(1, channels).expand(256, -1, -1, -1)
    changed = augment(images.clone(), kind, stream(0, "a"))
    assert changed.shape == images.shape
    assert changed.abs().max() <= 1
    assert len(torch.unique(changed.flatten(1), dim=0)) > 150  # TrivialAugment leaves one in twelve as it is
    assert torch.equal(changed, augment(images.clone(), kind, stream(0, "a")))


def test_every_operation_occurs_and_identity_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    images = _images(1).expand(400, -1, -1, -1)
    changed = augment(images.clone(), "trivial", stream(0, "a"))
    same = (changed - images).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert 0.03 < same.float().mean() < 0.25
    assert len(OPERATIONS) == 12


def test_a_full_shift_moves_by_one_eighth_of_the_side() -> None:
    images = _images(2, 1, 8)
    strength = torch.tensor([[0.0, 0, 0, 1, 0, 0], [0, 0, 0, 0, -1, 0]])
    right, down = augmentation.warp(images, augmentation._matrices(strength))
    torch.testing.assert_close(right[:, :, :-1], images[0, :, :, 1:])
    torch.testing.assert_close(down[:, 1:], images[1, :, :-1])


def test_rotation_agrees_with_torchvision() -> None:
    images = _images(1, 3, 32)
    turned = augmentation.warp(images, augmentation._matrices(torch.tensor([[1.0, 0, 0, 0, 0, 0]])))
    angle = np.degrees(augmentation.MAX_ROTATION)
    expected = reference.rotate(images, -angle, interpolation=reference.InterpolationMode.BILINEAR)
    opposite = reference.rotate(images, angle, interpolation=reference.InterpolationMode.BILINEAR)
    # which way positive turns is of no matter, the draw is symmetric
    middle = (..., slice(8, 24), slice(8, 24))  # the borders are filled differently
    gaps = [float((turned[middle] - other[middle]).abs().max()) for other in (expected, opposite)]
    assert min(gaps) < 1e-4


@pytest.mark.parametrize("strength", [-1.0, -0.3, 0.6])
def test_photometric_operations_agree_with_torchvision(strength: float) -> None:
    grey, level = _images(3, 1), torch.full((3,), strength)
    unit, factor = (grey + 1) / 2, 2.0**strength
    expected = {
        "brightness": reference.adjust_brightness(unit, factor),
        "contrast": reference.adjust_contrast(unit, factor),
        "solarise": reference.solarize(unit, 1 - abs(strength) / 2),
        "saturation": unit,
    }
    for name, other in expected.items():
        changed = augmentation._photometric(grey, name, level).clamp(-1, 1)
        torch.testing.assert_close((changed + 1) / 2, other, atol=1e-5, rtol=0)


def test_saturation_and_sharpness_keep_what_they_should() -> None:
    colour, level = _images(2), torch.tensor([0.5, -0.5])
    saturated = augmentation._photometric(colour, "saturation", level)
    torch.testing.assert_close(saturated.mean(dim=1), colour.mean(dim=1))
    flat = torch.full((2, 3, 8, 8), 0.25)
    torch.testing.assert_close(augmentation._photometric(flat, "sharpness", level), flat)
    posterised = augmentation._photometric(colour, "posterise", torch.tensor([1.0, -1.0]))
    assert len(torch.unique(posterised)) == 4
