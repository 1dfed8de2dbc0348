"""TIFFs of all kinds against the samples that were written into them."""

import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.ingest.decode import Decoded, Target, decode
from pipeline.sources import BadImageError
from tests.pipeline.image_files import bits, lab_in_srgb, layout, tiff

RNG = np.random.default_rng(0)
SIZE = 8
ORDERS = pytest.mark.parametrize("order", ["<", ">"])
PACKED = pytest.mark.parametrize("packed", [False, True])


def shown(data: bytes, grey_range: Any = "type", channels: Any = "auto") -> np.ndarray:
    return decode(data, Target(SIZE, channels, "crop", grey_range)).pixels


def strip(data: bytes, packed: bool) -> bytes:
    return zlib.compress(data) if packed else data


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@ORDERS
@PACKED
def test_grey_up_to_8_bits(photometric: int, depth: int, order: str, packed: bool) -> None:
    samples = RNG.integers(0, 2**depth, (SIZE, SIZE))
    tags = layout(samples.shape, photometric, depth, packed=packed)
    expected = samples * (255 // (2**depth - 1))
    expected = expected if photometric else 255 - expected
    np.testing.assert_array_equal(shown(tiff(tags, [strip(bits(samples, depth), packed)], order)), expected[None])


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize(
    ("sample", "kind", "low", "high"),
    [
        (1, "u2", 0, 65536),
        (2, "i2", -32768, 32768),
        (1, "u4", 0, 2**32),
        (2, "i4", -(2**31), 2**31),
        (3, "f4", -5, 5),
    ],
)
@ORDERS
@PACKED
def test_grey_of_more_than_8_bits(
    photometric: int, sample: int, kind: str, low: int, high: int, order: str, packed: bool
) -> None:
    if sample == 3:
        samples = RNG.uniform(low, high, (SIZE, SIZE)).astype(order + kind)
    else:
        samples = RNG.integers(low, high, (SIZE, SIZE)).astype(order + kind)
    tags = layout(samples.shape, photometric, 8 * samples.itemsize, packed=packed, sample=sample)
    levels = (samples.astype(float) - low) * 255 / (high - low)
    levels = levels if photometric else 255 - levels
    found = shown(tiff(tags, [strip(samples.tobytes(), packed)], order), (low, high))
    assert np.abs(found[0] - levels).max() <= 0.51


@pytest.mark.parametrize("photometric", [0, 1])
@ORDERS
def test_12_bits_fill_the_range_that_they_declare(photometric: int, order: str) -> None:
    samples = RNG.integers(0, 4096, (SIZE, SIZE))
    data = tiff(layout(samples.shape, photometric, 12), [bits(samples, 12)], order)
    depth = decode(data, Target(SIZE, "auto", "crop", "auto")).depth
    assert depth is not None
    assert depth.declared == (0, 4095)
    levels = samples * 255 / 4095
    assert np.abs(shown(data, (0, 4095))[0] - (levels if photometric else 255 - levels)).max() <= 0.51


@PACKED
def test_8_bits_with_a_sign_are_brought_above_zero(packed: bool) -> None:
    samples = RNG.integers(-128, 128, (SIZE, SIZE)).astype(np.int8)
    data = tiff(layout(samples.shape, 1, 8, packed=packed, sample=2), [strip(samples.tobytes(), packed)])
    np.testing.assert_array_equal(shown(data)[0], samples.astype(int) + 128)


KINDS = {"RGB": (2, 3, None), "RGBA": (2, 4, 2), "RGB and another": (2, 4, 0), "CMYK": (5, 4, None)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
@ORDERS
@PACKED
def test_colour(kind: str, depth: int, planar: int, order: str, packed: bool) -> None:
    photometric, channels, extra = KINDS[kind]
    samples = RNG.integers(0, 2**depth, (SIZE, SIZE, channels)).astype(f"{order}u{depth // 8}")
    tags = layout(samples.shape, photometric, depth, packed=packed, planar=planar)
    if extra is not None:
        tags[338] = (3, [extra])
    planes = [samples] if planar == 1 else [samples[..., channel] for channel in range(channels)]
    found = shown(tiff(tags, [strip(plane.tobytes(), packed) for plane in planes], order))
    eight = (samples.astype(int) >> (depth - 8)).astype(float)
    if kind == "RGBA":
        expected = eight[..., :3] * eight[..., 3:] / 255 + 255 - eight[..., 3:]
    elif kind == "CMYK":
        expected = 255 - np.minimum(255, eight[..., :3] * (255 - eight[..., 3:]) / 255 + eight[..., 3:])
    else:
        expected = eight[..., :3]
    assert np.abs(found.transpose(1, 2, 0) - expected).max() <= 1


def test_samples_multiplied_by_their_opacity() -> None:
    alpha = RNG.integers(1, 256, (SIZE, SIZE, 1))
    colour = RNG.integers(0, 256, (SIZE, SIZE, 3)) * alpha // 255
    samples = np.concatenate([colour, alpha], axis=2).astype(np.uint8)
    data = tiff(layout(samples.shape, 2, 8) | {338: (3, [1])}, [samples.tobytes()])
    assert np.abs(shown(data).transpose(1, 2, 0) - (colour + 255.0 - alpha)).max() <= 1
    grey = samples[..., [0, 3]]
    data = tiff(layout(grey.shape, 1, 8) | {338: (3, [1])}, [grey.tobytes()])
    assert np.abs(shown(data)[0] - (colour[..., 0] + 255.0 - alpha[..., 0])).max() <= 1


@pytest.mark.parametrize("subsampling", [1, 2])
@PACKED
def test_ycbcr(subsampling: int, packed: bool) -> None:
    luma = RNG.integers(60, 190, (SIZE, SIZE))
    blue, red = RNG.integers(100, 156, (2, SIZE // subsampling, SIZE // subsampling))
    blocks = luma.reshape(SIZE // subsampling, subsampling, -1, subsampling).transpose(0, 2, 1, 3)
    blocks = blocks.reshape(*blue.shape, -1)
    data = np.concatenate([blocks, blue[..., None], red[..., None]], axis=2).astype(np.uint8).tobytes()
    tags = layout((SIZE, SIZE, 3), 6, 8, packed=packed) | {530: (3, [subsampling] * 2)}
    large = [plane.repeat(subsampling, axis=0).repeat(subsampling, axis=1) - 128.0 for plane in (blue, red)]
    expected = [luma + 1.402 * large[1], luma - 0.344136 * large[0] - 0.714136 * large[1], luma + 1.772 * large[0]]
    assert np.abs(shown(tiff(tags, [strip(data, packed)])) - np.clip(expected, 0, 255)).max() <= 2


@ORDERS
def test_palette(order: str) -> None:
    samples = RNG.integers(0, 16, (SIZE, SIZE))
    palette = RNG.integers(0, 65536, (3, 16))
    data = tiff(layout(samples.shape, 3, 4) | {320: (3, palette.ravel().tolist())}, [bits(samples, 4)], order)
    np.testing.assert_array_equal(shown(data), palette[:, samples] >> 8)


def test_lab() -> None:
    samples = np.stack([RNG.integers(60, 200, (SIZE, SIZE)), *RNG.integers(-20, 20, (2, SIZE, SIZE))], axis=2)
    data = tiff(layout(samples.shape, 8, 8), [samples.astype(np.uint8).tobytes()])
    lightness, a, b = np.moveaxis(samples.astype(float), 2, 0)
    expected = lab_in_srgb(lightness * 100 / 255, a, b)
    assert np.abs(shown(data).transpose(1, 2, 0) - expected).max() <= 2


@pytest.mark.parametrize(("photometric", "channels", "extra"), [(1, 2, 2), (8, 3, None)])
def test_planes_that_would_be_misread_are_refused(photometric: int, channels: int, extra: int | None) -> None:
    samples = RNG.integers(0, 256, (SIZE, SIZE, channels)).astype(np.uint8)
    tags = layout(samples.shape, photometric, 8, packed=True, planar=2)
    if extra is not None:
        tags[338] = (3, [extra])
    with pytest.raises(BadImageError, match="not read"):
        shown(tiff(tags, [zlib.compress(samples[..., channel].tobytes()) for channel in range(channels)]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation: int) -> None:
    samples = RNG.integers(0, 256, (SIZE, SIZE)).astype(np.uint8)
    turned = Image.fromarray(samples)
    turned.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(turned))
    data = tiff(layout(samples.shape, 1, 8) | {274: (3, [orientation])}, [samples.tobytes()])
    np.testing.assert_array_equal(shown(data)[0], expected)


def test_what_becomes_of_a_deep_image_under_auto() -> None:
    samples = RNG.integers(0, 3000, (SIZE, 2 * SIZE)).astype(np.uint16)
    data = tiff(layout(samples.shape, 0, 16) | {340: (3, [0]), 341: (3, [4095])}, [samples.tobytes()])
    decoded = decode(data, Target(SIZE, "auto", "pad", "auto"))
    assert isinstance(decoded, Decoded)
    assert decoded.pixels.dtype == np.float32
    assert np.isnan(decoded.pixels[0, : SIZE // 4]).all()
    assert not np.isnan(decoded.pixels[0, SIZE // 4 : -SIZE // 4]).any()
    assert decoded.inverted
    assert decoded.depth == (samples.min(), samples.max(), False, (0, 4095))
