"""Curves over training steps as characters: axes, gaps for NaN, markers and one cursor. Knows no screen.

A curve comes as buckets (what lay in a range of steps: first, lowest, highest, last value), so that
a run of a million steps costs no more to draw than one of a thousand. The result is rows of spans
with a *role* each (``axis``, ``cursor``, the role of a curve); who shows them chooses the colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lora_tui.drawing.dots import GLYPHS, Dots
from lora_tui.drawing.strokes import LEAST, Curve, Stroke, View, drawable, merge
from lora_tui.drawing.ticks import linear_bounds, linear_ticks, log_ticks, tick_text

__all__ = [
    "GUTTER",
    "MIN_HEIGHT",
    "MIN_WIDTH",
    "Curve",
    "Marker",
    "Plot",
    "RailMark",
    "Span",
    "View",
    "draw",
    "step_at",
]

GUTTER = 7
"""Cells at the left for the numbers of the y axis: wide enough for ``1.2e-5``, so that it never changes."""

RESERVED_ROWS = 2
"""Rows below the curves: the rail with its marks, and the numbers of the x axis."""

MIN_WIDTH, MIN_HEIGHT = GUTTER + 6, RESERVED_ROWS + 2

_ROBUST_FROM = 40
_ROBUST_SHARE = 0.02

_WIDER = 1.2
"""How much wider an axis may become for ticks at even distances."""


class Marker(NamedTuple):
    """A single point drawn over the curves as ``char``."""

    x: float
    y: float
    char: str
    role: str


class RailMark(NamedTuple):
    """Something that happened at a step, shown on the rail below the curves as ``char``."""

    x: float
    char: str
    role: str


class Span(NamedTuple):
    """A piece of a row with one role."""

    text: str
    role: str


@dataclass(frozen=True)
class Plot:
    """The drawing and the scale it used.

    ``clipped`` says that values lie outside the y axis (extremes of a robust curve). ``empty`` says
    that there was nothing to draw in the view.
    """

    rows: tuple[tuple[Span, ...], ...]
    y_low: float
    y_high: float
    clipped: bool
    empty: bool


@dataclass(frozen=True)
class _Scale:
    """Where steps and values lie on the grid of dots."""

    view: View
    low: float
    high: float
    columns: int
    lines: int
    _origin: float = field(init=False)
    _size: float = field(init=False)

    def __post_init__(self) -> None:
        low, high = (math.log10(self.low), math.log10(self.high)) if self.view.log else (self.low, self.high)
        object.__setattr__(self, "_origin", low)
        object.__setattr__(self, "_size", (high - low) or 1.0)

    def line(self, y: float) -> float:
        """The dot line of a value, 0 at the top; may lie outside. NaN for what the axis cannot show."""
        if self.view.log:
            if not y >= LEAST:
                return math.nan
            y = math.log10(y)
        return (1.0 - (y - self._origin) / self._size) * (self.lines - 1)

    def dot(self, y: float) -> int | None:
        """The dot line of a value, moved to the edge when it lies outside; none for what the axis cannot show."""
        line = self.line(y)
        if line != line:
            return None
        last = self.lines - 1
        return 0 if line <= 0 else last if line >= last else round(line)


def draw(
    curves: Sequence[Curve],
    view: View,
    width: int,
    height: int,
    *,
    markers: Iterable[Marker] = (),
    rail: Iterable[RailMark] = (),
) -> Plot:
    """Draw ``curves`` (later ones over earlier ones) on ``width`` x ``height`` cells, axes included.

    Every row of the result is exactly ``width`` cells wide. Below :data:`MIN_WIDTH` x :data:`MIN_HEIGHT`
    the rows are blank.
    """
    markers = [mark for mark in markers if view.x_min <= mark.x <= max(view.x_max, view.x_min)]
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return Plot(((Span(" " * width, "axis"),),) * height, math.nan, math.nan, False, True)
    plot_width, plot_height = width - GUTTER, height - RESERVED_ROWS
    wanted = max(2, (plot_height + 1) // 2)
    columns = plot_width * GLYPHS[view.style].across
    merged = [merge(curve, view, columns) for curve in curves]
    low, high, clipped, empty = _bounds(zip(curves, merged, strict=True), markers, view, wanted)
    if not (view.log or empty):
        low, high, wanted = _even(low, high, wanted, plot_height)
    cells = [[" "] * plot_width for _row in range(plot_height)]
    roles = [["axis"] * plot_width for _row in range(plot_height)]
    lines = plot_height * GLYPHS[view.style].down
    scale = _Scale(view, low, high, columns, lines)
    _draw_cursor(scale, cells, roles)
    for curve, strokes in zip(curves, merged, strict=True):
        dots = Dots(plot_width, plot_height, view.style)
        _trace(strokes, scale, dots)
        _stamp(dots, curve.role, cells, roles)
    _draw_markers(markers, scale, cells, roles)
    rows = [_spans(line, role) for line, role in zip(cells, roles, strict=True)]
    labels = _y_labels(low, high, view, plot_height, wanted, empty)
    joined = [(Span(f"{label:>{GUTTER - 1}} ", "axis"), *row) for label, row in zip(labels, rows, strict=True)]
    joined.extend(_x_axis(view, plot_width, rail))
    return Plot(tuple(joined), low, high, clipped, empty)


# --- the scale ---------------------------------------------------------------------------------------------------


def _bounds(
    curves: Iterable[tuple[Curve, list[Stroke]]], markers: Sequence[Marker], view: View, wanted: int
) -> tuple[float, float, bool, bool]:
    """Lower and upper end of the y axis, whether extremes fall outside, and whether there is nothing to show."""
    firm: list[float] = [mark.y for mark in markers if drawable(mark.y, view.log)]
    extremes: list[float] = []
    for curve, strokes in curves:
        lows = [stroke.low for stroke in strokes if stroke.low >= LEAST or not view.log]
        highs = [stroke.high for stroke in strokes]
        if not lows:
            continue
        if curve.robust and len(lows) >= _ROBUST_FROM:
            extremes += (min(lows), max(highs))
            cut = max(1, round(len(lows) * _ROBUST_SHARE))
            lows, highs = sorted(lows)[cut:], sorted(highs)[:-cut]
        firm += (min(lows), max(highs))
    if not firm:
        return (0.01, 1.0, False, True) if view.log else (0.0, 1.0, False, True)
    low, high = min(firm), max(firm)
    if view.log:
        low, high = (low, high) if high > low * 1.001 else (low / 1.5, high * 1.5)
        ticks = log_ticks(low, high, wanted)
        low, high = min(low, ticks[0]), max(high, ticks[-1])
    else:
        low, high = linear_bounds(low, high, wanted)
    clipped = any(y < low or y > high for y in extremes)
    return low, high, clipped, False


def _even(low: float, high: float, wanted: int, height: int) -> tuple[float, float, int]:
    """Bounds and number of ticks that lie on the rows evenly, where there are such; else as they were."""
    for fewer in range(wanted, 1, -1):
        bounds = linear_bounds(low, high, fewer)
        parts = len(linear_ticks(*bounds, fewer)) - 1
        if bounds[1] - bounds[0] > (high - low) * _WIDER:
            break
        if parts > 1 and (height - 1) % parts == 0:
            return *bounds, fewer
    return low, high, wanted


# --- the curves --------------------------------------------------------------------------------------------------


def _trace(strokes: Iterable[Stroke], scale: _Scale, dots: Dots) -> None:
    """Put one curve on its dots: the range of each stroke, joined by straight lines unless a gap lies between."""
    pen: tuple[int, int] | None = None
    dot, bottom = scale.dot, dots.lines - 1
    for left, right, first, low, high, last, pause in strokes:
        start, end = dot(first), dot(last)
        if pen is not None and start is not None and not pause:
            _join(pen, (left, start), dots)
        top, under = dot(high), dot(low)
        for column in range(max(left, 0), min(right, dots.columns - 1) + 1):
            dots.column(column, 0 if top is None else top, bottom if under is None else under)
        pen = (right, end) if end is not None else None


def _join(start: tuple[int, int], end: tuple[int, int], dots: Dots) -> None:
    """A thin line without holes between two dots: each column reaches to just before where the last one stopped."""
    (x0, y0), (x1, y1) = start, end
    if x1 <= x0:
        dots.column(x1, y0, y1)
        return
    slope = (y1 - y0) / (x1 - x0)
    begin = max(x0 + 1, 0)
    before = round(y0 + slope * (begin - 1 - x0))
    for column in range(begin, min(x1, dots.columns - 1) + 1):
        here = round(y0 + slope * (column - x0))
        toward = (before > here) - (before < here)
        dots.column(column, here, before - toward if before != here else here)
        before = here


def _stamp(dots: Dots, role: str, cells: list[list[str]], roles: list[list[str]]) -> None:
    for row in range(dots.height):
        masks, line, role_line = dots.mask(row), cells[row], roles[row]
        for column, mask in enumerate(masks):
            if mask:
                line[column] = dots.char(mask)
                role_line[column] = role


def _draw_cursor(scale: _Scale, cells: list[list[str]], roles: list[list[str]]) -> None:
    view = scale.view
    if view.cursor is None or not view.x_min <= view.cursor <= view.x_max:
        return
    column = _cell_of(view.cursor, view, len(cells[0]))
    for line, role in zip(cells, roles, strict=True):
        line[column] = "|" if view.style == "ascii" else "│"
        role[column] = "cursor"


def _draw_markers(markers: Iterable[Marker], scale: _Scale, cells: list[list[str]], roles: list[list[str]]) -> None:
    for mark in markers:
        dot = scale.dot(mark.y) if drawable(mark.y, scale.view.log) else None
        if dot is None:
            continue
        row = dot * len(cells) // scale.lines
        column = _cell_of(mark.x, scale.view, len(cells[0]))
        cells[row][column] = mark.char
        roles[row][column] = mark.role


# --- the axes ----------------------------------------------------------------------------------------------------


def _y_labels(low: float, high: float, view: View, height: int, wanted: int, empty: bool) -> list[str]:
    labels = [""] * height
    if empty:
        return labels
    ticks = log_ticks(low, high, wanted) if view.log else linear_ticks(low, high, wanted)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(ticks[0]) or 1.0
    scale = _Scale(view, low, high, 1, height)
    powers = not view.log and max(abs(low), abs(high)) < 0.01 and step < 1e-3
    for tick in ticks:
        row = min(max(round(scale.line(tick)), 0), height - 1)
        labels[row] = tick_text(tick, tick if view.log else step, powers=powers)[: GUTTER - 1]
    return labels


def _x_axis(view: View, width: int, rail: Iterable[RailMark]) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The rail with its ticks and marks, and the row of numbers below it."""
    plain = view.style == "ascii"
    cells, roles = ["-" if plain else "─"] * width, ["axis"] * width
    numbers = [" "] * (width + GUTTER)
    busy_until = -1
    for tick in linear_ticks(view.x_min, view.x_max, max(2, width // 9), whole=True):
        column = _cell_of(tick, view, width)
        cells[column] = "+" if plain else "┴"
        label = tick_text(tick, 1.0)
        start = min(max(column + GUTTER - len(label) // 2, 0), width + GUTTER - len(label))
        if start > busy_until:
            numbers[start : start + len(label)] = label
            busy_until = start + len(label)
    for mark in rail:
        if view.x_min <= mark.x <= view.x_max:
            column = _cell_of(mark.x, view, width)
            cells[column], roles[column] = mark.char, mark.role
    corner = Span(" " * (GUTTER - 1) + ("+" if plain else "└"), "axis")
    return (corner, *_spans(cells, roles)), (Span("".join(numbers), "axis"),)


def _cell_of(x: float, view: View, width: int) -> int:
    span = (view.x_max - view.x_min) or 1.0
    return min(max(round((x - view.x_min) / span * (width - 1)), 0), width - 1)


def _spans(cells: Sequence[str], roles: Sequence[str]) -> tuple[Span, ...]:
    """Neighbours of one role joined into one span."""
    spans: list[Span] = []
    begin = 0
    for index in range(1, len(cells) + 1):
        if index == len(cells) or roles[index] != roles[begin]:
            spans.append(Span("".join(cells[begin:index]), roles[begin]))
            begin = index
    return tuple(spans)


def step_at(view: View, column: int, width: int) -> float:
    """The step under a cell of the drawing, for the cursor and the mouse; the gutter counts as the left edge."""
    place = min(max(column - GUTTER, 0), max(width - GUTTER - 1, 0))
    return view.x_min + (view.x_max - view.x_min) * place / max(width - GUTTER - 1, 1)
