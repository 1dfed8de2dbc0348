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
NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), min_size=1, max_size=12
)


@pytest.mark.parametrize(
    ("classes", "folders"),
    [
        (["cat", "Prunus avium", "日本", "v1.2"], ["cat", "Prunus avium", "日本", "v1.2"]),
        (
            ["a/b", "50%", "c:d", ".hidden", "..", "end.", " x "],
            ["a%2Fb", "50%25", "c%3Ad", "%2Ehidden", "%2E%2E", "end%2E", "%20x%20"],
        ),
        (["con", "Con.txt", "console", "NUL"], ["%63on", "%43on.txt", "console", "%4EUL"]),
        (["A", "a", "b"], ["A", "%61", "b"]),
        (["é", "e\u0301"], ["é", "%65%CC%81"]),
    ],
)
def test_folder_names_keep_what_is_safe_and_encode_the_rest(classes: list[str], folders: list[str]) -> None:
    assert folder_names(classes) == folders
    assert [class_name(folder) for folder in folders] == classes


@given(st.lists(NAMES, min_size=1, max_size=8, unique=True))
def test_folder_names_are_reversible_and_differ_without_case(classes: list[str]) -> None:
    folders = folder_names(classes)
    assert [class_name(folder) for folder in folders] == classes
    assert len({folder.casefold() for folder in folders}) == len(classes)
    for folder in folders:
        assert folder == Path(folder).name
        assert folder not in (".", "..")
        assert not set(folder) & set('<>:"/\\|?*')
        assert folder[0] not in ". "
        assert folder[-1] not in ". "


@pytest.mark.parametrize("name", ["", "a\nb", "\x00", "lone \udce9", "x" * 256, "é" * 128])
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
