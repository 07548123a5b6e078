"""The one chart of the interface: shows a drawing of curves, and repaints only the rows that changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from lora_tui.drawing.chart import Curve, Marker, Plot, RailMark, Span, View, draw, step_at
from lora_tui.drawing.dots import DotStyle
from lora_tui.tui.cells import fit
from lora_tui.tui.marks import ASCII, marks_of

ROLES = (
    "axis", "cursor", "raw", "smooth", "validation", "other", "saved", "event",
    "level0", "level1", "level2", "level3", "run0", "run1", "run2", "run3",
)  # fmt: skip
"""The parts of a drawing that have a colour of their own: ``chart--raw`` and so on in the style sheets."""


@dataclass(frozen=True)
class Picture:
    """What a chart shows: curves (later ones on top), points on them, marks on the rail, and the range of steps.

    ``empty`` is said in the middle while there is nothing to draw.
    """

    curves: tuple[Curve, ...] = ()
    markers: tuple[Marker, ...] = ()
    rail: tuple[RailMark, ...] = ()
    first: float = 0.0
    last: float = 1.0
    log: bool = False
    cursor: float | None = None
    empty: str = ""


class LineChart(Widget):
    """Curves over steps. Takes a :class:`Picture`; posts :class:`LineChart.Pointed` when a step is clicked."""

    COMPONENT_CLASSES = {f"chart--{role}" for role in ROLES} | {"tone--muted"}
    DEFAULT_CSS = """
    LineChart { height: 1fr; }
    """
    roles: ClassVar[tuple[str, ...]] = ROLES

    class Pointed(Message):
        """The person pointed at a step."""

        def __init__(self, chart: LineChart, step: float) -> None:
            super().__init__()
            self.chart = chart
            self.step = step

        @property
        def control(self) -> LineChart:
            return self.chart

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._picture = Picture()
        self._rows: tuple[tuple[Span, ...], ...] = ()
        self._plot: Plot | None = None
        self._styles: tuple[Style, dict[str, Style]] | None = None

    @property
    def picture(self) -> Picture:
        """What is shown now."""
        return self._picture

    @property
    def clipped(self) -> bool:
        """Whether extremes lie outside the axis."""
        return self._plot is not None and self._plot.clipped

    def show(self, picture: Picture) -> int:
        """Show another picture; returns how many rows were repainted."""
        self._picture = picture
        return self._redraw()

    def on_resize(self) -> None:
        self._rows = ()
        self._redraw()

    def notify_style_update(self) -> None:
        self._rows, self._styles = (), None
        super().notify_style_update()
        if self.is_attached:
            self._redraw()

    def on_click(self, event: events.Click) -> None:
        if self.size.width:
            self.post_message(self.Pointed(self, step_at(self._view(), event.x, self.size.width)))

    def render_line(self, y: int) -> Strip:
        base, styles = self._look()
        if not 0 <= y < len(self._rows):
            return Strip.blank(self.size.width, base)
        row = self._rows[y]
        segments = [Segment(span.text, styles[span.role]) for span in row]
        words = self._plot is None or self._plot.empty  # they may be of wide characters; all else is a cell each
        return Strip(segments, None if words else sum(len(span.text) for span in row)).adjust_cell_length(
            self.size.width, base
        )

    def _redraw(self) -> int:
        """Draw and repaint what differs. Rows are cells of one column each, so text is its own width."""
        width, height = self.size
        if not width or not height:
            return 0
        picture = self._picture
        plot = draw(picture.curves, self._view(), width, height, markers=picture.markers, rail=picture.rail)
        rows = _with_words(plot, picture.empty, width)
        changed = [y for y, row in enumerate(rows) if y >= len(self._rows) or self._rows[y] != row]
        self._rows, self._plot = rows, plot
        for y in changed:
            self.refresh(Region(0, y, width, 1))
        return len(changed)

    def _view(self) -> View:
        style: DotStyle = "ascii" if marks_of(self.app) is ASCII else "braille"
        picture = self._picture
        return View(picture.first, picture.last, log=picture.log, cursor=picture.cursor, style=style)

    def _look(self) -> tuple[Style, dict[str, Style]]:
        """The style of the ground and of each role; asked for once, not for each row of each frame."""
        if self._styles is None:
            base = self.rich_style
            roles = {role: base + self.get_component_rich_style(f"chart--{role}", partial=True) for role in self.roles}
            self._styles = base, roles
        return self._styles


def _with_words(plot: Plot, words: str, width: int) -> tuple[tuple[Span, ...], ...]:
    """The rows of the drawing; while it is empty, ``words`` stand in its middle."""
    if not plot.empty or not words or len(plot.rows) < 3:
        return plot.rows
    rows = list(plot.rows)
    rows[(len(rows) - 2) // 2] = (Span(fit(" " * 8 + words, width), "axis"),)
    return tuple(rows)


def window(first: float, last: float, zoom: int, at: float | None) -> tuple[float, float]:
    """The steps in view at a zoom of ``2 ** zoom``: the newest ones, or those around ``at``.

    Never wider than ``first`` to ``last`` and never narrower than one step.
    """
    span = max(last - first, 1.0)
    width = max(span / 2**zoom, min(span, 8.0))
    if at is None:
        return first + span - width, first + span
    left = min(max(at - width / 2, first), first + span - width)
    return left, left + width
