"""A labelled sheet of pictures: rows and columns with their names, ready to be looked at. Needs Pillow, inside.

The labels are drawn in the font that Pillow brings, which has Latin letters only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

PAPER = (255, 255, 255)
INK = (40, 40, 46)
GAP = 4
"""Px between pictures and around them."""
MARGIN = 112
"""Px for the names of rows."""
TEXT = 11
"""Px of the letters."""
LINE = 15
"""Px from line to line."""
MOST_LINES = 6


def draw_sheet(
    pictures: Sequence[Sequence[Image]], *, rows: Sequence[str], columns: Sequence[str], title: str = ""
) -> Image:
    """The sheet (RGB). All pictures have the size of the first; the columns' names stand above, the rows' at the left.

    Raises:
        ValueError: there is no picture, or the names are not as many as rows and columns.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not pictures or not columns or len(rows) != len(pictures) or any(len(row) != len(columns) for row in pictures):
        raise ValueError("the sheet's names and pictures do not match")
    font = ImageFont.load_default(TEXT)
    width, height = pictures[0][0].size
    left = MARGIN if any(rows) else GAP
    head = LINE + GAP if title else GAP
    top = head + (LINE + GAP if any(columns) else 0)
    size = (left + len(columns) * (width + GAP), top + len(rows) * (height + GAP))
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), title, fill=INK, font=font)
    for number, name in enumerate(columns):
        across = left + number * (width + GAP)
        pen.text((across, head), _lines(pen, name, width, font)[0], fill=INK, font=font)
    for number, (name, row) in enumerate(zip(rows, pictures, strict=True)):
        down = top + number * (height + GAP)
        for at, line in enumerate(_lines(pen, name, left - 2 * GAP, font)[: min(MOST_LINES, height // LINE)]):
            pen.text((GAP, down + at * LINE), line, fill=INK, font=font)
        for column, picture in enumerate(row):
            sheet.paste(picture.convert("RGB"), (left + column * (width + GAP), down))
    return sheet


def _lines(pen: ImageDraw, text: str, width: int, font: object) -> list[str]:
    """``text`` broken between words into lines of at most ``width`` px; a longer word stands alone."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and pen.textlength(longer, font=font) > width:  # type: ignore[arg-type]
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
