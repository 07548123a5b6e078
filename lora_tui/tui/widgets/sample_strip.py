"""Pictures in a row, each with its step beside it; one of them is the current one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message

from lora_tui.tui.cells import Cell, fit
from lora_tui.tui.marks import marks_of
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines

MOST = 12
LABEL = 12
"""Cells for the step beside a picture, with a space between."""


@dataclass(frozen=True)
class StripItem:
    """One picture: its file, and two short lines that say what it is."""

    path: Path
    title: str
    detail: str = ""


class SampleSlot(Horizontal):
    """One place of the strip."""

    DEFAULT_CSS = f"""
    SampleSlot {{ height: 100%; }}
    SampleSlot Lines {{ width: {LABEL}; height: 100%; padding-left: 1; }}
    SampleSlot ImageView {{ height: 100%; width: 1fr; }}
    """

    def __init__(self) -> None:
        super().__init__()
        self._item: StripItem | None = None
        self._current = False

    def compose(self) -> ComposeResult:
        yield ImageView()
        yield Lines()

    def on_mount(self) -> None:
        self._draw()

    def show(self, item: StripItem | None, current: bool) -> None:
        """Show another picture, or nothing; before it is mounted, as soon as it is."""
        if (item, current) != (self._item, self._current):
            self._item, self._current = item, current
            if self.is_mounted:
                self._draw()

    def _draw(self) -> None:
        item, current = self._item, self._current
        self.query_one(ImageView).show(item.path if item else None, _stamp(item.path) if item else (0, 0))
        if item is None:
            self.query_one(Lines).show([])
            return
        mark = marks_of(self.app).cursor if current else " "
        tone = "accent" if current else "muted"
        room = LABEL - 2
        self.query_one(Lines).show(
            [(Cell(fit(mark + item.title, room), tone),), (Cell(fit(" " + item.detail, room), "muted"),)]
        )


class SampleStrip(Horizontal):
    """A row of pictures. Posts :class:`SampleStrip.Picked` when one is clicked."""

    DEFAULT_CSS = "SampleStrip { height: 4; }"

    class Picked(Message):
        """The picture at this place of the list that was given to :meth:`show` was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    class Resized(Message):
        """More or fewer pictures fit now."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._items: tuple[StripItem, ...] = ()
        self._first = 0
        self._capacity = 0

    @property
    def capacity(self) -> int:
        """How many pictures fit."""
        return self._capacity

    @property
    def shown(self) -> tuple[StripItem, ...]:
        """The pictures on screen."""
        return self._items[self._first : self._first + self._capacity]

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        """Have as many places as fit: a widget costs more to make than to keep, so none is made before it is seen."""
        wide = max(self.size.height * 2, 4) + LABEL
        capacity = min(max(self.size.width // wide, 1), MOST) if self.size.width else 0
        slots = list(self.query(SampleSlot))
        for number, slot in enumerate(slots):
            slot.display = number < capacity
            slot.styles.width = wide
        if capacity == self._capacity:
            return
        self._capacity = capacity
        new = [SampleSlot() for _number in range(capacity - len(slots))]
        for slot in new:
            slot.styles.width = wide
        self.mount_all(new)
        self.call_after_refresh(self.post_message, self.Resized())

    def show(self, items: Sequence[StripItem], current: int) -> None:
        """Show ``items`` around number ``current`` (-1 for none): as many as fit, the current one among them."""
        self._items = tuple(items)
        room = max(self._capacity, 1)
        last = max(len(items) - room, 0)
        self._first = last if current < 0 else min(max(current - room // 2, 0), last)
        for place, slot in enumerate(self.query(SampleSlot)):
            number = self._first + place
            inside = place < self._capacity and number < len(items)
            slot.show(items[number] if inside else None, inside and number == current)

    def on_click(self, event: events.Click) -> None:
        widget = event.widget
        slots = list(self.query(SampleSlot))
        while widget is not None and widget is not self and not isinstance(widget, SampleSlot):
            widget = widget.parent  # type: ignore[assignment]
        if isinstance(widget, SampleSlot):
            place = self._first + slots.index(widget)
            if place < len(self._items):
                self.post_message(self.Picked(place))


def _stamp(path: Path) -> tuple[int, int]:
    """Change time and size: a picture that is drawn again after a resume is another one."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
