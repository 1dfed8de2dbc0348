import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torchvision.transforms.v2 import RandAugment

from gan.seeds import stream
from pipeline.classifier import augmentation
from pipeline.classifier.augmentation import OPERATIONS, augment, flip


def _images(count: int = 4, channels: int = 3, size: int = 16) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=stream(1, "test")) * 2 - 1


def test_none_changes_nothing_and_draws_nothing() -> None:
    generator, images = stream(0, "a"), _images()
    assert augment(images, "none", generator) is images
    assert flip(images, "none", generator) is images
    assert torch.equal(generator.get_state(), stream(0, "a").get_state())


@pytest.mark.parametrize("kind", ["affine", "trivial", "rand"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_in_range_and_each_has_its_own_draw(kind: augmentation.Augment, channels: int) -> None:
    images = _images(1, channels).expand(256, -1, -1, -1)
    changed = augment(images.clone(), kind, stream(0, "a"))
    assert changed.shape == images.shape
    assert changed.abs().max() <= 1
    # one in fourteen stays as it is, and at one strength the same two operations often come twice
    assert len(torch.unique(changed.flatten(1), dim=0)) > 60
    assert torch.equal(changed, augment(images.clone(), kind, stream(0, "a")))


def test_the_operations_and_their_bounds_are_those_of_torchvisions_randaugment() -> None:
    space = RandAugment._AUGMENTATION_SPACE
    assert len(OPERATIONS) == len(space)
    ends = {name: float(bounds(31, 32, 32)[-1]) for name, (bounds, signed) in space.items() if signed}
    assert augmentation.GEOMETRIC["shear_x"] == pytest.approx(ends["ShearX"])
    assert augmentation.GEOMETRIC["shift_y"] * 32 == pytest.approx(ends["TranslateY"])
    assert np.degrees(augmentation.GEOMETRIC["rotate"]) == pytest.approx(ends["Rotate"])
    assert ends["Color"] == pytest.approx(augmentation.MAX_FACTOR)
    reference_transform = RandAugment()
    assert reference_transform.num_ops == augmentation.RAND_OPERATIONS
    level = reference_transform.magnitude / (reference_transform.num_magnitude_bins - 1)
    assert level == pytest.approx(augmentation.RAND_LEVEL)


def test_trivial_leaves_one_image_in_fourteen_as_it_is_or_nearly() -> None:
    images = _images(1).expand(400, -1, -1, -1)
    changed = augment(images.clone(), "trivial", stream(0, "a"))
    same = (changed - images).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert 0.03 < same.float().mean() < 0.25


def _moved(images: torch.Tensor, **amounts: float) -> torch.Tensor:
    row = torch.zeros(len(images), 6)
    for name, amount in amounts.items():
        row[:, list(augmentation.GEOMETRIC).index(name)] = amount
    return augmentation.warp(images, augmentation._matrices(row))


def test_a_shift_of_one_eighth_moves_eight_pixels_by_one() -> None:
    images = _images(1, 1, 8)
    torch.testing.assert_close(_moved(images, shift_x=0.125)[..., :-1], images[..., 1:])
    torch.testing.assert_close(_moved(images, shift_y=-0.125)[..., 1:, :], images[..., :-1, :])


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y"])
def test_rotation_and_shear_agree_with_torchvision(name: str) -> None:
    images, amount = _images(1, 3, 32), augmentation.GEOMETRIC[name] / 2
    changed = _moved(images, **{name: amount})
    gaps = []
    for sign in (1, -1):  # which way is positive is of no matter, the draw is symmetric
        degrees = sign * float(np.degrees(amount if name == "rotate" else np.arctan(amount)))
        shear = [degrees * (name == "shear_x"), degrees * (name == "shear_y")]
        angle = degrees * (name == "rotate")
        expected = reference.affine(
            images, angle, [0, 0], 1.0, shear, interpolation=reference.InterpolationMode.BILINEAR
        )
        middle = (..., slice(10, 22), slice(10, 22))  # the borders are filled differently
        gaps.append(float((changed[middle] - expected[middle]).abs().max()))
    assert min(gaps) < 1e-4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [-1.0, -0.3, 0.6])
def test_photometric_operations_are_torchvisions(level: float, channels: int) -> None:
    pixels = torch.randint(256, (3, channels, 16, 16), generator=stream(1, "test"), dtype=torch.uint8)
    unit, factor = pixels / 255, 1 + level * 0.9
    expected = {
        "brightness": reference.adjust_brightness(unit, factor),
        "saturation": reference.adjust_saturation(unit, factor) if channels == 3 else unit,
        "contrast": reference.adjust_contrast(unit, factor),
        "sharpness": reference.adjust_sharpness(unit, factor),
        "posterise": reference.posterize(pixels, 8 - round(4 * abs(level))) / 255,
        "solarise": reference.solarize(unit, 1 - abs(level)),
        "autocontrast": reference.autocontrast(unit),
        "equalise": reference.equalize(unit),
    }
    assert set(expected) == set(augmentation.PHOTOMETRIC)
    for name, other in expected.items():
        changed = augmentation._photometric(unit, name, torch.full((3,), level)).clamp(0, 1)
        torch.testing.assert_close(changed, other, atol=1e-5, rtol=0, msg=name)


def test_each_image_gets_its_own_operation_and_strength() -> None:
    images = _images(3, 3)
    chosen = torch.tensor([OPERATIONS.index(name) for name in ("brightness", "identity", "solarise")])
    changed = augmentation._operate(images, chosen, torch.tensor([-1.0, 1.0, 0.5]))
    torch.testing.assert_close((changed[0] + 1) / 2, (images[0] + 1) / 2 * 0.1)
    torch.testing.assert_close(changed[1], images[1], atol=1e-5, rtol=0)
    assert changed[2].max() <= 1e-5


@pytest.mark.parametrize(("kind", "ways"), [("horizontal", 2), ("dihedral", 8)])
def test_each_image_is_flipped_by_itself_and_every_way_is_as_likely(kind: augmentation.Flips, ways: int) -> None:
    images = _images(1).expand(800, -1, -1, -1)
    found = flip(images, kind, stream(0, "a"))
    _, counts = torch.unique(found.flatten(1), dim=0, return_counts=True)
    assert len(counts) == ways
    assert (counts - 800 / ways).abs().max() < 4 * (800 / ways) ** 0.5
    mirrored = reference.horizontal_flip(images[0])
    share = torch.tensor([torch.equal(one, mirrored) for one in found]).float().mean()
    assert abs(float(share) - 1 / ways) < 0.06
