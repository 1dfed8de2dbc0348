"""Sheets of images: a grid with class names beside its rows, and pairs with a caption below each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.escaping import terminal

TILE_LEAST, TILE_MOST = 48, 128  # pixels on the sheet
GAP = 4
FONT = ImageFont.load_default(13)
LINE = 18
LABEL_LONGEST = 24
INK, ALARM, PAPER = (32, 32, 32), (200, 0, 0), (255, 255, 255)


class Pair(NamedTuple):
    """Two uint8 images (C, H, W) of one size; ``alarm`` frames them and prints the caption in red."""

    left: np.ndarray
    right: np.ndarray
    caption: str
    alarm: bool = False


def grid(
    rows: Sequence[Sequence[np.ndarray | None]] | np.ndarray,
    labels: Sequence[str] = (),
    headings: Sequence[tuple[str, int]] = (),
) -> Image.Image:
    """Rows of images on white. Small ones are enlarged without smoothing, so that their pixels can be seen.

    Args:
        rows: uint8 images (C, H, W), C 1 or 3, all of one size; ``None`` leaves a gap; or an array
            (R, K, C, H, W).
        labels: one beside each row, or none.
        headings: texts above the columns, each with how many columns it spans; a wider gap parts them.

    Returns:
        An RGB image.
    """
    side = _tile_side(next(image for row in rows for image in row if image is not None))
    starts = {sum(count for _, count in headings[:i]): text for i, (text, _) in enumerate(headings)}
    texts = [shortened(label, LABEL_LONGEST) for label in labels]
    left = max((int(FONT.getlength(text)) for text in texts), default=0) + 2 * GAP
    top = LINE + GAP if headings else GAP
    columns = max(len(row) for row in rows)
    x_of = [left + k * (side + GAP) + 3 * GAP * sum(0 < start <= k for start in starts) for k in range(columns)]
    sheet = Image.new("RGB", (x_of[-1] + side + GAP, top + len(rows) * (side + GAP)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for start, text in starts.items():
        draw.text((x_of[start], GAP), text, INK, FONT)
    for r, row in enumerate(rows):
        y = top + r * (side + GAP)
        if texts:
            draw.text((GAP, y + side // 2), texts[r], INK, FONT, anchor="lm")
        for k, image in enumerate(row):
            if image is not None:
                sheet.paste(_tile(image, side), (x_of[k], y))
    return sheet


def pairs(items: Sequence[Pair], heading: str, columns: int = 5) -> Image.Image:
    """Pairs side by side with their captions below, ``columns`` pairs a row, under a heading.

    Returns:
        An RGB image.
    """
    side = _tile_side(items[0].left)
    width, height = max(2 * side, 96) + 6 * GAP, side + LINE + 3 * GAP
    top = LINE + 2 * GAP
    across = max(width * min(columns, len(items)), int(FONT.getlength(heading)) + 4 * GAP)
    sheet = Image.new("RGB", (across, top + height * -(-len(items) // columns)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((2 * GAP, GAP), heading, INK, FONT)
    for i, item in enumerate(items):
        x, y = i % columns * width + 2 * GAP, top + i // columns * height
        if item.alarm:
            draw.rectangle((x - 2, y - 2, x + 2 * side + GAP + 1, y + side + 1), outline=ALARM, width=2)
        sheet.paste(_tile(item.left, side), (x, y))
        sheet.paste(_tile(item.right, side), (x + side + GAP, y))
        draw.text((x, y + side + GAP), item.caption, ALARM if item.alarm else INK, FONT)
    return sheet


def stacked(sheets: Sequence[Image.Image]) -> Image.Image:
    """Sheets one below the other, as one RGB image."""
    whole = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)), PAPER)
    y = 0
    for sheet in sheets:
        whole.paste(sheet, (0, y))
        y += sheet.height
    return whole


def _tile_side(image: np.ndarray) -> int:
    size = image.shape[-1]
    return size * -(-TILE_LEAST // size) if size < TILE_LEAST else min(size, TILE_MOST)


def _tile(image: np.ndarray, side: int) -> Image.Image:
    pixels = np.ascontiguousarray(np.moveaxis(image, 0, -1))
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("RGB")
    return picture.resize((side, side), Image.Resampling.NEAREST if side >= picture.width else Image.Resampling.BOX)


def shortened(text: str, longest: int) -> str:
    """``text`` in one line of at most ``longest`` characters."""
    line = terminal(text)
    return line if len(line) <= longest else line[: longest - 1] + "…"
