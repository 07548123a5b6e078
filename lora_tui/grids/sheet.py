"""A labelled sheet of pictures: rows and columns with their names, ready to be looked at. Needs Pillow, inside.

Labels are drawn in a font of this machine that has all their signs, see :mod:`lora_tui.records.fonts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_tui.records.fonts import font_for
from lora_tui.text import plain

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

PAPER = (255, 255, 255)
INK = (40, 40, 46)
EMPTY = (228, 228, 232)
GAP = 4
"""Px between pictures and around them."""
MARGIN = 112
"""Px for the names of rows."""
TEXT = 11
"""Px of the letters of pictures of 128 px; they grow with them."""
LINE = 15
"""Px from line to line of such letters."""
MOST_TEXT = 40
MOST_LINES = 6
MOST_SIDE = 16_000
"""Px of a sheet: what more programs open. Larger ones have smaller pictures."""
MOST_PIXELS = 80_000_000
LEAST_CELL = 16
"""Px of the shorter side of a picture on a sheet that is as small as it may be."""


@dataclass(frozen=True)
class Layout:
    """Px of the parts of a sheet."""

    cell: tuple[int, int]
    left: int
    head: int
    top: int
    text: int
    foot: int = 0

    @property
    def line(self) -> int:
        return LINE * self.text // TEXT

    def size(self, columns: int, rows: int) -> tuple[int, int]:
        return self.left + columns * (self.cell[0] + GAP), self.top + rows * self.down

    @property
    def down(self) -> int:
        """From a row to the next; ``foot`` is for the words below a picture."""
        return self.cell[1] + GAP + self.foot


def draw_sheet(
    pictures: Sequence[Sequence[Image | str]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    below: Sequence[Sequence[str]] = (),
) -> Image:
    """The sheet (RGB). The columns' names stand above, the rows' at the left, ``below`` a line for each picture.

    Pictures stand in boxes of the size of the widest and the highest, smaller where the sheet would be too large. Where
    there is no picture there is a text that says why.

    Raises:
        ValueError: there is no picture, or the names are not as many as rows and columns.
    """
    from PIL import Image, ImageDraw

    if not pictures or not columns or len(rows) != len(pictures) or any(len(row) != len(columns) for row in pictures):
        raise ValueError("the sheet's names and pictures do not match")
    layout = _layout(pictures, rows, columns, title, foot=bool(below))
    words = (title, *rows, *columns, *(word for line in below for word in line))
    font, _whole = font_for("".join(words), layout.text)
    sheet = Image.new("RGB", layout.size(len(columns), len(rows)), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), _cut(pen, plain(title), sheet.width - 2 * GAP, font), fill=INK, font=font)
    for number, name in enumerate(columns):
        across = layout.left + number * (layout.cell[0] + GAP)
        pen.text((across, layout.head), _cut(pen, plain(name), layout.cell[0], font), fill=INK, font=font)
    for number, (name, row) in enumerate(zip(rows, pictures, strict=True)):
        down = layout.top + number * layout.down
        lines = min(MOST_LINES, max(layout.cell[1] // layout.line, 1))
        _write(pen, name, (GAP, down), layout.left - 2 * GAP, lines, layout, font)
        for column, picture in enumerate(row):
            across = layout.left + column * (layout.cell[0] + GAP)
            _put(sheet, pen, picture, (across, down), layout)
            if below:
                told = _cut(pen, plain(below[number][column]), layout.cell[0], font)
                pen.text((across, down + layout.cell[1]), told, fill=INK, font=font)
    return sheet


def _layout(
    pictures: Sequence[Sequence[Image | str]], rows: Sequence[str], columns: Sequence[str], title: str, *, foot: bool
) -> Layout:
    """The largest boxes with which the sheet is not too large."""
    sizes = [one.size for row in pictures for one in row if not isinstance(one, str)] or [(128, 128)]
    largest = max(size[0] for size in sizes), max(size[1] for size in sizes)
    return _measured(room(largest, len(columns), len(rows)), rows, columns, title, foot=foot)


def room(largest: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """Px of a picture of the size ``largest`` on a sheet of so many: smaller where the sheet would be too large."""
    share = 1.0
    while True:
        cell = (max(round(largest[0] * share), 1), max(round(largest[1] * share), 1))
        whole = _measured(cell, ["x"], ["x"], "x", foot=True).size(columns, rows)
        if (max(whole) <= MOST_SIDE and whole[0] * whole[1] <= MOST_PIXELS) or min(cell) <= LEAST_CELL:
            return cell
        share *= 0.9


def _measured(cell: tuple[int, int], rows: Sequence[str], columns: Sequence[str], title: str, *, foot: bool) -> Layout:
    text = min(max(TEXT * min(cell) // 128, TEXT), MOST_TEXT)
    line = LINE * text // TEXT
    left = MARGIN * text // TEXT if any(rows) else GAP
    head = line + GAP if title else GAP
    return Layout(cell, left, head, head + (line + GAP if any(columns) else 0), text, line if foot else 0)


def _put(sheet: Image, pen: ImageDraw, picture: Image | str, at: tuple[int, int], layout: Layout) -> None:
    """A picture in its box, smaller where it is larger; or why there is none."""
    if isinstance(picture, str):
        pen.rectangle((*at, at[0] + layout.cell[0] - 1, at[1] + layout.cell[1] - 1), fill=EMPTY)
        font, _whole = font_for(picture, TEXT)
        lines = max(layout.cell[1] // (TEXT + 4) - 1, 1)
        place = (at[0] + GAP, at[1] + GAP)
        _write(pen, picture, place, layout.cell[0] - 2 * GAP, lines, Layout(layout.cell, 0, 0, 0, TEXT), font)
        return
    shown = picture.convert("RGB")
    share = min(layout.cell[0] / shown.width, layout.cell[1] / shown.height, 1.0)
    if share < 1:
        shown = shown.resize((max(int(shown.width * share), 1), max(int(shown.height * share), 1)))
    sheet.paste(shown, at)


def _write(pen: ImageDraw, text: str, at: tuple[int, int], width: int, lines: int, layout: Layout, font: Any) -> None:
    for number, line in enumerate(_lines(pen, plain(text), width, font)[:lines]):
        pen.text((at[0], at[1] + number * layout.line), line, fill=INK, font=font)


def _lines(pen: ImageDraw, text: str, width: int, font: Any) -> list[str]:
    """``text`` broken into lines of at most ``width`` px: between words, and within one that is longer."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, font=font) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for sign in word:
            if lines[-1] and pen.textlength(lines[-1] + sign, font=font) > width:
                lines.append("")
            lines[-1] += sign
    return lines


def _cut(pen: ImageDraw, text: str, width: int, font: Any) -> str:
    """As much of ``text`` as stands in ``width`` px."""
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(f"{text}…", font=font) > width:
        text = text[:-1]
    return f"{text}…"
