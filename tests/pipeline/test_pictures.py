import numpy as np

from pipeline.report.pictures import ALARM, GAP, Pair, grid, pairs


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
