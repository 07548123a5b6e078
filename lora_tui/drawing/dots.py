"""A grid of dots shown as characters: braille (2 x 4 dots a cell), blocks (2 x 2) or ASCII (1 x 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DotStyle = Literal["braille", "blocks", "ascii"]

_BRAILLE_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = " " + "".join(chr(0x2800 + bits) for bits in range(1, 256))
_BLOCK_BITS = ((1, 2), (4, 8))
_BLOCKS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_ASCII_BITS = ((1,), (2,), (4,))
_ASCII = " '-\".:_|"


@dataclass(frozen=True)
class Glyphs:
    """How dots become characters: dots across and down a cell, the bit of each, and the character of each mask."""

    across: int
    down: int
    bits: tuple[tuple[int, ...], ...]
    chars: str
    spans: tuple[tuple[tuple[int, ...], ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        """``spans[side][top][bottom]`` is the mask of a column's dots from ``top`` to ``bottom`` within a cell."""
        lines = range(self.down)
        object.__setattr__(
            self,
            "spans",
            tuple(
                tuple(
                    tuple(sum(self.bits[y][side] for y in range(top, bottom + 1)) for bottom in lines) for top in lines
                )
                for side in range(self.across)
            ),
        )


GLYPHS: dict[str, Glyphs] = {
    "braille": Glyphs(2, 4, _BRAILLE_BITS, _BRAILLE),
    "blocks": Glyphs(2, 2, _BLOCK_BITS, _BLOCKS),
    "ascii": Glyphs(1, 3, _ASCII_BITS, _ASCII),
}
"""An empty cell is a space in every style: one byte on the wire, and no font lacks it."""


class Dots:
    """Dots of one curve on ``width`` x ``height`` cells. Dot (0, 0) is at the upper left."""

    def __init__(self, width: int, height: int, style: DotStyle) -> None:
        self.glyphs = GLYPHS[style]
        self.width = width
        self.height = height
        self.columns = width * self.glyphs.across
        self.lines = height * self.glyphs.down
        self._cells = [bytearray(width) for _row in range(height)]

    def column(self, x: int, top: int, bottom: int) -> None:
        """Set the dots of column ``x`` from line ``top`` to ``bottom``, both included, cut at the edges."""
        if not 0 <= x < self.columns:
            return
        if top > bottom:
            top, bottom = bottom, top
        top, bottom = max(top, 0), min(bottom, self.lines - 1)
        if top > bottom:
            return
        down = self.glyphs.down
        cell, side = divmod(x, self.glyphs.across)
        spans = self.glyphs.spans[side]
        first, start = divmod(top, down)
        last, end = divmod(bottom, down)
        if first == last:
            self._cells[first][cell] |= spans[start][end]
            return
        self._cells[first][cell] |= spans[start][down - 1]
        for row in range(first + 1, last):
            self._cells[row][cell] |= spans[0][down - 1]
        self._cells[last][cell] |= spans[0][end]

    def mask(self, row: int) -> bytearray:
        """The bit masks of one row of cells; 0 where there is no dot."""
        return self._cells[row]

    def char(self, mask: int) -> str:
        return self.glyphs.chars[mask]
