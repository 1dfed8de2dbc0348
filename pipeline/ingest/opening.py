"""Opening an image file without believing it: an allow-list of formats, bounded sizes, and no pixel decoded yet."""

import ctypes
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, TiffImagePlugin

from pipeline.ingest.guards import check_structure
from pipeline.sources.base import FORMATS, HEAD_BYTES, MAX_FILE_BYTES, BadImageError, Payload
from pipeline.sources.kinds import LFS, kind_of

MAX_PIXELS = 89_478_485
"""Pillow's own limit (a quarter of a GiB at three bytes): what is larger is taken for a decompression bomb."""

MOST_SCANS = 200
"""Of a progressive JPEG, each of which is decoded over the whole image; cameras and editors write about ten."""

LONGEST_DETAIL = 200

# what Pillow logs about damaged files would reach a terminal where nobody has set up logging
logging.getLogger("PIL").addHandler(logging.NullHandler())

# libtiff prints its errors, whoever calls it; Pillow's extension knows where it is
for _name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
    if _handler := getattr(ctypes.CDLL(Image.core.__file__), _name, None):
        _handler(None)

# Pillow's own reader of uncompressed TIFFs misreads planes of 16 bits and cannot read subsampled YCbCr; libtiff does
TiffImagePlugin.READ_LIBTIFF = True
# libtiff gives samples in the machine's byte order, where Pillow swaps big-endian ones again (floats, signed integers)
TiffImagePlugin.OPEN_INFO |= {
    (order, photometric, (sample,), 1, (bits,), ()): modes
    for order in (TiffImagePlugin.II, TiffImagePlugin.MM)
    for photometric in (0, 1)
    for (sample, bits), modes in {
        (1, 12): ("I;16", "I;12"),
        (1, 16): ("I;16", "I;16N"),
        (2, 16): ("I", "I;16NS"),
        (1, 32): ("I", "I;32N"),
        (2, 32): ("I", "I;32NS"),
        (3, 32): ("F", "F;32NF"),
    }.items()
}


def open_image(data: Payload) -> Image.Image:
    """The image in ``data``, its header read and its pixels not.

    Raises:
        BadImageError: not an image in one of :data:`FORMATS`, damaged, or too large.
    """
    image = data if isinstance(data, Image.Image) else _opened(data)
    width, height = image.size
    if width < 1 or height < 1:
        raise BadImageError("damaged", f"{width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise BadImageError("too large", f"{width} x {height} pixels")
    return image


@contextmanager
def quiet() -> Iterator[None]:
    """Within, Pillow's warnings do not reach the user: what matters of them comes as an error. Not for one thread."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def described(error: Exception) -> str:
    """An error of Pillow's for a person: one line, and not as long as a hostile file can make it."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= LONGEST_DETAIL else text[:LONGEST_DETAIL] + "…"


def _instead(data: bytes) -> str:
    """What a file is that is called as an image and is none; ``""`` if that cannot be told."""
    kind = kind_of("", lambda: data[:HEAD_BYTES]).reason
    remedy = {LFS: "; fetch it with `git lfs pull`", "text": ", such as a page that was downloaded in its place"}
    return "" if kind in ("", "not an image") else f"{kind}{remedy.get(kind, '')}"


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise BadImageError("empty file")
    if len(data) > MAX_FILE_BYTES:
        raise BadImageError("too large", f"more than {MAX_FILE_BYTES // 2**20} MiB")
    check_structure(data)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise BadImageError("too large", str(error)) from None
    except Image.UnidentifiedImageError:
        raise BadImageError("not an image that can be read", _instead(data)) from None
    except Exception as error:  # Pillow's plugins raise whatever a damaged file leads them to
        raise BadImageError("damaged", described(error)) from None
    if image.info.get("progressive") and data.count(b"\xff\xda") > MOST_SCANS:
        raise BadImageError("damaged", f"a JPEG of more than {MOST_SCANS} scans")
    return image
