"""The line on top of every screen: project, the road with its state, the living run; below it a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from lora_tui.tui.cells import TONES, Cell, fit
from lora_tui.tui.marks import marks_of

GAP = 3


@dataclass(frozen=True)
class HeaderText:
    """What the line says; outside text in it has gone through ``plain``.

    Attributes:
        title: the project and its purpose.
        road: the screens, each with its mark; in its forms, longest first.
        run: the living run in its forms, longest first.

    Of the forms the first that fits is shown, the run's before the road's.
    """

    title: Sequence[Cell] = ()
    road: Sequence[Sequence[Cell]] = ()
    run: Sequence[Sequence[Cell]] = ()


class Header(Widget):
    """Two lines: the text and a rule."""

    COMPONENT_CLASSES = {f"tone--{tone}" for tone in TONES} | {"header--rule"}
    DEFAULT_CSS = "Header { height: 2; dock: top; }"

    def __init__(self, text: HeaderText | None = None) -> None:
        super().__init__()
        self._text = text or HeaderText()

    def show(self, text: HeaderText) -> None:
        """Say something else; repaints only when it differs."""
        if text != self._text:
            self._text = text
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y == 1:
            rule = self.get_component_rich_style("header--rule", partial=True)
            return Strip([Segment(marks_of(self.app).rule * width, base + rule)], width)
        title = list(self._text.title)
        room = width - min(_length(title), width // 3)
        run = _fitting(self._text.run, room - GAP)
        room -= _length(run) + GAP if run else 0
        road = _fitting(self._text.road, room - GAP)
        ends = [cells for cells in (road, run) if cells]
        segments = self._segments(title, width - sum(_length(cells) + GAP for cells in ends), base)
        for cells in ends:
            segments.append(Segment(" " * GAP, base))
            segments += self._segments(cells, _length(cells), base)
        return Strip(segments).adjust_cell_length(width, base)

    def _segments(self, cells: Sequence[Cell], width: int, base: Style) -> list[Segment]:
        """The cells in exactly ``width``, the last one cut."""
        segments: list[Segment] = []
        left = width
        for text, tone in cells:
            if left <= 0:
                break
            shown = text if cell_len(text) <= left else fit(text, left, ellipsis=marks_of(self.app).ellipsis)
            style = base + self.get_component_rich_style(f"tone--{tone}", partial=True) if tone else base
            segments.append(Segment(shown, style))
            left -= cell_len(shown)
        segments.append(Segment(" " * max(left, 0), base))
        return segments


def _fitting(forms: Sequence[Sequence[Cell]], room: int) -> Sequence[Cell]:
    """The first form that has room, or nothing."""
    return next((form for form in forms if _length(form) <= room), ())


def _length(cells: Sequence[Cell]) -> int:
    return sum(cell_len(cell.text) for cell in cells)
