"""How much of a source may be in memory at once: at most :data:`MOST_BYTES`, whatever the files are or claim to be.

Files and pixels have a budget each. A thread that wants to read takes what the largest file may need before it knows
its size, and gives back what it did not need; one that wants to decode takes what that image needs, so that a huge one
is decoded alone. A thread that has pixels never waits for a file, so nobody waits in a circle.

On top come what is there without any image, about 150 bytes an image of the listing, and, for each thread, up to
:data:`SMALL` that nobody asks for and :data:`LARGE` that the C library keeps.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Condition

from PIL import Image, TiffImagePlugin

from pipeline.runtime import release_freed
from pipeline.sources.base import MAX_FILE_BYTES, BadImageError

MIB = 1 << 20

READING = 2 * MAX_FILE_BYTES
"""To read one file, of a size that is not known before: an archive's member is held twice while it is put together."""

SMALL = 4 * MIB
"""Images that take less are decoded without asking."""

LARGE = 32 * MIB
"""After this much the C library is told to give freed memory back, of which it keeps some for every thread."""

FEW = SMALL // 40
"""Pixels that take less in every format."""

COPIES = {"WEBP": 3, "AVIF": 2, "PNG": 2, "TIFF": 4}
"""Of a file's bytes while it is open, as far as they are no pixels; one in other formats."""

STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
"""Bytes a pixel in Pillow's memory, by mode; four in others."""

TURNED = {"P": 8}
"""Bytes a pixel of what an image is turned into before it is shrunk, and of a mask; five in other modes."""

DECODERS = {"WEBP": 12, "AVIF": 12, "BMP": 4, "DIB": 4, "PPM": 4, "QOI": 4}
"""Bytes a pixel that decoders need beside the image that they fill, as measured; see also :func:`_beside`."""


class Held:
    """A part of a budget."""

    def __init__(self, budget: "Budget", size: int) -> None:
        self.budget, self.size = budget, size

    def shrink(self, size: int) -> None:
        """Gives back all but ``size`` bytes."""
        if size < self.size:
            self.budget.give_back(self.size - size)
            self.size = size


class Budget:
    """Bytes that threads share."""

    def __init__(self, size: int) -> None:
        self.size, self._free, self._changed = size, size, Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[Held]:
        """Waits until ``size`` bytes, up to all there are, can be had, and gives them back in the end."""
        held = Held(self, min(size, self.size))
        with self._changed:
            self._changed.wait_for(lambda: self._free >= held.size)
            self._free -= held.size
        try:
            yield held
        finally:
            if held.size >= LARGE:
                release_freed()
            self.give_back(held.size)

    def give_back(self, size: int) -> None:
        """Lets others have ``size`` bytes."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


FILES = Budget(1024 * MIB)
PIXELS = Budget(1024 * MIB)
MOST_BYTES = FILES.size + PIXELS.size


def file_bytes(image: Image.Image, data: bytes) -> int:
    """Bytes that the file takes while it is open; texts may be packed in it."""
    return COPIES.get(image.format or "", 1) * len(data) + sum(map(sys.getsizeof, image.info.values()))


def room_for(image: Image.Image, source: tuple[int, int], data: bytes) -> AbstractContextManager[Held] | None:
    """Room to decode the file ``data``, opened as ``image``, which may be a draft that is smaller than its ``source``.

    None where it needs so little that nobody asks.

    Raises:
        BadImageError: it needs more than there is.
    """
    if source[0] * source[1] <= FEW and image.format != "TIFF":  # whose strips may be of any size
        return None
    size = (STORED.get(image.mode, 4) + TURNED.get(image.mode, 5)) * image.width * image.height
    size += _beside(image, source, data)
    if size > PIXELS.size:
        raise BadImageError(
            "too large",
            f"{source[0]} x {source[1]} pixels of {image.format} take {size // MIB:,} MiB to decode, more than "
            f"{PIXELS.size // MIB:,}",
        )
    return None if size < SMALL else PIXELS.hold(size)


def _beside(image: Image.Image, source: tuple[int, int], data: bytes) -> int:
    """Bytes that the decoder needs beside the image that it fills."""
    pixels, samples = source[0] * source[1], len(image.getbands())
    if image.format in ("JPEG", "MPO"):  # two bytes a coefficient
        return 2 * samples * pixels if pixels * samples > SMALL and _in_several_scans(data) else 0
    if image.format == "JPEG2000":
        return 6 * samples * pixels
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _largest_strip(image)
    return DECODERS.get(image.format or "", 0) * pixels


def _in_several_scans(jpeg: bytes) -> bool:
    """Whether the first scan has not all there is, so that every coefficient is kept until the last."""
    components, at = 0, 2
    try:
        while (marker := jpeg[at + 1]) != 0xDA:
            if marker in (0xC0, 0xC1):
                components = jpeg[at + 9]
            elif 0xC2 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # progressive and others
                return True
            at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        return jpeg[at + 4] < components
    except IndexError:
        return True


def _largest_strip(image: TiffImagePlugin.TiffImageFile) -> int:
    """Bytes of a strip or tile, which is unpacked as a whole."""
    tags = image.tag_v2
    width = tags.get(TiffImagePlugin.TILEWIDTH, image.width)
    rows = tags.get(TiffImagePlugin.TILELENGTH, min(tags.get(TiffImagePlugin.ROWSPERSTRIP, 2**32), max(image.size)))
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) * tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    return int(width * rows * max(bits / 8, 4 if image.mode == "RGB" else 0))  # YCbCr comes with a fourth byte
