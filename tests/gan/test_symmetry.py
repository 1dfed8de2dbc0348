import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torch import Tensor

from gan.symmetry import SYMMETRIES, reflect


def _expected(image: Tensor, mirrored: bool, turns: int) -> Tensor:
    image = reference.horizontal_flip(image) if mirrored else image
    return reference.rotate(image, 90.0 * turns)


@pytest.mark.parametrize(("kind", "mirrorings", "turns"), [("none", 1, 1), ("horizontal", 2, 1), ("dihedral", 2, 4)])
def test_the_images_of_each_kind_are_torchvisions_flips_and_turns(kind: str, mirrorings: int, turns: int) -> None:
    image = torch.rand(3, 6, 6)
    found = reflect(image.expand(SYMMETRIES[kind], -1, -1, -1), torch.arange(SYMMETRIES[kind]))
    expected = [_expected(image, bool(m), t) for m in range(mirrorings) for t in range(turns)]
    assert len(found) == len(expected)
    assert all(any(torch.equal(one, other) for other in expected) for one in found)
    assert len(torch.unique(found.flatten(1), dim=0)) == len(expected)


def test_each_image_has_its_own_and_vertical_flips_are_among_them() -> None:
    images = torch.arange(3 * 16, dtype=torch.uint8).view(3, 1, 4, 4)
    found = reflect(images, torch.tensor([0, 2, 1]))
    assert torch.equal(found[0], images[0])
    assert torch.equal(found[1], reference.vertical_flip(images[1]))
    assert torch.equal(found[2], reference.horizontal_flip(images[2]))
