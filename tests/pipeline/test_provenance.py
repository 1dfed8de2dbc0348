"""The synthetic-media mark: written by us, read by us and by others."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import UserError
from pipeline.formats import png
from pipeline.provenance import SOURCE_TYPE, Mark, read_mark

MARK = Mark("ab" * 32, "Tür <b> & \"quote\" 'x'", 17, 2**62 + 5)
XML_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"))


def picture(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (channels, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_mark_is_read_back_from_a_png(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png.encode(picture(channels), MARK.xmp()))
    assert read_mark(path) == MARK


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_the_mark_is_read_back_from_other_formats(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "image"
    Image.fromarray(picture().transpose(1, 2, 0).copy()).save(path, kind, xmp=MARK.xmp().encode())
    assert read_mark(path) == MARK


@given(XML_TEXT, st.integers(0, 2**40), st.integers(0, 2**63 - 1))
def test_any_label_comes_through(label: str, index: int, seed: int) -> None:
    mark = Mark("0" * 64, label, index, seed)
    file = io.BytesIO(png.encode(picture(), mark.xmp()))
    assert read_mark(file) == mark  # type: ignore[arg-type]


def test_element_form_is_read_too(tmp_path: Path) -> None:
    packet = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <r:Description xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><i:DigitalSourceType>{SOURCE_TYPE}</i:DigitalSourceType>
    </r:Description><r:Description xmlns:o="urn:augmint:xmp:1#"><o:Generator>g</o:Generator><o:Class>c</o:Class>
    <o:Index>3</o:Index><o:Seed>4</o:Seed></r:Description></r:RDF></x:xmpmeta>"""
    path = tmp_path / "image.png"
    path.write_bytes(png.encode(picture(), packet))
    assert read_mark(path) == Mark("g", "c", 3, 4)


@pytest.mark.parametrize(
    "packet",
    [
        None,
        "not xml <",
        "<a/>",
        MARK.xmp().replace("trainedAlgorithmicMedia", "digitalCapture"),
        MARK.xmp().replace('Index="17"', 'Index="x"'),
    ],
)
def test_no_mark_where_there_is_none_of_ours(tmp_path: Path, packet: str | None) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png.encode(picture(), packet))
    assert read_mark(path) is None


def test_what_is_not_an_image_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "missing.png"):
        with pytest.raises(UserError, match=name):
            read_mark(tmp_path / name)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_the_mark(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png.encode(picture(), MARK.xmp()))
    command = ["exiftool", "-n", "-s3", "-XMP-iptcExt:DigitalSourceType", "-XMP:Class", "-XMP:Index", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == [SOURCE_TYPE, MARK.label, "17"]
