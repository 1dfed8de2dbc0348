import numpy as np
import pytest
import scipy.fft
from PIL import Image

from pipeline.ingest.duplicates import perceptual_hashes, pixel_digest, to_luma
from pipeline.ingest.near import near_groups

RNG = np.random.default_rng(0)


def scene(seed: int, size: int = 64) -> np.ndarray:
    """A smooth random picture, uint8 (1, size, size)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))[None]


@pytest.mark.parametrize("size", [8, 9, 64])
def test_hashes_equal_scipys_dct(size: int) -> None:
    luma = RNG.random((20, size, size)).astype(np.float32) * 255
    low = scipy.fft.dctn(luma.astype(float), axes=(1, 2), norm="ortho")[:, :8, :8].reshape(20, 64)
    bits = low > np.median(low[:, 1:], axis=1, keepdims=True)
    expected = [int("".join(map(str, row.astype(int))), 2) for row in bits]
    assert perceptual_hashes(luma).byteswap().tolist() == expected


def test_luma_is_pillows() -> None:
    colour = RNG.integers(0, 256, (3, 16, 16), np.uint8)
    pillow = np.asarray(Image.fromarray(colour.transpose(1, 2, 0)).convert("L"))
    assert np.abs(to_luma(colour) - pillow).max() <= 0.51
    np.testing.assert_array_equal(to_luma(colour[:1]), colour[0])


def test_digests_tell_pixels_apart() -> None:
    one = scene(0)
    other = one.copy()
    other[0, 5, 5] ^= 1
    assert pixel_digest(one).tolist() == pixel_digest(one.copy()).tolist() != pixel_digest(other).tolist()


def groups(images: list[np.ndarray], bits: int = 4) -> list[int]:
    stacked = np.stack(images)
    hashes = perceptual_hashes(np.stack([to_luma(image) for image in images]))
    return near_groups(hashes, bits, lambda rows: stacked[rows]).tolist()


def test_another_exposure_and_a_little_noise_are_near() -> None:
    one, noise = scene(1), RNG.normal(0, 3, (1, 64, 64))
    darker = (one * 0.6 + 20).astype(np.uint8)
    noisy = np.clip(one + noise, 0, 255).astype(np.uint8)
    assert groups([one, scene(2), darker, scene(3), noisy]) == [0, 1, 0, 2, 0]


def test_nothing_is_near_when_turned_off() -> None:
    assert groups([scene(1), scene(1), scene(2)], bits=0) == [0, 1, 2]


def test_equal_hashes_are_not_enough() -> None:
    """Pixels decide: two pictures that share their low frequencies may differ in all else."""
    coarse = scene(4)
    fine = np.zeros((1, 64, 64), np.uint8)
    fine[:, ::2, ::2] = 130
    other = np.where(fine > 0, 255 - coarse, coarse)
    hashes = np.zeros(2, np.uint64)
    images = np.stack([coarse, other])
    assert near_groups(hashes, 4, lambda rows: images[rows]).tolist() == [0, 1]


def test_flat_images_are_not_all_near() -> None:
    images = np.stack([np.full((1, 8, 8), level, np.uint8) for level in (10, 11, 200)])
    assert near_groups(np.zeros(3, np.uint64), 4, lambda rows: images[rows]).tolist() == [0, 1, 2]


def test_colours_count() -> None:
    red, blue = np.zeros((2, 3, 64, 64), np.uint8)
    red[0], blue[2] = scene(5)[0], scene(5)[0]
    images = np.stack([red, blue])
    assert near_groups(np.zeros(2, np.uint64), 4, lambda rows: images[rows]).tolist() == [0, 1]


def test_handwritten_digits_are_hardly_ever_near(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, _ = digits
    found = near_groups(perceptual_hashes(images[:, 0].astype(np.float32)), 4, lambda rows: images[rows])
    assert np.bincount(found).max() <= 3
    assert len(np.unique(found)) >= 0.98 * len(images)
