"""What a file is: an image, something that should perhaps be one, or something beside the images."""

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image

from pipeline.sources.base import FORMATS, BadImageError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".avif", ".avifs", ".qoi"),
    *(".pfm", ".tga"),
)
"""Names of images in one of :data:`FORMATS`: believed without a look inside. All other files are known by content."""

UNREAD = (
    *(".heic", ".heif", ".hif", ".jxl", ".svg", ".svgz", ".eps", ".ps", ".psd", ".dcm", ".dicom", ".nii", ".exr"),
    *(".hdr", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".ico", ".cur", ".icns"),
    *(".dds", ".sgi", ".rgb", ".ras", ".xbm", ".xpm", ".fit", ".fits", ".wmf", ".emf", ".blp", ".pcd", ".pct"),
    *(".pcx", ".xcf"),
)
"""Names of images that are not read, whatever is in the file."""

LFS = "pointer of Git LFS"

_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
_POINTER = b"version https://git-lfs.github.com/spec/"
_PPM = re.compile(rb"P[1-6fF]\s+(#[^\n]*\s+)*\d")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


class Kind(NamedTuple):
    """What one file is.

    Attributes:
        reason: why it is no image, to count by; empty for an image.
        missed: it may well be an image that somebody meant to be read: a set that loses it is poorer.
    """

    reason: str
    missed: bool


IMAGE = Kind("", False)


def kind_of(name: str, head: Callable[[], bytes] | None) -> Kind:
    """The kind of the file called ``name``: by its suffix, or by its first bytes, which ``head`` gives."""
    name = name.lower()
    if name.endswith(SUFFIXES):
        return IMAGE
    named = name.endswith(UNREAD)
    if head is None:
        return Kind("not an image", named)
    try:
        data = head()
    except BadImageError as error:
        return Kind(error.reason, True)
    if not data:
        return Kind("empty", named or "." not in name)
    if data.startswith(_POINTER):
        return Kind(LFS, True)
    text = _is_text(data)
    if image := _text_format(data) if text else _format(data):
        return IMAGE if image in FORMATS else Kind(f"{image}, which is not read", True)
    if named:
        return Kind(f"not an image, though it is called {name[name.rindex('.') :]}", True)
    return Kind("text", False) if text else Kind("not an image", True)


def _is_text(data: bytes) -> bool:
    return data.startswith((b"\xff\xfe", b"\xfe\xff")) or not _CONTROL.search(data)


def _text_format(data: bytes) -> str:
    """The format of an image that begins like a text."""
    return "PPM" if _PPM.match(data) else "EPS" if data.startswith(b"%!PS") else ""


def _format(data: bytes) -> str:
    """The image format by Pillow's own marks, without opening it; ``""`` for none."""
    if data.startswith(_JPEG_XL):
        return "JPEG XL"
    if data[4:8] == b"ftyp" and _HEIC & {data[i : i + 4] for i in range(8, len(data), 4)} and b"avif" not in data:
        return "HEIC"
    if _PPM.match(data):
        return "PPM"
    Image.init()
    for name in (*FORMATS, *sorted(set(Image.OPEN) - {*FORMATS, "CUR"})):  # CUR's mark fits many a TGA
        if name != "PPM" and (answer := _accepts(name, data[:16])):
            return name if answer is True else f"{name} in this build of Pillow"
    return ""


def _accepts(name: str, mark: bytes) -> bool | str:
    """Whether ``mark`` is that of a format of Pillow's; a text where this Pillow lacks the library for it."""
    accept = Image.OPEN[name][1]
    try:
        return accept is not None and accept(mark)
    except (IndexError, struct.error):  # too short for it
        return False
