"""Links inside archives, names in every writing, and members that are no files."""

import gzip
import io
import os
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.sources.archives.members import ARCHIVE
from tests.pipeline.sources.packing import CONTENT, Entry, Files, member, opened, png, raw_zip, read, tar

SYMLINK, HARD, MODE_LINK = tarfile.SYMTYPE, tarfile.LNKTYPE, stat.S_IFLNK | 0o777
ENTRIES = [Entry(name.encode(), data) for name, data in CONTENT.items()]


def zip_with_links(content: Files, *links: tuple[str, str]) -> bytes:
    pointers = [Entry(name.encode(), target.encode(), mode=MODE_LINK) for name, target in links]
    return raw_zip([*pointers, *(Entry(name.encode(), data) for name, data in content.items())])


def tar_with_links(content: Files, *links: tuple[str, str]) -> bytes:
    """The links come first, so that each points forwards."""
    pointers = [(member(name, 0, SYMLINK, target), b"") for name, target in links]
    return tar({}, *pointers, *((member(name, len(data)), data) for name, data in content.items()))


LINKED: dict[str, Callable[..., bytes]] = {
    "zip": zip_with_links,
    "tar": tar_with_links,
    "tar.gz": lambda *parts: gzip.compress(tar_with_links(*parts)),
}


def on_disk(path: Path, folder: Path) -> Files:
    """What a walk finds after unpacking by the system's own links; a folder in itself is not entered."""
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="fully_trusted")
    found = {}
    for root, folders, files in os.walk(folder, followlinks=True):
        inside = os.path.realpath(root)
        folders[:] = [name for name in folders if not inside.startswith(os.path.realpath(Path(root, name)))]
        paths = [Path(root, name) for name in files]
        found |= {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    return found


GOOD_LINKS = [
    ("set/d/1.png", "../a/0.png"),
    ("set/d/2.png", "./..//a/../b/1.png"),
    ("set/d/chain.png", "2.png"),
    ("set/e", "a"),  # a whole class
    ("set/f", "e/../c"),
    ("set/b/more", "../a"),
    ("set/a/round", ".."),
    ("set/a/self", "self"),
]


@pytest.mark.parametrize("packing", LINKED)
def test_links_give_what_they_lead_to(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.write_bytes(tar_with_links(CONTENT, *GOOD_LINKS))
    expected = on_disk(path, tmp_path / "unpacked")
    path.write_bytes(LINKED[packing](CONTENT, *GOOD_LINKS))
    found = read(path)
    assert found == expected
    assert found["set/f/1.png"] == CONTENT["set/c/1.png"]
    assert opened(path).listing.ignored["linked back to a folder above"] >= 1


@pytest.mark.parametrize("packing", LINKED)
def test_links_that_lead_nowhere_are_counted(packing: str, tmp_path: Path) -> None:
    links = [
        ("set/a/out.png", "../../../etc/x.png"),
        ("set/a/root.png", "/etc/x.png"),
        ("set/b/gone.png", "nothing.png"),
        ("set/c/one.png", "two.png"),
        ("set/c/two.png", "one.png"),
    ]
    path = tmp_path / "set"
    path.write_bytes(LINKED[packing](CONTENT, *links))
    assert read(path) == CONTENT
    reasons = {"linked out of the archive": 2, "linked to nothing": 3}
    assert opened(path).listing.ignored == reasons
    path.write_bytes(LINKED[packing](CONTENT, *links, ("set/a/more.png", "nothing.png")))
    with pytest.raises(UserError, match=r"class 'a' would keep 2 of its 5 files: 2 linked out.*, 1 linked to nothing"):
        opened(path)


@pytest.mark.parametrize("packing", LINKED)
def test_links_that_multiply_without_end_are_refused(packing: str, tmp_path: Path) -> None:
    links = [(f"set/l{level}/{side}", f"../l{level + 1}") for level in range(35) for side in "xy"]
    path = tmp_path / "set"
    path.write_bytes(LINKED[packing](CONTENT, *links, ("set/l35/z", "gone")))
    with pytest.raises(UserError, match="its links lead into one another more than 65,536 times"):
        opened(path)


@pytest.mark.parametrize("packing", LINKED)
def test_a_link_for_each_of_many_images_in_linked_folders_is_followed(packing: str, tmp_path: Path) -> None:
    links = [(f"set/b/l{number}.png", "../a/0.png") for number in range(5000)]
    path = tmp_path / "set"
    path.write_bytes(LINKED[packing](CONTENT, *links, *((f"set/d{number}", "b") for number in range(4))))
    assert len(read(path)) == len(CONTENT) + 5000 + 4 * (5000 + 2)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_hard_links(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    links = [
        (member("set/d/1.png", 0, HARD, "set/a/0.png"), b""),
        (member("set/d/2.png", 0, HARD, "./set/d/1.png"), b""),
        (member("set/d/s.png", 0, SYMLINK, "../a/1.png"), b""),
        (member("set/d/h.png", 0, HARD, "set/d/s.png"), b""),
    ]
    path = tmp_path / "set"
    path.write_bytes(pack(tar(CONTENT, *links)))
    assert read(path) == on_disk(path, tmp_path / "unpacked")
    path.write_bytes(pack(tar(CONTENT, *links, (member("set/d/3.png", 0, HARD, "set/gone.png"), b""))))
    assert opened(path).listing.ignored == {"linked to nothing": 1}


def test_what_is_no_file_is_counted(tmp_path: Path) -> None:
    kinds = [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
    special = [(member(f"set/{name}/9.png", 0, kind), b"") for name, kind in zip("abc", kinds, strict=True)]
    path = tmp_path / "set"
    path.write_bytes(tar(CONTENT, *special, (member("set/a/odd.png", 0, b"Q"), b""), (member("set/a", 0, b"5"), b"")))
    assert read(path) == CONTENT
    assert opened(path).listing.ignored == {"special (pipe, socket or device)": 3, "of a kind that is not known": 1}
    path.write_bytes(raw_zip([*ENTRIES, Entry(b"set/a/10.png", b"", mode=stat.S_IFSOCK | 0o644)]))
    assert opened(path).listing.ignored == {"special (pipe, socket or device)": 1}
    path.write_bytes(raw_zip([*ENTRIES, Entry(b"set/a/10.png", png(9), mode=stat.S_IFSOCK | 0o644)]))
    assert read(path) == CONTENT | {"set/a/10.png": png(9)}  # a socket with bytes is a file, as for unzip


def test_an_image_marked_as_a_link_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.write_bytes(raw_zip([*ENTRIES, Entry(b"set/a/10.png", png(9), mode=MODE_LINK)]))
    with pytest.raises(UserError, match=r"'set/a/10\.png' is marked as a link and holds no path"):
        opened(path)


@pytest.mark.parametrize("name", ["set/a/1.png", "./set//a/./1.png"])
def test_the_later_of_two_members_counts(name: str, tmp_path: Path) -> None:
    path = tmp_path / "set"
    archives = [
        tar(CONTENT, (member(name, len(png(7))), png(7))),
        gzip.compress(tar(CONTENT, (member(name, len(png(7))), png(7)))),
        raw_zip([*ENTRIES, Entry(name.encode(), png(7))]),
    ]
    for data in archives:
        path.write_bytes(data)
        assert read(path) == CONTENT | {"set/a/1.png": png(7)}
        assert opened(path).listing.ignored == {"replaced by a later member of the same name": 1}


def test_archives_inside_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "set"
    for pack in LINKED.values():
        path.write_bytes(pack(CONTENT | {"set/a/d.ZIP": b"x", "set/e.tar.gz": b"y"}))
        assert opened(path).listing.ignored == {ARCHIVE: 2}
    path.write_bytes(tar({"train.zip": b"x", "test.zip": b"y"}))
    with pytest.raises(UserError, match=f"2 {ARCHIVE}"):
        opened(path)


def test_empty_folders_are_named(tmp_path: Path) -> None:
    path = tmp_path / "set"
    folders = ["set", "set/d", "set/e", "set/e/f", "set/a"]
    for data in (
        tar(CONTENT, *((member(name, 0, tarfile.DIRTYPE), b"") for name in folders)),
        raw_zip([*ENTRIES, *(Entry(f"{name}/".encode(), b"") for name in folders)]),
    ):
        path.write_bytes(data)
        assert opened(path).listing.ignored == {"empty folders ('set/d', 'set/e/f')": 2}


def two_classes(*raw: bytes, **fields: object) -> list[Entry]:
    return [Entry(b"set/" + name + b"/1.png", png(level), **fields) for level, name in enumerate(raw)]  # type: ignore[arg-type]


def info_zip(name: bytes, text: str) -> bytes:
    field = struct.pack("<BL", 1, zlib.crc32(name)) + text.encode()
    return struct.pack("<HHL", 0x9999, 4, 0) + struct.pack("<HH", 0x7075, len(field)) + field


def test_zip_names_in_utf8_with_the_flag_without_it_and_in_an_extra_field(tmp_path: Path) -> None:
    path = tmp_path / "set"
    names = ["café", "thé", "猫"]
    raw = [unicodedata.normalize("NFD", name).encode() for name in names]
    for flags in (0, 0x800):
        path.write_bytes(raw_zip(two_classes(*raw, flags=flags)))
        assert set(read(path)) == {f"set/{unicodedata.normalize('NFD', name)}/1.png" for name in names}
    entries = [
        Entry(gbk, png(level), extra=info_zip(gbk, f"set/{name}/1.png"))
        for level, name in enumerate("猫狗")
        for gbk in [f"set/{name}/1.png".encode("gbk")]
    ]
    path.write_bytes(raw_zip(entries))
    assert set(read(path)) == {"set/猫/1.png", "set/狗/1.png"}
    entries[0].extra = info_zip(b"another", "set/x/1.png")  # of a name that was changed since
    path.write_bytes(raw_zip([*entries, Entry(b"set/a/1.png", png(9))]))
    assert "set/x/1.png" not in zipfile.ZipFile(path).namelist()


GBK = [name.encode("gbk") for name in "猫狗"]  # the first one happens to be UTF-8 too: è


@pytest.mark.parametrize(
    "data",
    [
        raw_zip(two_classes(*GBK)),
        raw_zip([*two_classes(b"a", GBK[0]), Entry("说明.txt".encode("gbk"), b"read me")]),
        raw_zip(two_classes("café".encode("cp437"), b"a")),
    ],
)
def test_zip_names_in_an_unknown_code_page_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"names such as b'set/.*\\x.*' are in a code page that"):
        opened(path)


def test_such_a_name_of_no_image_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.write_bytes(raw_zip([*ENTRIES, Entry("说明.txt".encode("gbk"), b"read me")]))
    assert read(path) == CONTENT


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_tar_names_in_an_unknown_code_page_are_refused(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path, file = tmp_path / "set", io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        for name in ("a", "thé"):
            archive.addfile(member(f"{name}/1.png", len(png(1))), io.BytesIO(png(1)))
    path.write_bytes(pack(file.getvalue()))
    with pytest.raises(UserError, match=r"names such as b'th\\xe9/1.png' are in a code page"):
        opened(path)


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        (b"set/\xff\xfe/1.png", 0x800, r"the name b'set/\\xff\\xfe/1.png' is marked as UTF-8 and is none"),
        (b"set/c/1.png\0.txt", 0, r"'set/c/1.png\\x00.txt' has a NUL in it"),
        (b"set/c/" + b"x" * 5000, 0, "more than 4,096 characters"),
    ],
)
def test_zip_names_that_cannot_be(name: bytes, flags: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.write_bytes(raw_zip([*ENTRIES, Entry(name, png(9), flags=flags)]))
    with pytest.raises(UserError, match=message):
        opened(path)


def test_backslashes_are_folders_where_dos_or_the_whole_archive_says_so(tmp_path: Path) -> None:
    path = tmp_path / "set"
    dos = [Entry(name.encode().replace(b"/", b"\\"), data, system=0) for name, data in CONTENT.items()]
    path.write_bytes(raw_zip([Entry(b"set\\a\\", b"", system=0), *dos, Entry(b"set/d/1.png", png(9), system=0)]))
    assert read(path) == CONTENT | {"set/d/1.png": png(9)}
    unix = [Entry(name.encode().replace(b"/", b"\\"), data) for name, data in CONTENT.items()]
    path.write_bytes(raw_zip(unix))
    assert read(path) == CONTENT
    path.write_bytes(raw_zip([*ENTRIES, Entry(b"set/a/x\\y.png", png(9))]))
    assert read(path) == CONTENT | {"set/a/x\\y.png": png(9)}
