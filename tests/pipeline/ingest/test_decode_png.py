"""PNGs of all kinds against the samples that were written into them."""

import struct
from typing import Any

import numpy as np
import pytest

from pipeline.ingest.decode import Target, decode
from tests.pipeline.image_files import bits, encoded, png

RNG = np.random.default_rng(0)
SIZE = 8
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


def shown(data: bytes, grey_range: Any = "type") -> np.ndarray:
    return decode(data, Target(SIZE, "auto", "crop", grey_range)).pixels


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_grey_and_its_transparent_value(depth: int) -> None:
    samples = RNG.integers(0, 2**depth, (SIZE, SIZE))
    levels = samples * (255 // (2**depth - 1))
    np.testing.assert_array_equal(shown(png(SIZE, SIZE, depth, GREY, bits(samples, depth)))[0], levels)
    key = int(samples[3, 3])
    for written in (key, key | 0x100) if depth > 1 else (key,):  # the bits above the depth do not count
        data = png(SIZE, SIZE, depth, GREY, bits(samples, depth), (b"tRNS", struct.pack(">H", written)))
        np.testing.assert_array_equal(shown(data)[0], np.where(samples == key, 255, levels))


@pytest.mark.parametrize("depth", [8, 16])
def test_rgb_and_its_transparent_colour(depth: int) -> None:
    samples = RNG.integers(0, 2**depth, (SIZE, SIZE, 3)).astype(f">u{depth // 8}")
    near = samples[0, 0].copy()
    near[2] ^= 1
    samples[0, 1] = near  # in 16 bits it has the same high bytes
    key = struct.pack(">HHH", *samples[0, 0].tolist())
    levels = (samples >> (depth - 8)).transpose(2, 0, 1)
    np.testing.assert_array_equal(shown(png(SIZE, SIZE, depth, RGB, samples.tobytes())), levels)
    levels = levels.copy()
    levels[:, 0, 0] = 255
    np.testing.assert_array_equal(shown(png(SIZE, SIZE, depth, RGB, samples.tobytes(), (b"tRNS", key))), levels)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("opacities", [[0], [255, 0], [10, 200, 0, 255], None])
def test_palette_and_its_opacities(depth: int, opacities: list[int] | None) -> None:
    samples = RNG.integers(0, 2**depth, (SIZE, SIZE))
    palette = RNG.integers(0, 256, (2**depth, 3)).astype(np.uint8)
    opacities = (opacities or [])[: 2**depth]
    chunks = [(b"PLTE", palette.tobytes())] + ([(b"tRNS", bytes(opacities))] if opacities else [])
    alpha = np.array(opacities + [255] * (2**depth - len(opacities)))[samples][..., None] / 255
    expected = palette[samples] * alpha + 255 * (1 - alpha)
    found = shown(png(SIZE, SIZE, depth, PALETTE, bits(samples, depth), *chunks))
    assert np.abs(found.transpose(1, 2, 0) - expected).max() <= 1


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", [GREY_ALPHA, RGB_ALPHA])
def test_opacity(depth: int, kind: int) -> None:
    samples = RNG.integers(0, 2**depth, (SIZE, SIZE, 2 if kind == GREY_ALPHA else 4)).astype(f">u{depth // 8}")
    eight = (samples >> (depth - 8)).astype(float)
    alpha = eight[..., -1:] / 255
    expected = eight[..., :-1] * alpha + 255 * (1 - alpha)
    assert np.abs(shown(png(SIZE, SIZE, depth, kind, samples.tobytes())).transpose(1, 2, 0) - expected).max() <= 1


def test_16_bit_grey_with_a_transparent_value_goes_by_its_type() -> None:
    samples = RNG.integers(0, 4096, (SIZE, SIZE)).astype(">u2")
    samples[0, :2] = 1000, 1001
    data = png(SIZE, SIZE, 16, GREY, samples.tobytes(), (b"tRNS", struct.pack(">H", 1000)))
    expected = np.where(samples == 1000, 255, np.rint(samples / 257))
    for grey_range in ("auto", "type"):
        np.testing.assert_array_equal(shown(data, grey_range)[0], expected)
    found = shown(data, (0, 4095))[0]
    assert np.abs(found - samples.astype(float) * 255 / 4095).max() <= 0.51  # as the user says


@pytest.mark.parametrize(("significant", "declared"), [(12, (0, 4095)), (16, None), (10, (0, 1023))])
def test_significant_bits_are_a_declaration(significant: int, declared: tuple[float, float] | None) -> None:
    samples = RNG.integers(0, 900, (SIZE, SIZE)).astype(">u2")
    data = png(SIZE, SIZE, 16, GREY, samples.tobytes(), (b"sBIT", bytes([significant])))
    depth = decode(data, Target(SIZE, "auto", "crop", "auto")).depth
    assert depth is not None
    assert depth.declared == declared


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("gamma", [1.0, 0.55])
def test_gamma_of_grey(depth: int, gamma: float) -> None:
    samples = np.linspace(0, 2**depth - 1, SIZE * SIZE).reshape(SIZE, SIZE).round().astype(f">u{depth // 8}")
    chunk = (b"gAMA", struct.pack(">I", round(gamma * 100000)))
    expected = 255 * encoded((samples / (2**depth - 1)) ** (1 / gamma))
    found = shown(png(SIZE, SIZE, depth, GREY, samples.tobytes(), chunk), "auto")
    assert np.abs(found[0] - expected).max() <= (1 if depth == 8 else 4)  # the curve has 256 points
    assert np.abs(found[0] - samples / (2**depth - 1) * 255).max() > 10


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", 45455)],
        [(b"gAMA", 100000), (b"sRGB", 0)],
        [(b"cHRM", 0)],
    ],
)
def test_what_says_srgb_or_nothing_changes_nothing(chunks: list[tuple[bytes, int]]) -> None:
    samples = RNG.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    packed = {b"gAMA": lambda v: struct.pack(">I", v), b"sRGB": lambda v: bytes([v]), b"cHRM": lambda v: CHRM}
    data = png(SIZE, SIZE, 8, RGB, samples.tobytes(), *((name, packed[name](value)) for name, value in chunks))
    np.testing.assert_array_equal(shown(data), samples.transpose(2, 0, 1))


CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)  # of Adobe RGB
