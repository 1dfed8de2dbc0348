import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.ingest.decode import Target, decode
from pipeline.sources import BadImageError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (16, 16), np.uint8)
COLOUR = RNG.integers(0, 256, (16, 16, 3), np.uint8)


def saved(image: Image.Image | np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, format, **options)
    return file.getvalue()


def pixels(data: bytes, size: int = 16, channels: Any = "auto", fit: Any = "crop") -> np.ndarray:
    return decode(data, Target(size, channels, fit)).pixels


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_grey_comes_through_unchanged(format: str) -> None:
    np.testing.assert_array_equal(pixels(saved(GREY, format, lossless=True)), GREY[None])


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_colour_comes_through_unchanged(format: str) -> None:
    np.testing.assert_array_equal(pixels(saved(COLOUR, format, lossless=True)), COLOUR.transpose(2, 0, 1))


def test_channels() -> None:
    grey_as_rgb = saved(np.repeat(GREY[..., None], 3, axis=2))
    assert pixels(grey_as_rgb).shape == (1, 16, 16)
    np.testing.assert_array_equal(pixels(grey_as_rgb), pixels(saved(GREY)))
    np.testing.assert_array_equal(pixels(saved(GREY), channels="RGB"), np.repeat(GREY[None], 3, axis=0))
    np.testing.assert_array_equal(
        pixels(saved(COLOUR), channels="L")[0], np.asarray(Image.fromarray(COLOUR).convert("L"))
    )


def test_16_bit_is_scaled_by_its_range() -> None:
    values = np.array([[0, 257, 32768, 65535]] * 4, np.uint16)
    for format in ("PNG", "TIFF"):
        np.testing.assert_array_equal(pixels(saved(values, format), 4)[0, 0], [0, 1, 128, 255])


def test_32_bit_needs_a_known_range() -> None:
    np.testing.assert_array_equal(pixels(saved(np.full((4, 4), 65535, np.int32), "TIFF"), 4), np.full((1, 4, 4), 255))
    np.testing.assert_array_equal(pixels(saved(np.full((4, 4), 0.2, np.float32), "TIFF"), 4), np.full((1, 4, 4), 51))
    for values in (np.full((4, 4), 70000, np.int32), np.full((4, 4), -1, np.int32), np.full((4, 4), 1.5, np.float32)):
        with pytest.raises(BadImageError, match="no defined range"):
            pixels(saved(values, "TIFF"))


def test_transparency_lies_on_white() -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:, 2:, 3] = 255  # black, its left half transparent
    expected = np.array([[[255, 255, 0, 0]] * 4], np.uint8)
    np.testing.assert_array_equal(pixels(saved(rgba), 4), expected)
    palette = Image.fromarray((rgba[..., 3] // 255).astype(np.uint8), "L").convert("P")
    palette.putpalette([0, 255, 0, 0, 0, 0])
    np.testing.assert_array_equal(pixels(saved(palette, transparency=0), 4), expected)
    grey_alpha = Image.merge("LA", [Image.new("L", (4, 4), 0), Image.fromarray(rgba[..., 3])])
    np.testing.assert_array_equal(pixels(saved(grey_alpha), 4), expected)


def test_palette_bilevel_and_cmyk() -> None:
    palette = Image.fromarray(COLOUR).quantize(8)
    np.testing.assert_array_equal(pixels(saved(palette)), np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    np.testing.assert_array_equal(pixels(saved(Image.fromarray(GREY > 127))), (GREY > 127)[None] * np.uint8(255))
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(pixels(saved(red, "JPEG"))[:, 8, 8].astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_exif_orientation(orientation: int, fit: str) -> None:
    upright = Image.fromarray(np.add.outer(np.arange(24) * 8, np.arange(40) * 1).astype(np.uint8))
    undo = [
        None,
        *(
            Image.Transpose[name]
            for name in (
                "FLIP_LEFT_RIGHT",
                "ROTATE_180",
                "FLIP_TOP_BOTTOM",
                "TRANSPOSE",
                "ROTATE_90",
                "TRANSVERSE",
                "ROTATE_270",
            )
        ),
    ]
    turn = undo[orientation - 1]
    lying = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(saved(lying, exif=exif), Target(16, "auto", fit))
    assert (decoded.width, decoded.height) == (40, 24)
    expected = pixels(saved(upright), fit=fit)
    assert np.abs(decoded.pixels.astype(int) - expected).max() <= 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_beside_good_pixels() -> None:
    data = saved(GREY, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert pixels(data).shape == (1, 16, 16)


def test_fits() -> None:
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = 200
    np.testing.assert_array_equal(pixels(saved(wide), 4, fit="crop"), np.full((1, 4, 4), 200))
    padded = pixels(saved(np.full((4, 12), 200, np.uint8)), 12, fit="pad")[0]
    np.testing.assert_array_equal(padded[4:8], np.full((4, 12), 200))
    assert not padded[:4].any()
    assert not padded[8:].any()
    stretched = pixels(saved(wide), 12, fit="stretch")[0]
    assert stretched[0, 0] == 0
    assert stretched[6, 6] == 200


def test_fits_of_a_sliver() -> None:
    for fit in ("crop", "pad", "stretch"):
        for shape in ((1, 500), (500, 1), (1, 1)):
            assert (pixels(saved(np.full(shape, 90, np.uint8)), fit=fit) == 90).any()


def test_resizing_does_not_alias() -> None:
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(pixels(saved(stripes), 16).astype(int) - 127).max() <= 2


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_draft_mode_stays_close_to_the_full_decode(fit: str) -> None:
    y, x = np.mgrid[:410, :630] / 40
    scene = (127 + 60 * np.sin(x + np.cos(y)) + 60 * np.cos(y * 1.3)).astype(np.uint8)
    draft, full = pixels(saved(scene, "JPEG", quality=95), fit=fit), pixels(saved(scene), fit=fit)
    assert np.sqrt(((draft.astype(float) - full) ** 2).mean()) < 3, fit


def test_the_first_frame_is_taken() -> None:
    frames = [Image.new("L", (16, 16), level) for level in (50, 200)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(pixels(data), np.full((1, 16, 16), 50))


def bomb() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty file"),
    "text": (lambda: b"hello, I am a text", "not an image"),
    "cut JPEG": (lambda: saved(COLOUR, "JPEG")[:-200], "damaged"),
    "cut PNG": (lambda: saved(COLOUR)[:-300], "damaged"),
    "bomb": (bomb, "too large"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_images(kind: str) -> None:
    make, reason = BAD[kind]
    with pytest.raises(BadImageError, match=reason):
        pixels(make())


def test_an_image_below_pillows_own_error_is_refused_too() -> None:
    data = bytearray(bomb())
    data[16:24] = struct.pack(">II", 10_000, 10_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(BadImageError, match="10000 x 10000"):
        pixels(bytes(data))
