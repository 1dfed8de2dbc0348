"""Files whose structure alone would take Pillow gigabytes or minutes: refused before it parses them.

Pillow bounds the pixels. What comes before the pixels it takes as it is, and a number in it becomes an object of 30
bytes. A file of :data:`SMALL` cannot do harm with that, so only larger ones are looked at.
"""

import struct
from collections.abc import Iterator

from pipeline.sources.base import BadImageError

SMALL = 1 << 20

MOST_PARTS = 10_000
"""Chunks of a PNG or segments of a JPEG, beside one for each KiB; images have a few dozen, or one for each 8 KiB."""

LARGEST_PART = 16 << 20
"""Bytes of a PNG's chunk that is no pixels: a profile, a text, a preview."""

MOST_VALUES = 200_000
"""Numbers in a field of a TIFF or of Exif that is read; the longest, a palette of 16 bits, has 196,608."""

MOST_FIELDS = 65_535
MOST_EXIF = 64
"""Segments of 64 KiB that a JPEG's Exif is spread over."""

EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965
READ = {
    *(254, 256, 257, 258, 259, 262, 266, 274, 277, 278, 282, 283, 284, 296, 320, 322, 323, 338, 339, 340, 341, 530),
    *(532, EXIF, GPS, INTEROPERABILITY, 48129),
}
"""Fields of a TIFF that Pillow turns into numbers; the places of the strips, which may be many, are libtiff's."""

LARGEST_FIELDS = 60 << 20
"""Bytes of all fields of a TIFF, of which Pillow makes three copies."""

LARGEST_AVIF = 32 << 20
"""Bytes of an AVIF: any part of it may be Exif, which is turned into numbers."""

LARGEST_WEBP = 128 << 20
"""Bytes of a WebP, which is copied twice."""

LARGEST_BLOCKS = 1 << 20
"""Of a GIF's extensions before its first image, up to 255 bytes each."""

BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Of a value, by the type of its field."""

TEXTS = {1, 2, 7}
"""Types of fields that stay bytes."""


def check_structure(data: bytes) -> None:
    """Checks the structure of a file that may be an image.

    Raises:
        BadImageError: what it holds beside pixels is too much to be read.
    """
    if len(data) <= SMALL:
        return
    if data.startswith(b"\x89PNG"):
        _check_png(data)
    elif data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data.startswith(b"GIF8"):
        _check_gif(data)
    elif data[4:8] == b"ftyp" and len(data) > LARGEST_AVIF:
        raise BadImageError("too large", f"an AVIF of more than {LARGEST_AVIF >> 20} MiB")
    elif data.startswith(b"RIFF") and len(data) > LARGEST_WEBP:
        raise BadImageError("too large", f"a WebP of more than {LARGEST_WEBP >> 20} MiB")
    elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*"):
        _check_tiff(data)


def _too_much(what: str) -> BadImageError:
    return BadImageError("damaged", f"more beside the pixels than an image has ({what})")


def _check_png(data: bytes) -> None:
    at, parts, most = 8, 0, MOST_PARTS + len(data) // 1024
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        parts += 1
        if parts > most:
            raise _too_much(f"{parts:,} chunks")
        if length > LARGEST_PART and name not in (b"IDAT", b"fdAT"):
            raise _too_much(f"a chunk {name!r} of {length:,} bytes")
        if name == b"IEND":
            return
        at += length + 12


def _check_jpeg(data: bytes) -> None:
    at, parts, exif = 2, 0, 0
    while at + 4 <= len(data) and data[at + 1] != 0xDA:
        parts += 1
        exif += data[at + 4 : at + 8] == b"Exif"
        if parts > MOST_PARTS or exif > MOST_EXIF:
            raise _too_much(f"{parts:,} segments, {exif} of Exif")
        if data[at] != 0xFF or data[at + 1] == 0xFF:  # filling, which Pillow skips byte by byte
            at = data.find(b"\xff", at + 1)
            if at < 0:
                return
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _check_gif(data: bytes) -> None:
    at, parts, blocks = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0), 0, 0
    while data[at : at + 1] == b"!":
        parts += 1
        at += 2
        while size := int.from_bytes(data[at : at + 1]):
            at += size + 1
            blocks += 1
            if blocks > LARGEST_BLOCKS:
                break
        if parts > MOST_PARTS or blocks > LARGEST_BLOCKS:
            raise _too_much(f"{parts:,} extensions of {blocks:,} blocks")
        at += 1


def _check_tiff(data: bytes) -> None:
    order = "<" if data[:1] == b"I" else ">"
    large = 43 in data[2:4]
    first = struct.unpack_from(order + ("Q" if large else "L"), data, 8 if large else 4)[0]
    total = 0
    for tag, kind, count, value in _fields(data, order, large, first):
        total += count * BYTES.get(kind, 0)
        if tag in READ and count > MOST_VALUES:
            raise _too_much(f"{count:,} values of field {tag}")
        if tag in (EXIF, GPS):
            _check_group(data, order, large, value)
    if LARGEST_FIELDS < total <= len(data):  # Pillow leaves out what is longer than the file
        raise _too_much(f"fields of {total:,} bytes")


def _check_group(data: bytes, order: str, large: bool, at: int) -> None:
    for tag, kind, count, value in _fields(data, order, large, at):
        if count > MOST_VALUES and kind not in TEXTS:
            raise _too_much(f"{count:,} values of field {tag}")
        if tag == INTEROPERABILITY and value != at:
            _check_group(data, order, large, value)


def _fields(data: bytes, order: str, large: bool, at: int) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, number of values, and value or its place, of each field of the directory at ``at``."""
    number, entry = (order + "Q", order + "HHQQ") if large else (order + "H", order + "HHLL")
    try:
        (count,) = struct.unpack_from(number, data, at)
        if count > MOST_FIELDS:
            raise _too_much(f"{count:,} fields")
        start = at + struct.calcsize(number)
        for index in range(count):
            yield struct.unpack_from(entry, data, start + index * struct.calcsize(entry))
    except (struct.error, OverflowError):  # ends early: Pillow will say so
        return
