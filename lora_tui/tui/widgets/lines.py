"""A few lines of toned text: facts, plans, titles. Repaints only the lines that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from lora_tui.tui.cells import TONES, Cell, fit
from lora_tui.tui.marks import marks_of

Line = Sequence[Cell | str]


CURVE_TONES = (*(f"level{number}" for number in range(4)), *(f"run{number}" for number in range(4)), "smooth", "other")
"""The colours of curves, for legends: a screen with a chart says in its style sheet which they are."""


class Lines(Widget):
    """Lines from the top; what does not fit in width ends in an ellipsis, what does not fit in height is cut."""

    COMPONENT_CLASSES = {f"tone--{tone}" for tone in (*TONES, *CURVE_TONES)}
    DEFAULT_CSS = "Lines { height: 1; }"

    class Resized(Message):
        """The lines have other room now: what was fitted to it has to be said again."""

        def __init__(self, sender: Lines) -> None:
            super().__init__()
            self.lines = sender

        @property
        def control(self) -> Lines:
            return self.lines

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._lines: tuple[tuple[Cell, ...], ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The text of the lines."""
        return tuple("".join(cell.text for cell in line) for line in self._lines)

    def show(self, lines: Sequence[Line]) -> int:
        """Show other lines; returns how many were repainted."""
        new = tuple(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in line) for line in lines)
        old, self._lines = self._lines, new
        empty: tuple[Cell, ...] = ()
        changed = 0
        for y in range(max(len(old), len(new))):
            if (old[y] if y < len(old) else empty) != (new[y] if y < len(new) else empty):
                self.refresh(Region(0, y, max(self.size.width, 1), 1))
                changed += 1
        return changed

    def on_resize(self) -> None:
        self.post_message(self.Resized(self))

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width, base)
        segments: list[Segment] = []
        left = width
        for text, tone in self._lines[y]:
            style = base + self.get_component_rich_style(f"tone--{tone}", partial=True) if tone else base
            segment = Segment(text, style)
            if segment.cell_length > left:
                segments.append(Segment(fit(text, left, ellipsis=marks_of(self.app).ellipsis), style))
                left = 0
                break
            segments.append(segment)
            left -= segment.cell_length
        return Strip(segments).adjust_cell_length(width, base)
