"""Files known by content, against Pillow's own writers and readers."""

import io
import random
from collections.abc import Callable

import pytest
from PIL import Image

from pipeline.sources.base import FORMATS, BadImageError, split_of
from pipeline.sources.kinds import IMAGE, SUFFIXES, UNREAD, Kind, kind_of

Image.init()


def head(data: bytes) -> Callable[[], bytes]:
    return lambda: data[:64]


def encoded(name: str, mode: str = "RGB", size: tuple[int, int] = (9, 7)) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 1).save(file, name)
    return file.getvalue()


def test_the_formats_are_pillows_and_every_suffix_is_one_of_them() -> None:
    assert set(FORMATS) <= set(Image.OPEN)
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in SUFFIXES} == {*FORMATS, "MPO"}
    assert not set(SUFFIXES) & set(UNREAD)
    assert {suffix for suffix, name in known.items() if name in FORMATS} - set(SUFFIXES) == {".icb", ".vda", ".vst"}


def test_nothing_that_starts_a_program_or_reads_text_is_a_format() -> None:
    others = {"EPS", "WMF", "FITS", "XPM", "XBM", "IM", "IMT", "MCIDAS", "GRIB", "BUFR", "HDF5", "MPEG"}
    assert not others & set(FORMATS)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "TGA"])
@pytest.mark.parametrize("suffix", ["", ".dat", ".imgx"])
def test_a_format_is_known_by_its_first_bytes(name: str, suffix: str) -> None:
    modes = ("1", "L", "RGB") if name in ("PPM", "PNG", "TIFF", "BMP") else ("RGB",)
    for mode in modes:
        data = encoded(name, mode)
        assert Image.open(io.BytesIO(data), formats=FORMATS).format == name
        assert kind_of(f"x{suffix}", head(data)) == IMAGE


def test_a_listed_suffix_is_not_looked_into() -> None:
    def never() -> bytes:
        raise AssertionError

    assert all(kind_of(f"X{suffix.upper()}", never) == IMAGE for suffix in SUFFIXES)


@pytest.mark.parametrize("name", ["PSD", "ICO", "ICNS", "PCX", "SGI", "DDS", "EPS"])
def test_an_image_that_is_not_read_is_said_by_its_format(name: str) -> None:
    data = b"8BPS\0\1" + bytes(58) if name == "PSD" else encoded(name)
    assert kind_of("x", head(data)) == Kind(f"{name}, which is not read", True)


TEXTS = [
    *(b"Patient 1\n", b"P1 was ill", b"Python", b"BMI,age\n", b"{}", b"<xml>", b"\xef\xbb\xbfa,b", b"GIF of", b"P5,3"),
    *("a,b".encode("utf-16"), "Käse".encode("latin-1"), b"path,label\na.png,x\n"),
]


@pytest.mark.parametrize("data", TEXTS)
def test_texts_are_texts(data: bytes) -> None:
    assert kind_of("x.csv", head(data)) == Kind("text", False)
    assert kind_of("x", head(data)) == Kind("text", False)


def test_a_text_that_is_called_like_an_image_is_a_loss() -> None:
    assert kind_of("x.svg", head(b"<svg>")) == Kind("not an image, though it is called .svg", True)


def test_whatever_the_bytes_something_is_said() -> None:
    generator = random.Random(0)
    for length in range(64):
        for _ in range(20):
            assert isinstance(kind_of("x", head(generator.randbytes(length))), Kind)


def test_a_file_that_cannot_be_opened() -> None:
    def refused() -> bytes:
        raise BadImageError("cannot be read", "Permission denied")

    assert kind_of("x", refused) == Kind("cannot be read", True)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(
            ("train", "train"),
            ("Training", "train"),
            ("01_train", "train"),
            ("train-set", "train"),
            ("a.train.b", "train"),
        ),
        *(("VALID", "val"), ("dev", "val"), ("val2017", "val"), ("eval", "test"), ("my test 2", "test")),
        *(("trainset", None), ("trainval", None), ("train_val", None), ("latest", None), ("retrain", None), ("", None)),
    ],
)
def test_split_words(name: str, split: str | None) -> None:
    assert split_of(name) == split
