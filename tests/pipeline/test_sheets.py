"""Sheets of images and charts of figures."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.charts import confusion_figure, plot_confusion, plot_spectrum
from pipeline.drawing import inline_svg
from pipeline.sheets import ALARM, GAP, PAPER, Pair, grid, pairs, shortened, stacked


def test_small_images_are_enlarged_pixel_by_pixel() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    sheet = np.asarray(grid([[image]]))
    side = 48
    left, top = 2 * GAP, GAP
    tile = sheet[top : top + side, left : left + side]
    np.testing.assert_array_equal(tile[..., 0], np.kron(image[0], np.ones((6, 6), dtype=np.uint8)))
    np.testing.assert_array_equal(tile[..., 0], tile[..., 2])


def test_grid_takes_an_array_labels_headings_and_gaps() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 3, 64, 64), dtype=np.uint8)
    plain = grid(images)
    labelled = grid(images, ["a class with a name that goes on and on", "b"], [("real", 2), ("synthetic", 2)])
    assert plain.mode == labelled.mode == "RGB"
    assert labelled.width > plain.width
    assert labelled.height > plain.height
    gapped = np.asarray(grid([[images[0, 0], None], [images[1, 0], images[1, 1]]]))
    assert (gapped[GAP : GAP + 64, -64 - GAP :] == 255).all()
    assert (gapped[-64 - GAP : -GAP, -64 - GAP : -GAP] == np.moveaxis(images[1, 1], 0, -1)).all()


def test_large_images_are_reduced() -> None:
    sheet = grid(np.zeros((1, 2, 1, 256, 256), dtype=np.uint8))
    assert sheet.width < 300


def test_alarmed_pairs_are_framed_in_red() -> None:
    image = np.zeros((1, 8, 8), dtype=np.uint8)
    for alarm in (False, True):
        sheet = pairs([Pair(image, image, "3  0.0", alarm)] * 6, "heading")
        red = (np.asarray(sheet) == ALARM).all(axis=-1).any()
        assert red == alarm


def test_sheets_are_stacked_whole_on_white() -> None:
    sheet = np.asarray(stacked([Image.new("RGB", (4, 2), (9, 9, 9)), Image.new("RGB", (6, 3), (7, 7, 7))]))
    assert sheet.shape == (5, 6, 3)
    assert (sheet[:2, :4] == 9).all()
    assert (sheet[:2, 4:] == PAPER).all()
    assert (sheet[2:] == 7).all()


def test_a_long_name_is_cut_and_a_short_one_is_not() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"


def test_a_chart_of_many_classes_stays_small() -> None:
    counts = np.random.default_rng(0).poisson(0.3, (300, 300)) + np.eye(300, dtype=int) * 20
    svg = inline_svg(confusion_figure(counts.tolist(), [f"class {i}" for i in range(300)], "real"), "many", "many")
    assert len(svg) < 100_000
    assert re.findall(r'<image [^>]*href="(data:image/png;base64,)', svg)


@pytest.mark.parametrize("classes", [2, 40, 300])
def test_a_confusion_is_drawn_for_any_number_of_classes(classes: int, tmp_path: Path) -> None:
    counts = (np.eye(classes, dtype=int) * 9).tolist()
    counts[0] = [0] * classes  # a class without images
    confusion = {"synthetic": counts, "real": (np.eye(classes, dtype=int) * 9).tolist()}
    names = [f"a class of a rather long name, {label}" for label in range(classes)]
    plot_confusion(tmp_path / "confusion.png", confusion, names)
    with Image.open(tmp_path / "confusion.png") as picture:
        assert 400 < picture.width <= 1600
        assert picture.height < picture.width
        shades = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    darkest = np.array([int(255 - 0.55 * (255 - part)) for part in (0x4A, 0x70, 0xAE)])  # a whole row in one square
    assert (abs(shades.astype(int) - darkest) <= 1).all(axis=1).any()


def test_both_spectra_are_drawn(tmp_path: Path) -> None:
    spectrum = {
        "frequencies": [0.125, 0.25, 0.375, 0.5],
        "real": [4.0, 3.0, 2.0, 1.0],
        "synthetic": [4.0, 3.0, 3.0, 3.0],
    }
    plot_spectrum(tmp_path / "spectrum.png", spectrum)
    with Image.open(tmp_path / "spectrum.png") as picture:
        shades = {tuple(shade) for shade in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}
    assert {(0x4C, 0x72, 0xB0), (0xC4, 0x4E, 0x52)} <= shades
