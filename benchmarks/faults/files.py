"""Hostile files among good images: cut, changed, misnamed, bombs, no files at all, strange names, strange pixels.

    python -m benchmarks.faults.files [CASE...] [--count N] [--seed S] [--verbose] [--keep FOLDER]

Pillow alone, with the list of formats that docs/folders.md names, says what can be read and what pixels it has. The
last cases are random mutations, fifty files a project, of which those that Pillow reads have to be in the store.
"""

import argparse
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.faults import sets
from benchmarks.faults.sets import Sample, packed, picture
from benchmarks.faults.trials import Case, Ended, main

FORMS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tif": "TIFF", "ppm": "PPM"}
FORMS |= {"jp2": "JPEG2000", "qoi": "QOI", "avif": "AVIF"}
NAME = "bolt/strange"
BATCH = 50


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """All of them."""
    yield from (no_file(name, make) for name, make in NO_FILES.items())
    for name, data in contents():
        yield one_file(name, data)
    yield from (named(name) for name in NAMES)
    yield from depths()
    yield Case("bad images of 12 megapixels", lay_large_cut, counts_bad)
    for number in range(0, options.count, BATCH):
        yield mutated(options.seed, number, min(BATCH, options.count - number))


def one_file(name: str, data: bytes, pixels: np.ndarray | None = None) -> Case:
    """A file of this content, beside good ones."""
    suffix = name.rpartition(".")[2] if "." in name else "png"

    def lay(project: Path) -> None:
        sets.choose(project, "folder", max_bad_fraction=0.5)
        sets.write(project / "set", sets.good() | {f"{NAME}.{suffix}": Sample(data, "bolt")})

    def right(project: Path, ended: Ended) -> str:  # noqa: ARG001
        shown = pixels if pixels is not None else SHOWN.get(name, sets.seen(data))
        if shown is None:
            return sets.compare(project, sets.good().values(), unread=1)
        return sets.compare(project, [*sets.good().values(), Sample(data, "bolt", None, shown)])

    return Case(name, lay, right)


def contents() -> Iterator[tuple[str, bytes]]:
    """Names, which end in a suffix, and contents."""
    for suffix, form in FORMS.items():
        whole = packed(picture(7), form)
        yield f"whole.{suffix}", whole
        for share in (0.02, 0.3, 0.6, 0.9, 0.99):
            yield f"cut at {share}.{suffix}", whole[: max(1, int(len(whole) * share))]
        for place in (0, 9, len(whole) // 2, len(whole) - 5):
            yield f"bit at {place}.{suffix}", _flipped(whole, place)
        yield f"zeros behind.{suffix}", whole + bytes(1000)
        yield f"twice.{suffix}", whole + packed(picture(8), form)
    for suffix, form in FORMS.items():
        other = "JPEG" if form == "PNG" else "PNG"
        yield f"holds {other}.{suffix}", packed(picture(9), other)
    yield from _other_kinds()
    yield from _strange_pixels()
    yield from _bombs()


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


def _other_kinds() -> Iterator[tuple[str, bytes]]:
    postscript = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(/tmp/augmint-was-here) (w) file closefile\nshowpage\n"
    )
    for suffix in ("png", "jpg", "eps", "tif"):
        yield f"PostScript.{suffix}", postscript
    others = {
        "nothing": b"",
        "one byte": b"\x89",
        "zeros": bytes(4096),
        "text": b"these are no pixels\n" * 20,
        "page": b"<!DOCTYPE html><html><body>404</body></html>",
        "drawing": b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>',
        "script": b"#!/bin/sh\nrm -rf ~\n",
        "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n",
        "pdf": b"%PDF-1.4\n1 0 obj<<>>endobj\n",
        "fits": b"SIMPLE  =                    T" + b" " * 2850,
        "xpm": b'/* XPM */\nstatic char *x[] = {"1 1 1 1","a c #000000","a"};\n',
        "zip": b"PK\x03\x04" + bytes(200),
        "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(300),
        "icon": packed(picture(3), "ICO", sizes=[(8, 8)]),
        "random": np.random.default_rng(3).bytes(5000),
    }
    for name, data in others.items():
        for suffix in ("png", "jpg"):
            yield f"{name}.{suffix}", data
    yield "two bytes of a JPEG.jpg", b"\xff\xd8"
    yield "no image data.png", b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", _ihdr(8, 8)) + _chunk(b"IEND", b"")
    yield "no side.png", _png(0, 0, b"")
    yield "no height.png", _png(8, 0, b"")
    yield "a depth that none has.png", _png(8, 8, bytes(72), depth=3)
    yield "wrong checksum.png", packed(picture(5))[:-16] + b"\0\0\0\0" + packed(picture(5))[-12:]
    yield (
        "a chunk of 2 GiB.png",
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", _ihdr(8, 8)) + b"\x7f\xff\xff\xffIDAT" + bytes(99),
    )
    yield "text that unpacks to 200 MiB.png", _with_text(200)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _ihdr(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    return struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def _png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 0) -> bytes:
    body = _chunk(b"IHDR", _ihdr(width, height, depth, colour)) + _chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IEND", b"")


def _with_text(mib: int) -> bytes:
    whole = packed(picture(6))
    return whole[:33] + _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(mib << 20), 9)) + whole[33:]


def _strange_pixels() -> Iterator[tuple[str, bytes]]:
    for mode, form, suffix in (
        *(("1", "PNG", "png"), ("L", "PNG", "png"), ("LA", "PNG", "png"), ("P", "PNG", "png"), ("RGBA", "PNG", "png")),
        *(("1", "TIFF", "tif"), ("L", "TIFF", "tif"), ("P", "TIFF", "tif"), ("CMYK", "TIFF", "tif")),
        *(("LAB", "TIFF", "tif"), ("YCbCr", "TIFF", "tif"), ("RGBA", "TIFF", "tif"), ("LA", "TIFF", "tif")),
        *(("1", "BMP", "bmp"), ("P", "BMP", "bmp"), ("L", "GIF", "gif"), ("P", "GIF", "gif"), ("1", "PPM", "pbm")),
        *(("L", "JPEG", "jpg"), ("CMYK", "JPEG", "jpg"), ("RGBA", "WEBP", "webp"), ("L", "PPM", "pgm")),
        *(("LA", "JPEG2000", "jp2"), ("RGBA", "TGA", "tga"), ("RGB", "TGA", "tga"), ("RGB", "DIB", "dib")),
    ):
        image = sets.picture(11).convert("RGB").convert(mode)
        yield f"{mode} in {form}.{suffix}", packed(image, form, **({"lossless": True} if form == "WEBP" else {}))
    yield from ((f"turned by {turn}.jpg", _turned(turn)) for turn in (2, 3, 6, 8, 99))
    clear = picture(12).convert("P")
    yield "a clear colour.png", packed(clear, transparency=clear.getpixel((0, 0)))
    yield "a clear grey.png", packed(picture(12, "L"), transparency=7)
    yield "a clear red.png", packed(picture(12), transparency=picture(12).getpixel((3, 3)))
    yield "three frames.gif", packed(picture(13), "GIF", save_all=True, append_images=[picture(14), picture(15)])
    yield "three frames.png", packed(picture(13), "PNG", save_all=True, append_images=[picture(14), picture(15)])
    yield "three pages.tif", packed(picture(13), "TIFF", save_all=True, append_images=[picture(14), picture(15)])
    yield "three frames.webp", packed(picture(13), "WEBP", save_all=True, append_images=[picture(14)], lossless=True)
    yield "full range of 16 bits.png", packed(Image.fromarray(DEEP))
    yield "full range of 16 bits.tif", packed(Image.fromarray(DEEP), "TIFF")
    yield "floats of 0 to 1.tif", packed(Image.fromarray((DEEP / 65535).astype(np.float32)), "TIFF")
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("negative", -1.0), ("huge", 1e30)):
        yield f"floats that are {name}.tif", packed(Image.fromarray(np.full((8, 8), value, np.float32)), "TIFF")
    yield "integers below zero.tif", packed(Image.fromarray(np.full((8, 8), -5, np.int32)), "TIFF")
    yield "white is zero.tif", packed(picture(16, "L"), "TIFF", tiffinfo={262: 0})
    yield "one pixel.png", packed(picture(17, side=1))
    yield "one pixel high.png", packed(picture(17, side=64).resize((500, 1)))
    yield "one pixel wide.png", packed(picture(17, side=64).resize((1, 500)))
    yield "a broken profile.png", packed(picture(18), icc_profile=b"rubbish" * 9)
    yield "a broken profile.jpg", packed(picture(18), "JPEG", icc_profile=b"rubbish" * 9)
    yield "broken EXIF.jpg", packed(picture(18), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")


DEEP = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040 + 15
SHOWN: dict[str, np.ndarray] = {
    name: np.repeat(np.rint(DEEP / 257).astype(np.uint8)[..., None], 3, axis=2)
    for name in ("full range of 16 bits.png", "full range of 16 bits.tif", "floats of 0 to 1.tif")
}


def _turned(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return packed(picture(19), "JPEG", exif=exif)


def _bombs() -> Iterator[tuple[str, bytes]]:
    for side in (9_000, 20_000, 60_000):
        yield f"{side:,} pixels a side.png", _png(side, side, bytes(1000 * (side // 8 + 1)), depth=1)
    yield "2**31 pixels a side.png", _png(2**31 - 1, 2**31 - 1, b"")
    yield "9,400 pixels a side, whole.png", _png(9400, 9400, bytes(9400 * (9400 // 8 + 1)), depth=1)
    yield (
        "65,535 pixels a side.gif",
        b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b"," + bytes(4) + b"\xff" * 4 + b"\0\x02\0;",
    )
    yield "2**31 pixels a side.bmp", _patched(packed(picture(1), "BMP"), 18, struct.pack("<ii", 2**31 - 1, 2**31 - 1))
    yield "negative width.bmp", _patched(packed(picture(1), "BMP"), 18, struct.pack("<i", -8))
    yield "colours by the million.bmp", _patched(packed(picture(1, "P"), "BMP"), 46, struct.pack("<I", 2**31))
    yield "30,000 pixels a side.ppm", b"P6 30000 30000 255\n" + bytes(999)
    yield "10**18 pixels.ppm", b"P5 1000000000 1000000000 255\n" + bytes(99)
    yield "a number of 5,000 digits.ppm", b"P5 " + b"9" * 5000 + b" 1 255\n"
    yield "30,000 pixels a side.qoi", b"qoif" + struct.pack(">II", 30_000, 30_000) + b"\3\0" + bytes(99)
    yield "65,535 pixels a side.tga", bytes([0, 0, 2]) + bytes(9) + b"\xff\xff\xff\xff\x18\0" + bytes(99)
    yield "a loop of pages.tif", _loop()
    yield "10,000 frames.gif", _frames(10_000)


def _patched(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def _loop() -> bytes:
    data = packed(picture(1), "TIFF")
    at = struct.unpack_from("<I", data, 4)[0]
    end = at + 2 + 12 * struct.unpack_from("<H", data, at)[0]
    return _patched(data, end, struct.pack("<I", at))


def _frames(count: int) -> bytes:
    whole = packed(picture(2, "P"), "GIF")
    begin = whole.index(b",", 13 + 3 * 2 ** ((whole[10] & 7) + 1))
    return whole[:begin] + whole[begin:-1] * count + b";"


NAMES = (
    *("line\nbreak", "tab\tin it", "bell\x07", "red \x1b[31m", "\U0001f9ff\U0001f468\u200d\U0001f9b0", "\udce9t\udce9"),
    *("a" * 250, "-rf", "--help", "%s%n", "<script>alert(1)<-script>", "=cmd|'!A0", "'; drop table --", "$(reboot)"),
    *(
        "cafe\u0301",
        "\u202egnp",
        "back\\slash",
        'quo"te',
        " spaces ",
        ".",
        "train",
        "CON",
        "nul.tar.gz",
        "*?[a]",
        "a,b;c",
    ),
    *("\ufeffmark", "\u2028", "\u0130i\u0131I", "{{7*7}}", "|x|y|"),
)


def named(name: str) -> Case:
    """Good images under a strange name, of a file and of a class."""
    folder = name if name not in (".", "a" * 250) else "bolt"
    extra = {f"{folder}/{name}{i}.png": Sample(packed(picture(500 + i)), name) for i in range(8)}
    bolt = {path: sample for path, sample in sets.good().items() if path.startswith("nut")}

    def lay(project: Path) -> None:
        sets.choose(project, "folder")
        sets.write(project / "set", bolt | extra)

    def right(project: Path, ended: Ended) -> str:  # noqa: ARG001
        rows = pq.read_table(project / "data/store/manifest.parquet").to_pylist()
        labels = {row["label"] for row in rows}
        kept = sum(row["row"] is not None for row in rows)
        return "" if (kept, len(labels)) == (16, 2) else f"{kept} images of {len(labels)} classes, expected 16 of 2"

    return Case(f"named {name[:40]!a}", lay, right)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has 107 bytes at most
        bound.bind(path.name)
        os.chdir(here)


def _unreadable(path: Path) -> None:
    path.write_bytes(packed(picture(1)))
    path.chmod(0)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "folder": Path.mkdir,
    "link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "link to /dev/full": lambda path: path.symlink_to("/dev/full"),
    "link to /dev/tty": lambda path: path.symlink_to("/dev/tty"),
    "link to /proc/kmsg": lambda path: path.symlink_to("/proc/kmsg"),
    "link to /proc/self/mem": lambda path: path.symlink_to("/proc/self/mem"),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to the folder above": lambda path: path.symlink_to(".."),
    "link to the root": lambda path: path.symlink_to("../../../project"),
    "links in a circle": lambda path: (path.symlink_to("b.png"), path.with_name("b.png").symlink_to(path.name)),
    "empty": Path.touch,
    "hole of 1 TiB": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    "hole of 300 MiB": lambda path: (path.touch(), os.truncate(path, 300 << 20)),
}


def no_file(name: str, make: Callable[[Path], object]) -> Case:
    """Something else than a file, where one is expected."""

    def lay(project: Path) -> None:
        sets.choose(project, "folder", max_bad_fraction=0.5)
        sets.write(project / "set", sets.good())
        make(project / "set" / f"{NAME}.png")

    return Case(f"no file: {name}", lay, sets.judged_by(sets.good().values(), unread=1))


def depths() -> Iterator[Case]:
    """Trees of a strange form."""

    def deep(project: Path) -> None:
        sets.choose(project, "folder")
        sets.write(project / "set", sets.good())
        sets.write(project / "set/nut" / "/".join("d" * 300), {"x.png": Sample(packed(picture(40)), "nut")})

    with_it = [*sets.good().values(), Sample(packed(picture(40)), "nut")]
    yield Case("300 folders deep", deep, sets.judged_by(with_it))

    def wide(project: Path) -> None:
        sets.choose(project, "folder")
        sets.write(project / "set", sets.good([f"class {i:03}" for i in range(200)]))

    yield Case("200 classes", wide, sets.judged_by(sets.good([f"class {i:03}" for i in range(200)]).values()))

    def linked(project: Path) -> None:
        sets.choose(project, "folder")
        sets.write(project / "elsewhere", sets.good())
        (project / "set").rmdir()
        (project / "set").symlink_to("elsewhere")

    yield Case("the set is a link", linked, sets.judged_by(sets.good().values()))
    yield Case("the set is a file", lambda project: _instead(project, Path.touch), refused=True)
    yield Case("the set is a pipe", lambda project: _instead(project, os.mkfifo), refused=True)
    yield Case("the set is not there", lambda project: _instead(project, None), refused=True)
    yield Case("the set is empty", lambda project: sets.choose(project, "folder"), refused=True)


def _instead(project: Path, make: Callable[[Path], object] | None) -> None:
    sets.choose(project, "folder")
    (project / "set").rmdir()
    if make is not None:
        make(project / "set")


def lay_large_cut(project: Path) -> None:
    """Twenty PNGs of 4000 x 3000, each cut near its end."""
    sets.choose(project, "folder", max_bad_fraction=0.9)
    sets.write(project / "set", sets.good(per_class=30))
    whole = _png(4000, 3000, bytes(3000 * 12001), colour=2)
    sets.write(project / "set", {f"nut/large{i}.png": Sample(whole[: -60 - i], "nut") for i in range(20)})


def counts_bad(project: Path, ended: Ended) -> str:
    """All of them have to be named as bad, and let go."""
    if ended.mib > 600:  # the libraries, and 36 MiB for each that is held
        return f"took {ended.mib:,} MiB"
    return sets.compare(project, sets.good(per_class=30).values(), unread=20)


def mutated(seed: int, first: int, count: int) -> Case:
    """Files of all formats with a few bytes changed, taken out or repeated."""
    files = {f"bolt/m{i}.{suffix}": data for i in range(first, first + count) for suffix, data in [_mutant(seed, i)]}

    def lay(project: Path) -> None:
        sets.choose(project, "folder", max_bad_fraction=0.95)
        sets.write(project / "set", sets.good(per_class=BATCH + 8))
        sets.write(project / "set", {path: Sample(data, "bolt") for path, data in files.items()})

    def right(project: Path, ended: Ended) -> str:  # noqa: ARG001
        shown = {path: sets.seen(data) for path, data in files.items()}
        read = [Sample(files[path], "bolt", None, pixels) for path, pixels in shown.items() if pixels is not None]
        return sets.compare(project, [*sets.good(per_class=BATCH + 8).values(), *read], unread=count - len(read))

    return Case(f"mutated {first} to {first + count - 1}, seed {seed}", lay, right)


def _mutant(seed: int, number: int) -> tuple[str, bytes]:
    random = np.random.default_rng([seed, number])
    suffix = list(FORMS)[number % len(FORMS)]
    data = bytearray(packed(picture(number), FORMS[suffix]))
    for _ in range(random.integers(1, 6)):
        place, size = int(random.integers(len(data))), int(random.integers(1, 9))
        piece = [random.bytes(size), b"", bytes(data[place : place + size]) * 2, b"\xff" * size][random.integers(4)]
        data[place : place + size] = piece
    return suffix, bytes(data)


if __name__ == "__main__":
    sys.exit(main("files", cases, sets.base))
