"""Image files written byte by byte, by the formats' specifications: what they hold is known without any reader."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

CODES = {1: "B", 3: "H", 4: "I", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d"}

Tags = Mapping[int, tuple[int, Sequence[Any]]]

D50 = (0.9642, 1.0, 0.8249)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))


def saved(image: Image.Image | np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    """What Pillow writes."""
    file = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, format, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, kind: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of this colour type; ``rows`` are packed as in the file, without filter bytes."""
    step = max(1, len(rows) // max(1, height))
    filtered = b"".join(b"\0" + rows[start : start + step] for start in range(0, len(rows), step))
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    middle = b"".join(chunk(*part) for part in chunks)
    ends = chunk(b"IDAT", zlib.compress(filtered)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + ends


def bits(samples: np.ndarray, depth: int) -> bytes:
    """Rows of samples (H, W) of 1, 2, 4, 8 or 12 bits, packed with the first one highest."""
    unpacked = np.unpackbits(samples.astype(">u2")[..., None].view(np.uint8), axis=-1)[..., -depth:]
    return np.packbits(unpacked.reshape(len(samples), -1), axis=1).tobytes()


def tiff(tags: Tags, strips: Sequence[bytes], order: str = "<", following: int = 0) -> bytes:
    """A TIFF of one directory with these tags and strips; ``following`` is the place of the next directory."""
    fields = {**tags, 273: (4, [0] * len(strips)), 279: (4, [len(strip) for strip in strips])}
    packed = {tag: _values(kind, values, order) for tag, (kind, values) in fields.items()}
    end = 8 + 2 + 12 * len(fields) + 4
    place, places = end, {}
    for tag, data in packed.items():
        places[tag] = place
        place += len(data) + len(data) % 2 if len(data) > 4 else 0
    offsets = [place + sum(map(len, strips[:index])) for index in range(len(strips))]
    packed[273] = _values(4, offsets, order)
    directory = b""
    for tag in sorted(fields):
        kind, values = fields[tag]
        small = len(packed[tag]) <= 4
        value = packed[tag].ljust(4, b"\0") if small else struct.pack(order + "I", places[tag])
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + value
    outside = b"".join(data + b"\0" * (len(data) % 2) for data in packed.values() if len(data) > 4)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(fields))
    return head + directory + struct.pack(order + "I", following) + outside + b"".join(strips)


def layout(
    shape: tuple[int, ...], photometric: int, depth: int, *, packed: bool = False, planar: int = 1, sample: int = 1
) -> dict[int, tuple[int, Sequence[Any]]]:
    """The tags that a TIFF of this shape (H, W) or (H, W, C) needs, in one strip; ``packed`` by deflate."""
    height, width, samples = (*shape, 1)[:3]
    return {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [depth] * samples),
        259: (3, [8 if packed else 1]),
        262: (3, [photometric]),
        277: (3, [samples]),
        278: (4, [height]),
        284: (3, [planar]),
        339: (3, [sample] * samples),
    }


def _values(kind: int, values: Sequence[Any], order: str) -> bytes:
    return b"".join(struct.pack(order + CODES[kind], value) for value in values)


def profile(exponent: float, primaries: Sequence[tuple[float, float]] | None) -> bytes:
    """An ICC profile (version 2.1, display) with one exponent: of grey, or of RGB with these primaries and D65."""
    curve = b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(exponent * 256))
    desc = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": desc, b"wtpt": _xyz(D50)}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for name, column in zip("rgb", adapted(primaries).T, strict=True):
            tags[f"{name}XYZ".encode()], tags[f"{name}TRC".encode()] = _xyz(column), curve
    body, table = b"", struct.pack(">I", len(tags))
    for tag, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data
    space = b"GRAY" if primaries is None else b"RGB "
    size = struct.pack(">I", 132 + 12 * len(tags) + len(body))
    kind = bytes(4) + b"\x02\x10\0\0" + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    return size + kind + _xyz(D50)[8:] + bytes(48) + table + body


def cmyk_profile(nodes: np.ndarray) -> bytes:
    """An ICC profile (version 2.1, printer) that gives Lab, uint8 (16, 3), for CMYK of 0 or 255, C changing slowest."""
    identity = bytes(range(256))
    matrix = b"".join(struct.pack(">i", round(value * 65536)) for value in np.eye(3).ravel())
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + identity * 4 + nodes.tobytes() + identity * 3
    place = 132 + 2 * 12
    white = _xyz(D50)
    tags = struct.pack(">I4sII4sII", 2, b"A2B0", place, len(table), b"wtpt", place + len(table), len(white))
    size = struct.pack(">I", place + len(table) + len(white))
    head = size + bytes(4) + b"\x02\x10\0\0prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28) + _xyz(D50)[8:] + bytes(48)
    return head + tags + table + white


def lab_in_srgb(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What CIELAB under D50 (L* from 0 to 100) is in sRGB, float (..., 3) from 0 to 255, by the formulas."""
    y = (lightness + 16) / 116
    root = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(root > 6 / 29, root**3, 3 * (6 / 29) ** 2 * (root - 4 / 29)) * D50
    return 255 * encoded(np.clip(xyz @ np.linalg.inv(adapted(SRGB)).T, 0, 1))


def adapted(primaries: Sequence[tuple[float, float]], white: tuple[float, float] = (0.3127, 0.3290)) -> np.ndarray:
    """XYZ of the three primaries in columns, brought from ``white`` to D50 by Bradford's matrix."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    source = np.array([white[0] / white[1], 1, (1 - sum(white)) / white[1]])
    matrix = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    matrix = matrix * np.linalg.solve(matrix, source)
    scale = np.diag((bradford @ np.array(D50)) / (bradford @ source))
    return np.linalg.inv(bradford) @ scale @ bradford @ matrix


def in_srgb(samples: np.ndarray, exponent: float, primaries: Sequence[tuple[float, float]]) -> np.ndarray:
    """What uint8 (..., 3) of such a profile are in sRGB, float (..., 3) from 0 to 255, by the formulas."""
    linear = (samples / 255) ** exponent @ (np.linalg.inv(adapted(SRGB)) @ adapted(primaries)).T
    return 255 * encoded(np.clip(linear, 0, 1))


def encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB's transfer function (IEC 61966-2-1), from 0 to 1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _xyz(values: Sequence[float] | np.ndarray) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *(round(float(value) * 65536) for value in values))
