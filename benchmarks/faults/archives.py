"""Archives that are cut, changed, absurd, nested, encrypted or only strange, against what the standard library reads.

    python -m benchmarks.faults.archives [CASE...] [--count N] [--seed S] [--verbose] [--keep FOLDER]

What was packed is known; whatever cannot be whole any more has to be refused, or give every image all the same. The
last ``--count`` cases are cut or changed at random places.
"""

import argparse
import bz2
import gzip
import io
import lzma
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.faults import sets
from benchmarks.faults.sets import Sample, packed, picture
from benchmarks.faults.trials import Case, main

GOOD = {path: sample.data for path, sample in sets.good().items()}
MORE = packed(picture(77))


def tar(files: dict[str, bytes], *more: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A plain tar of ``files``, then of ``more``."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, data in files.items():
            archive.addfile(member(name, len(data)), io.BytesIO(data))
        for info, data in more:
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """A header."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, target
    return info


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip by the standard library."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


PACKINGS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "tar": tar,
    "tar.gz": lambda files: gzip.compress(tar(files), mtime=0),
    "tar.bz2": lambda files: bz2.compress(tar(files)),
    "tar.xz": lambda files: lzma.compress(tar(files)),
    "zip": zipped,
    "stored.zip": lambda files: zipped(files, zipfile.ZIP_STORED),
    "bz2.zip": lambda files: zipped(files, zipfile.ZIP_BZIP2),
    "lzma.zip": lambda files: zipped(files, zipfile.ZIP_LZMA),
}


def case(
    name: str,
    data: bytes | Callable[[], bytes],
    expected: dict[str, bytes] | None = None,
    *,
    unread: int = 0,
    refused: bool = False,
) -> Case:
    """An archive of these bytes, and the images in it, by a path in a folder of their class: ``GOOD`` if left out."""

    def lay(project: Path) -> None:
        sets.choose(project, "archive", "set.bin", max_bad_fraction=0.5)
        (project / "set.bin").write_bytes(data() if callable(data) else data)

    files = GOOD if expected is None else expected
    samples = [Sample(content, path.rpartition("/")[0].rpartition("/")[2]) for path, content in files.items()]
    return Case(name, lay, sets.judged_by(samples, unread=unread), refused=refused)


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """All of them."""
    for name, pack in PACKINGS.items():
        whole = pack(GOOD)
        yield case(f"whole.{name}", whole)
        yield case(f"half.{name}", whole[: len(whole) // 2], refused=True)
        yield case(f"without its last byte.{name}", whole[:-1], refused=name != "tar")
        yield case(f"a changed byte.{name}", _changed(whole, len(whole) // 2))
        yield case(f"rubbish behind.{name}", whole + b"rubbish" * 99)
        yield case(f"rubbish before.{name}", b"rubbish" * 99 + whole)
        yield case(f"twice.{name}", whole + pack({"bolt/more.png": MORE}), {**GOOD, "bolt/more.png": MORE})
    yield case("nothing", b"", refused=True)
    yield case("text", b"no archive\n" * 99, refused=True)
    yield case("an image", MORE, refused=True)
    yield from _tars()
    yield from _zips()
    yield from _streams()
    yield from _others()
    for number in range(options.count):
        yield from _random(options.seed, number)


def _changed(data: bytes, place: int, by: int = 0x55) -> bytes:
    return data[:place] + bytes([data[place] ^ by]) + data[place + 1 :]


def _random(seed: int, number: int) -> Iterator[Case]:
    random = np.random.default_rng([seed, number])
    name = list(PACKINGS)[number % len(PACKINGS)]
    whole = PACKINGS[name](GOOD)
    place = int(random.integers(1, len(whole)))
    if number // len(PACKINGS) % 2:
        data = _changed(whole, place, int(random.integers(1, 256)))
        readable, unread = _as_tarfile_reads(data) if name == "tar" else (None, 0)
        yield case(f"random {number}, changed at {place}.{name}", data, readable, unread=unread)
    else:
        yield case(f"random {number}, cut at {place}.{name}", whole[:place])


def _as_tarfile_reads(data: bytes) -> tuple[dict[str, bytes] | None, int]:
    """The images that can be read, and how many cannot: a tar alone has no checksum of its members' content."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            files = {info.name: archive.extractfile(info).read() for info in archive if info.isfile()}  # type: ignore[union-attr]
    except tarfile.TarError:
        return None, 0
    readable = {path: content for path, content in files.items() if _is_picture(content)}
    return readable, len(files) - len(readable)


def _is_picture(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _header(name: str, size: bytes = b"00000000000\0", kind: bytes = b"0") -> bytes:
    block = bytearray(member(name, 0).tobuf(tarfile.GNU_FORMAT))
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _base256(size: int) -> bytes:
    return bytes([128 if size >= 0 else 255]) + size.to_bytes(11, "big", signed=True)


def _pax(**records: str) -> bytes:
    text = b""
    for key, value in records.items():
        entry = f" {key.replace('__', '.')}={value}\n".encode()
        size = len(entry) + len(str(len(entry) + 2))
        text += str(size).encode() + entry
    return _header("pax", b"%011o\0" % len(text), b"x") + text + bytes(-len(text) % 512)


def _tars() -> Iterator[Case]:
    body = tar(GOOD).rstrip(b"\0")
    body += bytes(-len(body) % 512)
    for size in (2**40, 2**62, 2**80, -(10**6), -1):
        yield case(f"a size of {size}.tar", body + _header("nut/x.png", _base256(size)) + bytes(4096), refused=True)
        packed_again = gzip.compress(body + _header("nut/x.png", _base256(size)) + bytes(4096))
        yield case(f"a size of {size}.tar.gz", packed_again, refused=True)
    yield case("a size of words.tar", body + _header("nut/x.png", b"many bytes\0\0") + bytes(4096), refused=True)
    yield case("a long name of 1 TiB.tar", body + _header("x", _base256(2**40), b"L") + bytes(4096), refused=True)
    yield case("a pax header of 8 GiB.tar", body + _header("x", _base256(2**33), b"x") + bytes(4096), refused=True)
    for value in ("many", "-512", "9" * 5000):
        strange = body + _pax(size=value) + _header("nut/x.png") + bytes(2048)
        yield case(f"a pax size of {value[:6]}.tar", strange, refused=True)
    words = body + _pax(GNU__sparse__major="1", GNU__sparse__minor="0") + _header("nut/x.png", b"00000001000\0")
    yield case("a sparse map of words.tar", words + b"words\n" * 85 + bytes(2050), refused=True)
    yield case("an old sparse map.tar", body + _header("nut/x.png", kind=b"S") + bytes(2048), refused=True)
    yield case("a NUL in a name.tar", body + _pax(path="nut/x\0.png") + _header("x") + bytes(2048), refused=True)
    yield case("a wrong checksum of a header.tar", _changed(tar(GOOD), 1024 * 3 + 10), refused=True)
    yield case("no end marker.tar", body, refused=True)
    yield case("another volume.tar", body + _header("nut/x.png", kind=b"M") + bytes(2048), refused=True)
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        long = {**GOOD, f"nut/{'x' * 90}.png": MORE}
        yield case(f"of format {form}.tar", tar(long, form=form), long)
    yield from _links()


def _links() -> Iterator[Case]:
    hard = (member("nut/hard.png", 0, tarfile.LNKTYPE, "bolt/0.png"), b"")
    yield case("a hard link.tar", tar(GOOD, hard), {**GOOD, "nut/hard.png": GOOD["bolt/0.png"]})
    soft = (member("nut/soft.png", 0, tarfile.SYMTYPE, "../nut/0.png"), b"")
    yield case("a link.tar", tar(GOOD, soft), {**GOOD, "nut/soft.png": GOOD["nut/0.png"]})
    for name, target in (("/etc/passwd", "/etc/passwd"), ("..", "../../../x.png"), ("itself", "x.png"), ("air", "no")):
        link = (member("nut/x.png", 0, tarfile.SYMTYPE, target), b"")
        yield case(f"a link to {name}.tar", tar(GOOD, link))
    circle = [(member(f"nut/{a}.png", 0, tarfile.SYMTYPE, f"{b}.png"), b"") for a, b in ("ab", "bc", "ca")]
    yield case("links in a circle.tar", tar(GOOD, *circle))
    doubling = [(member(f"nut/d{i}/{n}", 0, tarfile.SYMTYPE, f"../d{i + 1}"), b"") for i in range(40) for n in "ab"]
    yield case("links that double 40 times.tar", tar(GOOD, *doubling))
    for kind, name in ((tarfile.FIFOTYPE, "pipe"), (tarfile.CHRTYPE, "device"), (b"Z", "unknown kind")):
        yield case(f"a {name}.tar", tar(GOOD, (member("nut/x.png", 0, kind), b"")))
    yield case("a name ../nut/x.png.tar", tar(GOOD, (member("../nut/x.png", len(MORE)), MORE)), unread=1)
    for name in ("/nut/x.png", "nut/./x.png", "nut//x.png", "./nut/x.png"):
        yield case(f"a name {name}.tar", tar(GOOD, (member(name, len(MORE)), MORE)), {**GOOD, "nut/x.png": MORE})
    again = (member("nut/0.png", len(MORE)), MORE)
    yield case("a member twice.tar", tar(GOOD, again), {**GOOD, "nut/0.png": MORE})


def _zips() -> Iterator[Case]:
    yield from _flags()
    yield from _sizes()
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as archive:
        for name, data in [*GOOD.items(), ("nut/0.png", MORE)]:
            archive.writestr(name, data)
    yield case("a member twice.zip", twice.getvalue(), {**GOOD, "nut/0.png": MORE})
    windows = {name.replace("/", "\\"): data for name, data in GOOD.items()}
    yield case("backslashes.zip", zipped(windows).replace(b"bolt/", b"bolt\\").replace(b"nut/", b"nut\\"))
    yield case("folders.zip", zipped({"bolt/": b"", "nut/": b"", **GOOD}))
    yield case("an empty class.zip", zipped({"cog/": b"", **GOOD}))
    yield case("a Mac's.zip", zipped({**GOOD, **{f"__MACOSX/{name}": b"\0\5\x16\7" for name in GOOD}}))
    yield case("split in parts.zip", _patched(zipped(GOOD), -18, struct.pack("<H", 3)), refused=True)
    yield case("a comment.zip", _patched(zipped(GOOD), -2, b"\5\0") + b"hello")
    yield case("a comment that is longer.zip", _patched(zipped(GOOD), -2, b"\xff\0"), refused=True)
    yield case("a program before.zip", b"#!/bin/sh\nexit\n" + zipped(GOOD))
    yield case("10,000 members.zip", zipped({**GOOD, **{f"nut/{i}.txt": b"x" for i in range(10_000)}}))


def _patched(data: bytes, place: int, new: bytes) -> bytes:
    place %= len(data)
    return data[:place] + new + data[place + len(new) :]


def _flags() -> Iterator[Case]:
    whole = zipped({**GOOD, "nut/XYZW.png": MORE}, zipfile.ZIP_STORED)
    at = whole.rindex(b"PK\1\2")
    local = whole.rindex(b"PK\3\4")
    for name, offset, value in (("encrypted", 8, 1), ("strongly encrypted", 8, 65), ("with a descriptor", 8, 8)):
        data = _patched(_patched(whole, at + offset, struct.pack("<H", value)), local + 6, struct.pack("<H", value))
        expected = {**GOOD, "nut/XYZW.png": MORE}
        yield case(f"{name}.zip", data, expected, refused=name != "with a descriptor")
    for method in (1, 6, 9, 93, 95, 97, 99):
        data = _patched(_patched(whole, at + 10, struct.pack("<H", method)), local + 8, struct.pack("<H", method))
        yield case(f"method {method}.zip", data, refused=True)
    flagged = _patched(_patched(whole, at + 8, b"\0\x08"), local + 6, b"\0\x08")
    yield case("a name marked as UTF-8 that is none.zip", flagged.replace(b"XYZW", b"\xe9\xff\xfeW"), refused=True)
    yield case("a name of an unknown code page.zip", whole.replace(b"XYZW", b"\xe9\xff\xfeW"), refused=True)
    yield case("a NUL in a name.zip", whole.replace(b"XYZW", b"X\0ZW"), refused=True)
    utf8 = {**GOOD, "nut/caf\u00e9.png": MORE}
    yield case("UTF-8 with its flag.zip", zipped(utf8), utf8)
    yield case("UTF-8 without its flag.zip", whole.replace(b"XYZW", b"ab\xc3\xa9"), {**GOOD, "nut/x": MORE})
    yield case("another name before the data.zip", _patched(whole, local + 30, b"bolt"), refused=True)


def _sizes() -> Iterator[Case]:
    whole = zipped({**GOOD, "nut/XYZW.png": MORE})
    at, local = whole.rindex(b"PK\1\2"), whole.rindex(b"PK\3\4")
    for name, size in (("2**32 - 2", 2**32 - 2), ("one more", len(MORE) + 1), ("one less", len(MORE) - 1), ("0", 0)):
        data = _patched(_patched(whole, at + 24, struct.pack("<I", size)), local + 22, struct.pack("<I", size))
        yield case(f"an unpacked size of {name}.zip", data, refused=True)
        yield case(
            f"an unpacked size of {name} in the directory.zip",
            _patched(whole, at + 24, struct.pack("<I", size)),
            refused=True,
        )
    yield case("a packed size of 2 GiB.zip", _patched(whole, at + 20, struct.pack("<I", 2**31)), refused=True)
    yield case("a wrong checksum.zip", _patched(whole, at + 16, b"\1\2\3\4"), refused=True)
    for place in (2**31, len(whole) - 40, 0):
        yield case(f"a member at byte {place}.zip", _patched(whole, at + 42, struct.pack("<I", place)), refused=True)
    for count in (0, 1, 16, 18, 65535):
        data = _patched(whole, -14, struct.pack("<HH", count, count))
        yield case(f"{count} members declared.zip", data, refused=True)
    yield case("a directory of 4 GiB.zip", _patched(whole, -10, b"\xff\xff\xff\xff"), refused=True)
    yield case("a directory at 4 GiB.zip", _patched(whole, -6, b"\xff\xff\xff\xff"), refused=True)
    overlapping = zipped({f"{name}/{i}.png": MORE for name in sets.CLASSES for i in range(99)}, zipfile.ZIP_STORED)
    ats = [place for place in range(len(overlapping)) if overlapping.startswith(b"PK\1\2", place)]
    for place in ats:
        overlapping = _patched(overlapping, place + 42, bytes(4))
    yield case("members over one another.zip", overlapping, refused=True)


def _streams() -> Iterator[Case]:
    plain = tar(GOOD)
    yield case("a wrong checksum.tar.gz", _patched(gzip.compress(plain), -8, b"\1\2\3\4"), refused=True)
    yield case("a wrong length.tar.gz", _patched(gzip.compress(plain), -4, b"\1\2\3\4"), refused=True)
    yield case("two streams.tar.gz", gzip.compress(plain[:5000]) + gzip.compress(plain[5000:]))
    yield case("two streams.tar.bz2", bz2.compress(plain[:5000]) + bz2.compress(plain[5000:]))
    yield case("two streams.tar.xz", lzma.compress(plain[:5000]) + lzma.compress(plain[5000:]))
    cut = gzip.compress(plain[:5000]) + gzip.compress(plain[5000:])[:-9]
    yield case("two streams, the second cut.tar.gz", cut, refused=True)
    yield case("without a checksum.tar.xz", lzma.compress(plain, check=lzma.CHECK_NONE))
    yield case("with SHA-256.tar.xz", lzma.compress(plain, check=lzma.CHECK_SHA256))
    yield case("of LZMA alone.tar.lzma", lzma.compress(plain, lzma.FORMAT_ALONE))
    yield case("zeros behind.tar.gz", gzip.compress(plain) + bytes(5000))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 30}]
    yield case("a dictionary of 1 GiB.tar.xz", lzma.compress(plain, filters=filters))
    yield case("in zstd.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(200), refused=True)
    yield case("packed twice.tar.gz.gz", gzip.compress(gzip.compress(plain)), refused=True)


def _others() -> Iterator[Case]:
    nested = zipped({"inner.zip": zipped(GOOD), "readme.txt": b"x"})
    yield case("an archive inside.zip", nested, refused=True)
    yield case("an archive beside.zip", zipped({**GOOD, "nut/more.zip": zipped(GOOD)}))
    for name, mark in (
        ("7z", b"7z\xbc\xaf\x27\x1c"),
        ("rar", b"Rar!\x1a\7\1\0"),
        ("cab", b"MSCF"),
        ("iso", bytes(40_000)),
    ):
        yield case(f"of another kind.{name}", mark + bytes(500), refused=True)
    bombs = [f"{name}/bomb{i}.png" for name in sets.CLASSES for i in range(2)]
    yield case("300 MiB each.zip", lambda: zipped({**GOOD, **dict.fromkeys(bombs, bytes(300 << 20))}), unread=4)
    one = lambda: bz2.compress(tar({**GOOD, "nut/x.png": bytes(300 << 20)}))  # noqa: E731
    yield case("300 MiB.tar.bz2", one, unread=1)
    yield case("4 GiB of zeros.tar.gz", lambda: _zeros(tar(GOOD).rstrip(b"\0")))
    yield case("300,000 names.zip", lambda: _names(300_000))
    yield case("texts alone.zip", zipped({"bolt/a.txt": b"x", "nut/b.txt": b"x"}), refused=True)
    yield case("one class.zip", zipped({f"bolt/{i}.png": packed(picture(i)) for i in range(9)}), refused=True)
    yield case("no folder.zip", zipped({f"{i}.png": packed(picture(i)) for i in range(9)}), refused=True)


def _zeros(body: bytes) -> bytes:
    """A tar with 4 GiB behind its end, in 4 MiB."""
    packer, file = zlib.compressobj(9, wbits=31), io.BytesIO()
    file.write(packer.compress(body + bytes(-len(body) % 512)))
    piece = bytes(1 << 24)
    for _ in range(256):
        file.write(packer.compress(piece))
    file.write(packer.flush())
    return file.getvalue()


def _names(count: int) -> bytes:
    return zipped({**GOOD, **{f"nut/{i}.txt": b"" for i in range(count)}}, zipfile.ZIP_STORED)


if __name__ == "__main__":
    sys.exit(main("archives", cases, sets.base))
