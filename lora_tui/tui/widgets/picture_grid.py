"""Pictures side by side, each with a line below it: draws and decodes only what is on screen, so many open at once.

A list in another shape: it has the cursor, the keys and the messages of :class:`VirtualList`. What is missing of the
visible part is decoded in threads, beginning at the cursor; what has been scrolled away is wanted no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip

from lora_tui.tui.cells import Cell, fit, wrap
from lora_tui.tui.marks import marks_of
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.image_view import AT_ONCE, REST_SECONDS, Drawn, Part, Wanted, pictures_of, render, wanted_of
from lora_tui.tui.widgets.virtual_list import VirtualList

SIZES = ((13, 6), (19, 9), (26, 13), (40, 20))
"""Columns and lines of one picture with the line below it, smallest first."""

TILES_KNOWN = 500
"""Tiles that are asked for once while they are on screen."""

GAP = 1
"""Cells between two pictures."""


@dataclass(frozen=True)
class Tile:
    """One picture: its file (none for what is no picture) with its stamp and the part of it that is used, and the
    cells of the line below it."""

    path: Path | None
    stamp: tuple[int, int]
    line: Sequence[Cell]
    part: Part | None = None


class PictureGrid(VirtualList):
    """Tiles drawn on demand, with a cursor."""

    def __init__(self, tile: Callable[[int], Tile], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        """``tile`` gives what a place shows, its words already safe to show."""
        super().__init__((), lambda index: tile(index).line, marker=False, id=id)
        self._tile = tile
        self._scale = 1
        self._workers = 0
        self._under_way: set[Wanted] = set()
        self._tiles: dict[int, tuple[Tile, Wanted | None]] = {}
        self._ground: Style | None = None

    # -- size

    @property
    def scale(self) -> int:
        """Which of :data:`SIZES` is used."""
        return self._scale

    def resize_tiles(self, step: int) -> bool:
        """Larger or smaller pictures; false when there is no such size."""
        scale = min(max(self._scale + step, 0), len(SIZES) - 1)
        if scale == self._scale:
            return False
        self._scale = scale
        self._tiles.clear()
        self.on_resize()
        self.refresh()
        return True

    @property
    def shape(self) -> tuple[int, int]:
        """Pictures in a line, and lines of pictures that fit wholly."""
        width, height = SIZES[self._scale]
        return max((self._inner_width + GAP) // (width + GAP), 1), max(self.size.height // height, 1)

    @property
    def on_screen(self) -> range:
        """The places of which something is seen."""
        columns, (_width, height) = self.shape[0], SIZES[self._scale]
        first = self.scroll_offset.y // height
        last = -(-(self.scroll_offset.y + self.size.height) // height)
        return range(first * columns, min(last * columns, self._count))

    def is_drawn(self, index: int) -> bool:
        """Whether the picture of a place is finished."""
        wanted = self._tile_at(index)[1]
        return wanted is not None and pictures_of(self.app).get(wanted) is not None

    # -- cursor

    def action_up(self) -> None:
        if self.cursor >= self.shape[0]:
            self.cursor -= self.shape[0]

    def action_down(self) -> None:
        if self.cursor + self.shape[0] < self._count:
            self.cursor += self.shape[0]
        elif self.cursor // self.shape[0] < (self._count - 1) // self.shape[0]:
            self.cursor = self._count - 1

    def action_page_up(self) -> None:
        columns, rows = self.shape
        self.cursor -= columns * min(rows, self.cursor // columns)

    def action_page_down(self) -> None:
        columns, rows = self.shape
        self.cursor += columns * rows

    # -- data

    def reload_row(self, index: int) -> None:
        self._tiles.pop(index, None)
        super().reload_row(index)

    def _forget_strips(self) -> None:
        self._tiles.clear()
        self._ground = None
        super()._forget_strips()

    def _tile_at(self, index: int) -> tuple[Tile, Wanted | None]:
        """What a place shows: asked for once, for a tile has many lines."""
        known = self._tiles.get(index)
        if known is None:
            if len(self._tiles) > TILES_KNOWN:
                self._tiles.clear()
            tile = self._tile(index)
            known = self._tiles[index] = tile, self._wanted(tile)
        return known

    @property
    def _base(self) -> Style:
        """The style of what is empty, which Textual puts together anew each time."""
        if self._ground is None:
            self._ground = self.rich_style
        return self._ground

    # -- drawing

    def render_line(self, y: int) -> Strip:
        width, base = self._inner_width, self._base
        if not self._count:
            return self._empty_strip(y, width)
        columns, (tile_width, tile_height) = self.shape[0], SIZES[self._scale]
        row, line = divmod(self.scroll_offset.y + y, tile_height)
        parts: list[Segment] = []
        for column in range(columns):
            index = row * columns + column
            if index >= self._count:
                break
            if column:
                parts.append(Segment(" " * GAP, base))
            parts += self._tile_line(index, line, tile_width, tile_height - 1)
        return Strip(parts).adjust_cell_length(width, base)

    def _tile_line(self, index: int, line: int, width: int, rows: int) -> list[Segment]:
        (tile, wanted), base = self._tile_at(index), self._base
        if line == rows:
            return self._name_line(tile, index, width)
        drawn = pictures_of(self.app).get(wanted) if wanted is not None else Drawn()
        if drawn is None:
            self.call_later(self._begin)
            words = marks_of(self.app).dot if line == rows // 2 else ""
            return [Segment(words.center(width), base + self._tone("muted"))]
        if drawn.problem:
            lines = wrap(drawn.problem, width)
            return [Segment(fit(lines[line] if line < len(lines) else "", width), base + self._tone("muted"))]
        above = rows - len(drawn.strips)
        if line < above:
            return [Segment(" " * width, base)]
        margin = (width - drawn.columns) // 2
        strip = Strip([Segment(" " * margin, base), *drawn.strips[line - above]])
        return list(strip.adjust_cell_length(width, base))

    def _name_line(self, tile: Tile, index: int, width: int) -> list[Segment]:
        here, marks = index == self.cursor, marks_of(self.app)
        base = self._row_base(here)
        mark = (marks.cursor if self.has_focus else marks.resting) if here else " "
        parts, left = [Segment(mark, self._look("accent" if self.has_focus else "muted", here))], width - 1
        for number, (text, tone) in enumerate(tile.line):
            last = number == len(tile.line) - 1
            shown = fit(text, left, cut="middle", ellipsis=marks.ellipsis) if last else text
            parts.append(Segment(shown, self._look(tone, here)))
            left -= parts[-1].cell_length
        return list(Strip(parts).adjust_cell_length(width, base))

    def _look(self, tone: str, here: bool) -> Style:
        """The style of words below a picture. Of sixteen colours none but the cursor's own can be read on it."""
        base = self._row_base(here)
        plain_here = here and self.app.current_theme.ansi
        return base + self._tone(tone) if tone and not plain_here else base

    def _wanted(self, tile: Tile) -> Wanted | None:
        width, height = SIZES[self._scale]
        if tile.path is None:
            return None
        return wanted_of(self, tile.path, tile.stamp, width, height - 1, part=tile.part)

    # -- decoding

    def _begin(self) -> None:
        while self._workers < AT_ONCE and self.is_attached:
            self._workers += 1
            start_job(self, self._draw, "pictures", alone=False)

    async def _draw(self) -> None:
        """Draw what is missing on screen until nothing is, beginning at the cursor."""
        cache = pictures_of(self.app)
        try:
            await asyncio.sleep(REST_SECONDS)
            while (wanted := self._next_wish()) is not None:
                self._under_way.add(wanted)
                try:
                    async with cache.gate:
                        drawn = await in_thread(render, wanted)
                    cache.put(wanted, drawn)
                finally:
                    self._under_way.discard(wanted)
                for index in [place for place, (_tile, same) in self._tiles.items() if same == wanted]:
                    self._refresh_row(index)
        finally:
            self._workers -= 1

    def _next_wish(self) -> Wanted | None:
        """The first picture on screen that is missing and that nobody draws; the one under the cursor before all."""
        if not self.display or not self.screen.is_current:
            return None
        cache, places = pictures_of(self.app), self.on_screen
        first = [self.cursor] if self.cursor in places else []
        for index in (*first, *places):
            wanted = self._tile_at(index)[1]
            if wanted is not None and wanted not in self._under_way and cache.get(wanted) is None:
                return wanted
        return None

    # -- geometry

    def on_click(self, event: events.Click) -> None:
        columns, (width, height) = self.shape[0], SIZES[self._scale]
        column = event.x // (width + GAP)
        index = (self.scroll_offset.y + event.y) // height * columns + column
        if column >= columns or index >= self._count:
            return
        if index == self.cursor and event.chain >= 2:
            self.post_message(self.Chosen(self, index))
        self.cursor = index

    def _resize_content(self) -> None:
        rows = -(-self._count // self.shape[0])
        self.virtual_size = Size(max(self._inner_width, 1), rows * SIZES[self._scale][1])

    def _keep_in_view(self) -> None:
        if self.cursor < 0 or not self.size.height:
            return
        height = SIZES[self._scale][1]
        top, bottom = self.cursor // self.shape[0] * height, self.cursor // self.shape[0] * height + height
        if top < self.scroll_offset.y:
            wanted = top
        elif bottom > self.scroll_offset.y + self.size.height:
            wanted = min(bottom - self.size.height, top)
        else:
            return
        self.scroll_to(y=wanted, animate=False, immediate=True, force=True)

    def _refresh_row(self, index: int) -> None:
        if index < 0:
            return
        width, height = SIZES[self._scale]
        row, column = divmod(index, self.shape[0])
        y = row * height - self.scroll_offset.y
        if -height < y < self.size.height:
            self.refresh(Region(column * (width + GAP), y, width, height))
