"""Samples over steps and prompts: a strip for each prompt, one above the other, with one step for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from lora_tui.tui.cells import Cell
from lora_tui.tui.marks import marks_of
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.sample_strip import SampleStrip, StripItem

ROWS = 6
"""Strips at most: pictures of fewer rows than four show nothing."""

LEAST = 5
"""Rows of a strip with its title."""


@dataclass(frozen=True)
class WallRow:
    """One prompt: its title, its pictures by step, and which of them is at the step that is looked at (-1: none)."""

    title: str
    items: Sequence[StripItem]
    current: int


class SampleWall(Vertical):
    """Rows of pictures. Posts :class:`SampleWall.Picked` when one is clicked."""

    DEFAULT_CSS = """
    SampleWall Vertical { height: 1fr; }
    SampleWall SampleStrip { height: 1fr; }
    """

    class Picked(Message):
        """A picture was clicked: of this row of those that were given, at this place of its items."""

        def __init__(self, row: int, place: int) -> None:
            super().__init__()
            self.row = row
            self.place = place

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._first = 0

    def compose(self) -> ComposeResult:
        for number in range(ROWS):
            with Vertical(id=f"wall-{number}"):
                yield Lines()
                yield SampleStrip(id=f"wall-strip-{number}")

    def show(self, rows: Sequence[WallRow], current: int) -> None:
        """Show as many of the rows as fit, row number ``current`` among them."""
        room = min(max(self.size.height // LEAST, 1), ROWS)
        self._first = min(max(current - room // 2, 0), max(len(rows) - room, 0))
        for place in range(ROWS):
            box = self.query_one(f"#wall-{place}")
            number = self._first + place
            inside = place < room and number < len(rows)
            if box.display != inside:
                box.display = inside
            if not inside:
                continue
            row, here = rows[number], number == current
            mark = marks_of(self.app).cursor if here else " "
            box.query_one(Lines).show([(Cell(mark + row.title, "accent" if here else "muted"),)])
            self.query_one(f"#wall-strip-{place}", SampleStrip).show(row.items, row.current)

    def on_sample_strip_picked(self, event: SampleStrip.Picked) -> None:
        event.stop()
        strip = event._sender
        number = int(str(getattr(strip, "id", "") or "0").rpartition("-")[2])
        self.post_message(self.Picked(self._first + number, event.place))
