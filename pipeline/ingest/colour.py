"""From the colours that a file declares to sRGB, as a viewer with colour management shows them.

A profile in the file comes first (ICC: JPEG, PNG, WebP, TIFF, AVIF), then in PNG an ``sRGB`` chunk, then ``gAMA`` with
or without ``cHRM``. Without any of them samples are sRGB. CMYK without a profile is turned by the plain formula. What
changes no level by more than :data:`SAME` counts as sRGB and costs nothing. Profiles are applied with the perceptual
intent. Not looked at, as by most viewers: EXIF's ColorSpace, TIFF's TransferFunction, PNG's and AVIF's CICP codes.
"""

import io
import struct
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageCms

from pipeline.ingest.samples import bands

SAME = 2
"""Levels of 255: the many profiles of sRGB differ by less."""

GAMMA_THRESHOLD = 0.05
"""libpng's: a gamma that is nearer to that of sRGB makes no difference."""

LARGEST_PROFILE = 4 << 20
"""Bytes; the largest ones for offset printing have about three million."""

SRGB_PRIMARIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""x and y of white, red, green and blue, in PNG's order."""

D50 = np.array([0.9642, 1.0, 0.8249])
"""The white of profiles, XYZ."""

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

Conversion = ImageCms.ImageCmsTransform | tuple[int, ...]
"""A transform to RGB, or for grey the new level of each of the 256."""


class ProfileError(Exception):
    """The file declares colours in a way that cannot be applied to its pixels."""


def conversion(image: Image.Image) -> Conversion | None:
    """What brings the image's samples to sRGB; None where they are. The image need not be loaded.

    Raises:
        ProfileError: a profile that is damaged or made for another kind of image.
    """
    if image.mode == "LAB":
        return _of_lab()
    profile = image.info.get("icc_profile")
    if not profile:
        profile = _of_gamma(image) if image.format == "PNG" and "gamma" in image.info else None
    if not profile:
        return None
    if not isinstance(profile, bytes) or len(profile) > LARGEST_PROFILE:
        raise ProfileError("no profile, or one that is too large")
    return _conversion(profile, _kind(image.mode))


def to_srgb(image: Image.Image, by: Conversion) -> Image.Image:
    """The loaded ``image`` in sRGB: grey stays grey, RGB may be changed in place, and transparency stays."""
    if isinstance(by, tuple):
        if image.mode == "LA":
            grey, alpha = image.split()
            return Image.merge("LA", (grey.point(by), alpha))
        grey = image if image.mode == "L" else image.convert("L")
        return grey.point(by)
    if image.mode in ("CMYK", "LAB"):
        return _transformed(image, by)
    if image.mode not in ("RGB", "RGBA") or "transparency" in image.info:  # which names a colour as it is in the file
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "RGBA":
        for box in bands(image.size):
            band = image.crop(box)
            colour = _transformed(band.convert("RGB"), by)
            colour.putalpha(band.getchannel("A"))
            image.paste(colour, box)
        return image
    ImageCms.applyTransform(image, by, inPlace=True)
    return image


def _kind(mode: str) -> str:
    """The colour space, as profiles call it, of the samples that an image of this mode has in its file."""
    return "GRAY" if mode[0] in "1IFL" else "CMYK" if mode == "CMYK" else "RGB "


@lru_cache(maxsize=8)
def _conversion(profile: bytes, kind: str) -> Conversion | None:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space
        mode = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}[space]
        found = _transform(opened, mode)
    except (OSError, ImageCms.PyCMSError, KeyError, ValueError, TypeError) as error:
        raise ProfileError(str(error)) from None
    same = space != "CMYK" and _changes_little(found, mode)
    if space != kind:
        if same:
            return None
        raise ProfileError(f"a profile for {space.strip()}")
    if same:
        return None
    return tuple(_applied(found, _ramp())[0, :, 1].tolist()) if mode == "L" else found


@cache
def _of_lab() -> Conversion:
    return _transform(ImageCms.createProfile("LAB"), "LAB")


def _transform(profile: ImageCms.ImageCmsProfile | ImageCms.core.CmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    """To sRGB. What lcms prepares to be fast is exact enough for RGB alone; dark grey comes out ten levels wrong."""
    flags = {"RGB": ImageCms.Flags.NONE, "CMYK": ImageCms.Flags.HIGHRESPRECALC}.get(mode, ImageCms.Flags.NOOPTIMIZE)
    return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)


def _changes_little(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "L":
        samples = _ramp()
        expected = np.repeat(samples[..., None], 3, axis=2)
    else:
        steps = np.arange(0, 256, 15, dtype=np.uint8)
        samples = expected = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    return int(np.abs(_applied(transform, samples).astype(int) - expected).max()) <= SAME


def _ramp() -> np.ndarray:
    return np.arange(256, dtype=np.uint8)[None]


def _applied(transform: ImageCms.ImageCmsTransform, samples: np.ndarray) -> np.ndarray:
    return np.asarray(_transformed(Image.fromarray(samples), transform))


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    result = ImageCms.applyTransform(image, transform)
    assert result is not None  # it is None for what is changed in place alone
    return result


def _of_gamma(image: Image.Image) -> bytes | None:
    """A profile that says what PNG's ``gAMA`` and ``cHRM`` say; None where that is sRGB."""
    gamma = image.info["gamma"]
    primaries = image.info.get("chromaticity", SRGB_PRIMARIES)
    if "srgb" in image.info:
        return None
    if not 0.01 <= gamma <= 100:
        raise ProfileError(f"a gamma of {gamma}")
    grey = _kind(image.mode) == "GRAY"
    usual = grey or np.allclose(primaries, SRGB_PRIMARIES, rtol=0, atol=0.005)
    if usual and abs(gamma * 2.2 - 1) <= GAMMA_THRESHOLD:
        return None
    return _profile(1 / gamma, None if grey else primaries)


def _profile(exponent: float, primaries: tuple[float, ...] | None) -> bytes:
    """An ICC profile, version 2.1: grey, or RGB with these primaries, both with one exponent.

    Raises:
        ProfileError: the primaries span no colours.
    """
    curve = b"curv" + struct.pack(">III", 0, 1, round(exponent * 256) << 16)
    tags = {b"wtpt": _xyz(D50)}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for name, column in zip(b"rgb", _colorants(primaries).T, strict=True):
            tags[bytes([name]) + b"XYZ"] = _xyz(column)
            tags[bytes([name]) + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content
    space = b"GRAY" if primaries is None else b"RGB "
    sizes = struct.pack(">I4xI", start + len(body), 0x02100000)
    return (
        sizes + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28) + _xyz(D50)[8:] + bytes(48) + table + body
    )


def _xyz(values: np.ndarray) -> bytes:
    if not (np.isfinite(values).all() and np.abs(values).max() < 2**15):
        raise ProfileError("primaries that span no colours")
    return b"XYZ " + struct.pack(">4x3i", *(round(float(value) * 2**16) for value in values))


def _colorants(primaries: tuple[float, ...]) -> np.ndarray:
    """XYZ of red, green and blue in columns, with white brought to D50 by the Bradford transform."""
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = np.array(primaries).reshape(4, 2).T
            white, *colours = np.stack([x / y, np.ones(4), (1 - x - y) / y], axis=1)
            matrix = np.stack(colours, axis=1)
            matrix = matrix * np.linalg.solve(matrix, white)
            adapted = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
            return adapted @ matrix
    except (np.linalg.LinAlgError, ValueError):
        raise ProfileError("primaries that span no colours") from None
