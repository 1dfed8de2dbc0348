"""Names, PNG files, the image-folder layout and the manifest."""

import hashlib
import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder as TorchvisionFolder

from pipeline.errors import UserError
from pipeline.formats import manifest, png
from pipeline.formats.imagefolder import ImageFolder
from pipeline.formats.manifest import SCHEMA, ManifestWriter, Row
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
def test_png_holds_the_very_pixels_and_is_the_same_twice(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 9, 7), dtype=np.uint8)
    content = png.encode(image, "<packet/>")
    assert content == png.encode(image.copy(), "<packet/>")
    with Image.open(io.BytesIO(content)) as read:
        assert read.mode == ("L" if channels == 1 else "RGB")
        pixels = np.asarray(read).reshape(9, 7, channels).transpose(2, 0, 1)
        assert read.info["xmp"] == b"<packet/>"
    np.testing.assert_array_equal(pixels, image)


def test_png_without_a_packet_has_no_text_chunk() -> None:
    assert b"iTXt" not in png.encode(np.zeros((1, 4, 4), np.uint8))


def test_image_folder_is_read_by_torchvision_with_every_class(tmp_path: Path) -> None:
    writer = ImageFolder(tmp_path / "set", ["a/b", "nothing", "zebra"])
    image = np.full((3, 4, 4), 9, np.uint8)
    file, digest = writer.add("x-000001", 0, image)
    writer.add("x-000002", 2, image)
    writer.close()
    assert file == "images/a%2Fb/x-000001.png"
    assert digest == hashlib.sha256((tmp_path / "set" / file).read_bytes()).hexdigest()
    read = TorchvisionFolder(str(tmp_path / "set" / "images"), allow_empty=True)
    assert [class_name(folder) for folder in read.classes] == ["a/b", "nothing", "zebra"]
    assert [label for _, label in read.samples] == [0, 2]
    assert {path.parent.name for path in (tmp_path / "set").rglob(".keep")} == {"nothing"}


def test_manifest_keeps_order_and_types_over_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "ROWS_PER_GROUP", 4)
    rows = [
        Row(f"{i}.png", "0" * 64, "é", 2, i, i % 2 == 0, 2**62 + i if i % 2 == 0 else None, None, "1")
        for i in range(11)
    ]
    for name in ("one", "two"):
        with ManifestWriter(tmp_path / name) as writer:
            for row in rows:
                writer.extend([row])
    table = pq.read_table(tmp_path / "one")
    assert table.schema == SCHEMA
    assert table.to_pylist() == [asdict(row) for row in rows]
    assert pq.ParquetFile(tmp_path / "one").num_row_groups == 3
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_manifest_of_nothing_still_has_its_columns(tmp_path: Path) -> None:
    with ManifestWriter(tmp_path / "empty") as writer:
        writer.extend([])
    table = pq.read_table(tmp_path / "empty")
    assert table.num_rows == 0
    assert table.schema == SCHEMA
