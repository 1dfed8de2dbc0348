"""Which real images the critic sees."""

import numpy as np
import pytest
import torch

import gan.real_images
from gan.pixels import to_pixels
from gan.real_images import RealImages, fetched

CPU = torch.device("cpu")


def skewed() -> tuple[np.ndarray, np.ndarray]:
    """90 images of class 0 and 10 of class 1; the pixels of image i are all i."""
    labels = np.array([0] * 60 + [1] * 10 + [0] * 30)
    images = np.broadcast_to(np.arange(100, dtype=np.uint8)[:, None, None, None], (100, 1, 8, 8)).copy()
    return images, labels


@pytest.mark.parametrize(("balance", "rare"), [(0.0, 0.10), (0.5, 0.25), (1.0, 0.50)])
def test_balance_moves_the_rare_class_from_its_share_to_an_equal_one(balance: float, rare: float) -> None:
    images, labels = skewed()
    drawn = RealImages(images, labels, 2, balance, CPU).sample_labels(20_000, torch.Generator().manual_seed(0))
    assert drawn.float().mean().item() == pytest.approx(rare, abs=0.015)


def test_images_carry_their_own_label_and_all_are_reached() -> None:
    images, labels = skewed()
    batches, draws = RealImages(images, labels, 2, 1.0, CPU), torch.Generator().manual_seed(0)
    drawn = batches.sample_labels(5000, draws)
    pixels = batches.images(batches.draw(drawn, draws))
    rows = to_pixels(pixels)[:, 0, 0, 0].numpy()
    assert (labels[rows] == drawn.numpy()).all()
    assert len(set(rows.tolist())) == 100


def test_a_set_too_large_for_the_device_gives_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = skewed()
    drawn = torch.tensor([0, 1] * 32)

    def batch() -> torch.Tensor:
        batches = RealImages(images, labels, 2, 0.5, CPU)
        return batches.images(fetched(batches, batches.draw(drawn, torch.Generator().manual_seed(3))))

    resident = batch()
    monkeypatch.setattr(gan.real_images, "RESIDENT_BYTES", 0)
    assert torch.equal(resident, batch())


def test_pixels_survive_the_way_to_the_network_and_back() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_pixels(values.float() / 127.5 - 1), values)


def test_a_class_without_images_is_refused() -> None:
    images, labels = skewed()
    with pytest.raises(ValueError, match="class 2"):
        RealImages(images, labels, 3, 0.5, CPU)


def one_corner() -> tuple[np.ndarray, np.ndarray]:
    """Images that no mirror leaves as they are; their class is the value of their lit pixel."""
    labels = np.array([0] * 9 + [1] * 3)
    images = np.zeros((12, 1, 8, 8), np.uint8)
    images[:, 0, 0, 1] = 100 + labels
    return images, labels


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(("mirror", "ways"), [("none", 1), ("horizontal", 2), ("dihedral", 8)])
def test_a_mirrored_set_holds_each_image_in_every_way_equally_often(
    mirror: str, ways: int, resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gan.real_images, "RESIDENT_BYTES", 2**31 if resident else 0)
    images, labels = one_corner()
    batches, rng = RealImages(images, labels, 2, 1.0, CPU, mirror), torch.Generator().manual_seed(0)
    drawn = batches.sample_labels(1600, rng)
    pixels = to_pixels(batches.images(fetched(batches, batches.draw(drawn, rng))))
    assert (pixels.amax(dim=(1, 2, 3)) == 100 + drawn).all()
    places, counts = torch.unique((pixels > 0).flatten(1), dim=0, return_counts=True)
    assert len(places) == ways
    assert (counts - 1600 / ways).abs().max() < 4 * (1600 / ways) ** 0.5
    if mirror == "horizontal":
        lit = {(pixels[i, 0] > 0).nonzero().flatten().tolist()[1] for i in range(len(pixels))}
        assert lit == {1, 6}


def test_without_a_mirror_the_draws_are_those_that_they_always_were() -> None:
    images, labels = skewed()
    asked, rng = torch.tensor([0, 1, 1, 0] * 8), torch.Generator().manual_seed(3)
    drawn = RealImages(images, labels, 2, 1.0, CPU).draw(asked, rng)
    uniform = torch.rand(32, generator=torch.Generator().manual_seed(3), dtype=torch.float64).numpy()
    members = [np.flatnonzero(labels == c) for c in (0, 1)]
    assert drawn.tolist() == [
        members[c][int(u * len(members[c]))] for c, u in zip(asked.tolist(), uniform, strict=True)
    ]
