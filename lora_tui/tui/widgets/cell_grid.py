"""Pictures in rows and columns with their labels, as a grid has them: only what is on screen is drawn and decoded.

The pictures of :class:`PictureGrid` in another order: every row has the same columns, and the labels stay where they
are while rows and columns move below them. The place of a cell is ``row * columns + column``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip

from lora_tui.tui.cells import fit, wrap
from lora_tui.tui.marks import marks_of
from lora_tui.tui.widgets.image_view import Wanted, wanted_of
from lora_tui.tui.widgets.picture_grid import PictureGrid, Tile

HEIGHTS = (3, 4, 6, 9, 13, 20, 30)
"""Lines of a picture, smallest first; the first scale of all fits as many cells as can be seen."""
SEEN = 4
"""Lines from which on something can be recognised: only where all cells fit so are pictures smaller."""
LEAST, MOST_WIDE = 6, 120
"""Cells that a picture is wide, at least and at most."""
LABEL = 14
"""Cells of the labels at the left, at most."""
EDGE = 1
"""Cells at each side of a picture: the cursor, and signs of what is so of it."""


class CellGrid(PictureGrid):
    """A table of pictures. The line of a tile is its sign (a cell of text), then what is said in a picture's place."""

    def __init__(self, tile: Callable[[int], Tile], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(tile, id=id)
        self._scale = 0
        self._columns: tuple[str, ...] = ()
        self._rows: tuple[str, ...] = ()
        self._ratio = 1.0
        self._left = 0
        self._sizes: tuple[int, int, int] | None = None

    # -- data

    def show_table(
        self, columns: Sequence[str], rows: Sequence[str], ratio: float, *, cursor: int | None = None
    ) -> None:
        """Show cells with these labels, which have gone through ``plain``; ``ratio`` is a picture's width over its
        height."""
        table = tuple(columns), tuple(rows), min(max(ratio, 0.2), 5.0)
        if table != (self._columns, self._rows, self._ratio):
            self._columns, self._rows, self._ratio = table
            self._left = 0
        self.set_count(len(columns) * len(rows), cursor=cursor)

    # -- size

    def resize_tiles(self, step: int) -> bool:
        """Larger or smaller pictures; the smallest size is the one that shows most cells."""
        fitting = next((at + 1 for at, height in enumerate(HEIGHTS) if height > self._fitting()), len(HEIGHTS))
        scale = self._scale + step if self._scale else (fitting + 1 if step > 0 else 0)
        scale = 0 if scale <= fitting and step < 0 else min(scale, len(HEIGHTS))
        if scale == self._scale or (scale and self._width_of(HEIGHTS[scale - 1]) > self._room[0]):
            return False
        self._scale = scale
        self._forget_strips()
        self.on_resize()
        self.refresh()
        return True

    def _forget_strips(self) -> None:
        self._sizes = None
        super()._forget_strips()

    def _measured(self) -> tuple[int, int, int]:
        """Cells of the labels, cells and lines of one cell of the table: asked for with every line, worked out once."""
        if self._sizes is None:
            widest = max((cell_len(row) for row in self._rows), default=0)
            self._sizes = min(widest, LABEL, self._inner_width // 4) + 1 if widest else 0, 1, 1
            height = min(HEIGHTS[self._scale - 1] if self._scale else self._fitting(), self._room[1])
            self._sizes = self._sizes[0], min(self._width_of(height), self._room[0]), height
        return self._sizes

    @property
    def _label_width(self) -> int:
        return self._measured()[0]

    @property
    def _room(self) -> tuple[int, int]:
        """Cells beside the labels, and lines below them."""
        return max(self._inner_width - self._label_width, 1), max(self.size.height - 1, 1)

    def _width_of(self, height: int) -> int:
        """Cells of a column with pictures of ``height`` lines."""
        return min(max(round(height * 2 * self._ratio), LEAST), MOST_WIDE) + 2 * EDGE

    def _fitting(self) -> int:
        """The height at which all cells are seen, or as many as can be recognised."""
        wide, high = self._room
        columns, rows = max(len(self._columns), 1), max(len(self._rows), 1)
        fits = [
            height for height in range(HEIGHTS[0], max(high, HEIGHTS[0]) + 1)
            if height * rows <= high and self._width_of(height) * columns <= wide
        ]  # fmt: skip
        return max(fits) if fits else min(SEEN, max(high, 1))

    @property
    def tile_size(self) -> tuple[int, int]:
        """Cells and lines of one cell of the table, edges included."""
        return self._measured()[1:]

    @property
    def shape(self) -> tuple[int, int]:
        return max(len(self._columns), 1), max(self._room[1] // self.tile_size[1], 1)

    @property
    def _visible_columns(self) -> range:
        across = max(self._room[0] // self.tile_size[0], 1)
        return range(self._left, min(self._left + across, len(self._columns)))

    @property
    def on_screen(self) -> Sequence[int]:  # type: ignore[override]
        height, columns = self.tile_size[1], len(self._columns)
        first = self.scroll_offset.y // height
        last = min(-(-(self.scroll_offset.y + self._room[1]) // height), len(self._rows))
        return [row * columns + column for row in range(first, last) for column in self._visible_columns]

    # -- cursor

    def go(self, right: int) -> None:
        """To the cell beside, within the row."""
        column = self.cursor % max(len(self._columns), 1)
        if 0 <= column + right < len(self._columns):
            self.cursor += right

    # -- drawing

    def render_line(self, y: int) -> Strip:
        width, base = self._inner_width, self._base
        if not self._count:
            return self._empty_strip(y, width)
        if y == 0:
            return self._title_line(width)
        height = self.tile_size[1]
        row, line = divmod(self.scroll_offset.y + y - 1, height)
        if row >= len(self._rows):
            return Strip.blank(width, base)
        parts: list[Segment] = []
        if label := self._label_width:
            here = row == self.cursor // len(self._columns)
            text = self._rows[row] if line == 0 else ""
            shown = fit(text, label - 1, align="right", ellipsis=marks_of(self.app).ellipsis)
            parts.append(Segment(shown + " ", base + self._tone("strong" if here else "muted")))
        for column in self._visible_columns:
            parts += self._cell_line(row * len(self._columns) + column, line)
        return Strip(parts).adjust_cell_length(width, base)

    def _title_line(self, width: int) -> Strip:
        """The labels of the columns; a sign at the ends where there are more of them."""
        base, wide = self._base, self.tile_size[0]
        seen = self._visible_columns
        parts = [Segment(" " * self._label_width, base)]
        marks = marks_of(self.app)
        for column in seen:
            text = fit(self._columns[column], max(wide - 2, 1), ellipsis=marks.ellipsis).rstrip()
            more = "<" if column == seen[0] > 0 else " ", ">" if column == seen[-1] < len(self._columns) - 1 else " "
            room = wide - 2 - cell_len(text)
            shown = more[0] + " " * (room // 2) + text + " " * (room - room // 2) + more[1]
            here = column == self.cursor % max(len(self._columns), 1)
            parts.append(Segment(shown, base + self._tone("strong" if here else "muted")))
        return Strip(parts).adjust_cell_length(width, base)

    def _cell_line(self, index: int, line: int) -> list[Segment]:
        width, height = self.tile_size
        here, marks, base = index == self.cursor, marks_of(self.app), self._base
        sign = self._tile_at(index)[0].line[0]
        edge = (marks.cursor if self.has_focus else marks.resting) if here else " "
        tone = "accent" if self.has_focus else "muted"
        first = Segment(sign.text, base + self._tone(sign.tone or "muted")) if sign.text and line == 0 else None
        left = first or Segment(edge, base + self._tone(tone))
        right = Segment(_mirrored(edge), base + self._tone(tone))
        return [left, *self._tile_line(index, line, width - 2 * EDGE, height), right]

    def _tile_line(self, index: int, line: int, width: int, rows: int) -> list[Segment]:
        (tile, wanted), base = self._tile_at(index), self._base
        if wanted is not None:
            return super()._tile_line(index, line, width, rows)
        lines = wrap("".join(cell.text for cell in tile.line[1:]), width, rows, ellipsis=marks_of(self.app).ellipsis)
        at = line - (rows - len(lines)) // 2
        tone = tile.line[-1].tone
        text = lines[at] if 0 <= at < len(lines) else ""
        blank = width - cell_len(text)
        style = base + self._tone(tone) if tone else base
        return [Segment(" " * (blank // 2) + text + " " * (blank - blank // 2), style)]

    def _wanted(self, tile: Tile) -> Wanted | None:
        width, height = self.tile_size
        if tile.path is None:
            return None
        return wanted_of(self, tile.path, tile.stamp, width - 2 * EDGE, height)

    # -- geometry

    def on_click(self, event: events.Click) -> None:
        width, height = self.tile_size
        row = (self.scroll_offset.y + event.y - 1) // height
        place = (event.x - self._label_width) // width
        seen = self._visible_columns
        if event.y < 1 or event.x < self._label_width or place >= len(seen) or row >= len(self._rows):
            return
        index = row * len(self._columns) + seen[place]
        if index == self.cursor and event.chain >= 2:
            self.post_message(self.Chosen(self, index))
        self.cursor = index

    def _resize_content(self) -> None:
        self.virtual_size = Size(max(self._inner_width, 1), len(self._rows) * self.tile_size[1] + 1)

    def _keep_in_view(self) -> None:
        if self.cursor < 0 or not self.size.height or not self._columns:
            return
        row, column = divmod(self.cursor, len(self._columns))
        seen = self._visible_columns
        left = min(max(self._left, column - len(seen) + 1), column)
        if left != self._left:
            self._left = left
            self.refresh()
        height = self.tile_size[1]
        top, room = row * height, self._room[1]
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True, force=True)
        elif top + height > self.scroll_offset.y + room:
            whole = room // height * height or height
            self.scroll_to(y=top + height - whole, animate=False, immediate=True, force=True)

    def watch_cursor(self, old: int, new: int) -> None:
        super().watch_cursor(old, new)
        self.refresh(Region(0, 0, self.size.width, 1))
        for index in (old, new):
            self._refresh_label(index)

    def _refresh_label(self, index: int) -> None:
        height = self.tile_size[1]
        y = index // max(len(self._columns), 1) * height - self.scroll_offset.y + 1
        if index >= 0 and 0 < y < self.size.height and self._label_width:
            self.refresh(Region(0, y, self._label_width, 1))

    def _refresh_row(self, index: int) -> None:
        if index < 0 or not self._columns:
            return
        width, height = self.tile_size
        row, column = divmod(index, len(self._columns))
        y, place = row * height - self.scroll_offset.y + 1, column - self._left
        if 1 - height < y < self.size.height and place >= 0:
            top = max(y, 1)
            self.refresh(Region(self._label_width + place * width, top, width, y + height - top))


def _mirrored(edge: str) -> str:
    """The cursor's mark at the other side of a picture."""
    return {"▌": "▐", "▏": "▕", ">": "<"}.get(edge, edge)
