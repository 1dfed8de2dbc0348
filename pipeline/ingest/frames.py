"""How many pages or frames a file holds, told from its structure: none is decoded, no chain followed for ever."""

import struct

from PIL import Image

MOST = 10_000
"""Pages or frames that are counted; a file may claim, or hold, millions."""

MOST_BLOCKS = 1 << 20
"""Of a GIF, up to 255 bytes each."""

GIF_IMAGE, GIF_EXTENSION = 0x2C, 0x21


def count_frames(image: Image.Image, data: bytes) -> int:
    """Pages or frames of the file ``data`` that was opened as ``image``, from 1 to :data:`MOST`."""
    if image.format == "GIF":
        count = _in_gif(data)
    elif image.format == "TIFF":
        count = _in_tiff(data)
    else:
        count = vars(image).get("n_frames", 1)  # of the other formats the header says it
    return min(max(1, count), MOST)


def _in_gif(data: bytes) -> int:
    frames, blocks = 0, 0
    try:
        at = 13 + _table(data[10])
        while frames < MOST and blocks < MOST_BLOCKS:
            if data[at] == GIF_IMAGE:
                frames += 1
                at += 11 + _table(data[at + 9])
            elif data[at] == GIF_EXTENSION:
                at += 2
            else:  # the end, or damage
                break
            while data[at] and blocks < MOST_BLOCKS:
                at += data[at] + 1
                blocks += 1
            at += 1
            blocks += 1
    except IndexError:
        pass
    return frames


def _table(flags: int) -> int:
    """Bytes of the colour table that a GIF's flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _in_tiff(data: bytes) -> int:
    order = "<" if data[:1] == b"I" else ">"
    large = 43 in data[2:4]
    number, offset, entry = (f"{order}Q", f"{order}Q", 20) if large else (f"{order}H", f"{order}L", 12)
    seen: set[int] = set()
    try:
        (at,) = struct.unpack_from(offset, data, 8 if large else 4)
        while at and at not in seen and len(seen) < MOST:
            (entries,) = struct.unpack_from(number, data, at)
            (following,) = struct.unpack_from(offset, data, at + struct.calcsize(number) + entries * entry)
            seen.add(at)
            at = following
    except (struct.error, OverflowError):
        pass
    return len(seen)
