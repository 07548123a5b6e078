"""A terminal's cells as a picture: letters from a monospaced font, blocks and dots drawn to the pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

WIDTH, HEIGHT = 10, 20
"""Px of a cell."""
TEXT = 16
FONTS = ("DejaVuSansMono.ttf", "LiberationMono-Regular.ttf", "Menlo.ttc")
"""The first of these that the system has; Pillow's own letters otherwise."""
INK, GROUND = (220, 220, 220), (12, 12, 12)
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille character."""
Colour = tuple[int, int, int]


def draw_cells(lines: Sequence[Iterable[Segment]], columns: int) -> Image.Image:
    """The picture of ``lines`` of styled text, ``columns`` cells wide."""
    picture = Image.new("RGB", (columns * WIDTH, len(lines) * HEIGHT), GROUND)
    pen, font = ImageDraw.Draw(picture), _font()
    for row, line in enumerate(lines):
        column = 0
        for text, style, _control in line:
            ink, ground = _colours(style)
            for letter in text:
                wide = cell_len(letter)
                if not wide:
                    continue
                left, top = column * WIDTH, row * HEIGHT
                pen.rectangle((left, top, left + wide * WIDTH - 1, top + HEIGHT - 1), fill=ground)
                _draw(pen, letter, left, top, ink, font)
                if style is not None and style.bold:
                    pen.text((left + 1, top), letter if not _is_block(letter) else "", font=font, fill=ink)
                column += wide
    return picture


def _colours(style: Style | None) -> tuple[Colour, Colour]:
    """Ink and ground of a style."""
    ink, ground = INK, GROUND
    if style is not None and style.color is not None and style.color.triplet is not None:
        ink = tuple(style.color.triplet)
    if style is not None and style.bgcolor is not None and style.bgcolor.triplet is not None:
        ground = tuple(style.bgcolor.triplet)
    if style is not None and style.reverse:
        ink, ground = ground, ink
    if style is not None and style.dim:
        ink = tuple((a + b) // 2 for a, b in zip(ink, ground, strict=True))
    return ink, ground


def _is_block(letter: str) -> bool:
    return 0x2580 <= ord(letter) <= 0x259F or 0x2800 <= ord(letter) <= 0x28FF


def _draw(pen: ImageDraw.ImageDraw, letter: str, left: int, top: int, ink: Colour, font: ImageFont.ImageFont) -> None:
    code = ord(letter)
    right, bottom = left + WIDTH - 1, top + HEIGHT - 1
    if letter == "▀":
        pen.rectangle((left, top, right, top + HEIGHT // 2 - 1), fill=ink)
    elif 0x2581 <= code <= 0x2588:
        pen.rectangle((left, bottom + 1 - round(HEIGHT * (code - 0x2580) / 8), right, bottom), fill=ink)
    elif 0x2589 <= code <= 0x258F:
        pen.rectangle((left, top, left + round(WIDTH * (0x2590 - code) / 8) - 1, bottom), fill=ink)
    elif letter == "▐":
        pen.rectangle((left + WIDTH // 2, top, right, bottom), fill=ink)
    elif 0x2800 < code <= 0x28FF:
        for bit, (across, down) in enumerate(DOTS):
            if (code - 0x2800) >> bit & 1:
                x, y = left + 2 + across * 5, top + 2 + down * 5
                pen.rectangle((x, y, x + 1, y + 1), fill=ink)
    elif letter != " ":
        pen.text((left, top), letter, font=font, fill=ink)


def _font() -> ImageFont.ImageFont:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, TEXT)
        except OSError:
            continue
    return ImageFont.load_default(TEXT)


def save(picture: Image.Image, path: Path) -> None:
    """Write a PNG of few colours, which keeps a terminal's picture small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
