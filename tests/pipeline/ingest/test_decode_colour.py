"""Colours that a file declares, against the formulas of their profiles."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.ingest.decode import NO_PROFILE, Target, decode
from tests.pipeline.image_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    cmyk_profile,
    encoded,
    in_srgb,
    lab_in_srgb,
    png,
    profile,
    saved,
)

RNG = np.random.default_rng(0)
SIZE = 16
COLOURS = RNG.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
GREYS = np.arange(256, dtype=np.uint8).reshape(SIZE, SIZE)
WIDE = {"adobe": (563 / 256, ADOBE_RGB), "p3": (2.2, DISPLAY_P3), "linear": (1.0, SRGB)}


def shown(data: bytes, channels: Any = "auto") -> np.ndarray:
    return decode(data, Target(SIZE, channels, "crop")).pixels.transpose(1, 2, 0).astype(float)


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_a_profile_of_rgb_is_applied(name: str, format: str) -> None:
    expected = in_srgb(COLOURS, *WIDE[name])
    found = shown(saved(COLOURS, format, icc_profile=profile(*WIDE[name]), **LOSSLESS.get(format, {})))
    assert np.abs(found - COLOURS).max() > 20
    assert np.abs(found - expected).max() <= 3  # of which lcms makes two


LOSSLESS: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}}


@pytest.mark.parametrize("format", ["JPEG", "AVIF"])
def test_so_it_is_in_formats_that_lose_a_little(format: str) -> None:
    image = Image.new("RGB", (SIZE, SIZE), (90, 140, 60))
    found = shown(saved(image, format, icc_profile=profile(*WIDE["p3"]), quality=100))
    assert np.abs(found - in_srgb(np.array([90, 140, 60]), *WIDE["p3"])).max() <= 6


@pytest.mark.parametrize("channels", ["auto", "RGB", "L"])
@pytest.mark.parametrize("exponent", [1.0, 1.8])
def test_a_profile_of_grey_is_applied(channels: str, exponent: float) -> None:
    expected = 255 * encoded((GREYS / 255) ** exponent)
    found = shown(saved(GREYS, icc_profile=profile(exponent, None)), channels)
    assert found.shape[2] == (3 if channels == "RGB" else 1)
    assert np.abs(found - expected[..., None]).max() <= 1.5


def test_grey_is_made_of_the_colours_that_are_shown() -> None:
    expected = Image.fromarray(shown(saved(COLOURS, icc_profile=profile(*WIDE["p3"]))).astype(np.uint8)).convert("L")
    found = shown(saved(COLOURS, icc_profile=profile(*WIDE["p3"])), "L")
    np.testing.assert_array_equal(found[..., 0], np.asarray(expected))
    whole = saved(COLOURS, "JPEG", icc_profile=profile(*WIDE["p3"]), quality=95)
    found, colour = shown(whole, "L"), Image.fromarray(shown(whole).astype(np.uint8)).convert("L")
    np.testing.assert_array_equal(found[..., 0], np.asarray(colour))


def test_transparency_and_palettes_keep_their_place() -> None:
    alpha = RNG.integers(0, 256, (SIZE, SIZE, 1)).astype(np.uint8)
    colours = in_srgb(COLOURS, *WIDE["p3"])
    expected = colours * (alpha / 255) + 255.0 - alpha
    data = saved(np.concatenate([COLOURS, alpha], axis=2), icc_profile=profile(*WIDE["p3"]))
    assert np.abs(shown(data) - expected).max() <= 4
    palette = Image.fromarray(COLOURS).quantize(16)
    expected = in_srgb(np.asarray(palette.convert("RGB")), *WIDE["p3"])
    expected[np.asarray(palette) == 3] = 255
    found = shown(saved(palette, icc_profile=profile(*WIDE["p3"]), transparency=3))
    assert np.abs(found - expected).max() <= 3
    greys = np.stack([GREYS, alpha[..., 0]], axis=2)
    expected = 255 * encoded(GREYS[..., None] / 255) * (alpha / 255) + 255.0 - alpha
    assert np.abs(shown(saved(Image.fromarray(greys, "LA"), icc_profile=profile(1.0, None))) - expected).max() <= 2


def test_a_profile_of_cmyk_is_applied() -> None:
    nodes = np.column_stack([RNG.integers(60, 220, 16), *RNG.integers(118, 139, (2, 16))]).astype(np.uint8)
    nodes[0], nodes[-1] = (255, 128, 128), (0, 128, 128)  # paper is white and all inks are black, as viewers take them
    corners = np.indices((2, 2, 2, 2)).reshape(4, 16).T * 255
    image = Image.fromarray(np.repeat(corners[None], 16, axis=0).astype(np.uint8), "CMYK")
    found = shown(saved(image, "TIFF", icc_profile=cmyk_profile(nodes)))
    lightness, a, b = nodes.T.astype(float)
    assert np.abs(found - lab_in_srgb(lightness / 2.55, a - 128, b - 128)).max() <= 3
    assert np.abs(found - shown(saved(image, "TIFF"))).max() > 30


def test_gamma_and_primaries_of_png() -> None:
    gamma = struct.pack(">I", 45455)
    white, colours = (0.3127, 0.3290), DISPLAY_P3
    primaries = struct.pack(">8I", *(round(value * 100000) for point in (white, *colours) for value in point))
    data = png(SIZE, SIZE, 8, 2, COLOURS.tobytes(), (b"gAMA", gamma), (b"cHRM", primaries))
    assert np.abs(shown(data) - in_srgb(COLOURS, 2.2, DISPLAY_P3)).max() <= 3
    linear = png(SIZE, SIZE, 8, 2, COLOURS.tobytes(), (b"gAMA", struct.pack(">I", 100000)))
    assert np.abs(shown(linear) - in_srgb(COLOURS, 1.0, SRGB)).max() <= 3


def test_the_profile_comes_before_the_gamma() -> None:
    packed = saved(COLOURS, icc_profile=profile(*WIDE["p3"]))
    at = packed.index(b"iCCP") - 4
    gamma = b"\0\0\0\4gAMA" + struct.pack(">I", 100000)
    gamma += struct.pack(">I", __import__("zlib").crc32(gamma[4:]))
    np.testing.assert_array_equal(shown(packed[:at] + gamma + packed[at:]), shown(packed))


SAME = {
    "lcms": lambda: ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "none": lambda: None,
    "of another kind": lambda: profile(2.2, None),
    "damaged": lambda: profile(1.0, SRGB)[:300],
    "no profile at all": lambda: b"profile" * 100,
    "too large": lambda: profile(1.0, SRGB) + bytes(5 << 20),
}


@pytest.mark.parametrize("name", SAME)
def test_what_changes_nothing_is_left_alone_and_what_cannot_be_applied_is_said(name: str) -> None:
    data = saved(COLOURS, "TIFF", icc_profile=SAME[name]())
    decoded = decode(data, Target(SIZE, "auto", "crop"))
    np.testing.assert_array_equal(decoded.pixels, COLOURS.transpose(2, 0, 1))
    assert decoded.passed == ({} if name in ("lcms", "none") else {NO_PROFILE: 1})


def test_a_profile_of_rgb_in_grey_is_nothing_to_speak_of_if_it_is_srgb() -> None:
    for of, passed in ((SAME["lcms"](), {}), (profile(*WIDE["p3"]), {NO_PROFILE: 1})):
        decoded = decode(saved(GREYS, icc_profile=of), Target(SIZE, "auto", "crop"))
        np.testing.assert_array_equal(decoded.pixels[0], GREYS)
        assert decoded.passed == passed


@pytest.mark.parametrize("gamma", [0, 1, 2**31 - 1])
@pytest.mark.parametrize("primaries", [bytes(32), struct.pack(">8I", *[2**31] * 8), struct.pack(">8I", *[33333] * 8)])
def test_senseless_gamma_and_primaries_are_said_and_not_applied(gamma: int, primaries: bytes) -> None:
    data = png(SIZE, SIZE, 8, 2, COLOURS.tobytes(), (b"gAMA", struct.pack(">I", gamma)), (b"cHRM", primaries))
    decoded = decode(data, Target(SIZE, "auto", "crop"))
    np.testing.assert_array_equal(decoded.pixels, COLOURS.transpose(2, 0, 1))
    assert decoded.passed == {NO_PROFILE: 1}


def test_a_profile_costs_nothing_to_images_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("asked for")

    monkeypatch.setattr("pipeline.ingest.colour._conversion", never)
    np.testing.assert_array_equal(shown(saved(GREYS))[..., 0], GREYS)
    np.testing.assert_array_equal(shown(saved(COLOURS)), COLOURS)
