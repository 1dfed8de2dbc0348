"""Names of folders, and image files as bytes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.formats.encoding import Encoding, decode, encode
from pipeline.formats.names import class_name, folder_names

# Control characters and lone surrogates are refused; everything else must come through.
NAMES_OF = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")
NAMES = st.text(NAMES_OF, min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("classes", "folders"),
    [
        (["Prunus avium", "cat", "v1.2", "日本"], ["Prunus avium", "cat", "v1.2", "日本"]),
        ([".", "..", ".hidden", "50%", "a/b", "c:d", "end."], None),
        (["..", ".hidden", "50%", "a/b", "c:d", "end."], ["%2E%2E", "%2Ehidden", "50%25", "a%2Fb", "c%3Ad", "end%2E"]),
        (["CON", "NUL.txt", "console"], ["%43ON", "%4EUL.txt", "console"]),
        (["bolt", "con", "nut"], ["0__bolt", "1__con", "2__nut"]),
        (["zebra", "ant"], ["0__zebra", "1__ant"]),
        (["A", "a", "b"], ["0__A", "1__a", "2__b"]),
        (["e\u0301", "é"], ["0__e\u0301", "1__é"]),
        (["a", "__pycache__"], ["0__a", "1____pycache__"]),
        (["0__a", "b"], ["0__0__a", "1__b"]),
        ([str(number) for number in range(11)], [f"{number:02d}__{number}" for number in range(11)]),
    ],
)
def test_folder_names_keep_what_is_safe_and_in_order(classes: list[str], folders: list[str] | None) -> None:
    found = folder_names(classes)
    assert folders is None or found == folders
    assert [class_name(folder) for folder in found] == classes


@given(st.lists(NAMES, min_size=1, max_size=12, unique=True))
def test_folder_names_are_reversible_in_order_and_differ_without_case(classes: list[str]) -> None:
    folders = folder_names(classes)
    assert [class_name(folder) for folder in folders] == classes
    assert folders == sorted(folders)
    assert len({folder.casefold() for folder in folders}) == len(classes)
    for folder in folders:
        assert folder == Path(folder).name
        assert folder not in (".", "..")
        assert not set(folder) & set('<>:"/\\|?*')
        assert folder[0] not in ". "
        assert not folder.startswith("__")
        assert folder[-1] not in ". "


@given(st.lists(st.text(NAMES_OF, min_size=1, max_size=400), min_size=1, max_size=11, unique=True))
def test_long_names_are_cut_to_what_a_file_system_takes(classes: list[str]) -> None:
    folders = folder_names(classes)
    assert folders == sorted(set(folders))
    for name, folder in zip(classes, folders, strict=True):
        assert len(folder.encode()) <= 255
        assert folder[-1] not in ". "
        assert name.startswith(class_name(folder))


@pytest.mark.parametrize("name", ["", "a\nb", "\x00", "lone \udce9", "x\ufffe"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="class"):
        folder_names(["fine", name])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "webp-lossless"])
def test_an_image_file_holds_its_pixels_and_is_the_same_twice(name: str, channels: int) -> None:
    ramp = np.add.outer(np.arange(9), np.arange(7)) * 8 + np.arange(channels)[:, None, None] * 30
    image, encoding = ramp.astype(np.uint8), Encoding(name, 95)
    content = encode(image, encoding, "<packet/>")
    assert content == encode(image.copy(), encoding, "<packet/>")
    read = decode(content, channels)
    assert (read.shape, read.dtype) == ((channels, 9, 7), np.uint8)
    if encoding.lossless:
        np.testing.assert_array_equal(read, image)
    else:
        assert np.abs(read.astype(int) - image).mean() < 6


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_quality_costs_bytes(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    sizes = [len(encode(image, Encoding(name, quality))) for quality in (20, 60, 100)]
    assert sizes == sorted(sizes) and sizes[0] < 0.6 * sizes[2]


def test_jpeg_keeps_the_colour_of_single_pixels() -> None:
    image = np.zeros((3, 16, 16), np.uint8)
    image[0, :, ::2] = image[2, :, 1::2] = 255  # red and blue by turns: halved colour is purple
    read = decode(encode(image, Encoding("jpeg", 95)), 3)
    assert np.abs(read.astype(int) - image).mean() < 10


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "webp-lossless"])
def test_no_packet_leaves_no_trace(name: str) -> None:
    content = encode(np.zeros((3, 4, 4), np.uint8), Encoding(name))
    assert b"iTXt" not in content and b"xap" not in content and b"XMP" not in content


def test_what_is_no_image_cannot_be_decoded() -> None:
    whole = encode(np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8), Encoding())
    for damaged, said in ((b"", "cannot identify"), (b"text", "cannot identify"), (whole[:1000], "truncated")):
        with pytest.raises(OSError, match=said):
            decode(damaged, 3)
