"""Curves of several runs as a figure of lines and words, which :mod:`vector` writes as SVG and :mod:`raster` as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lora_tui.drawing.ticks import linear_bounds, linear_ticks, log_ticks, nice_step, tick_text
from lora_tui.runs.series import Series
from lora_tui.text.plain import plain

COLOURS = ("#1f6fb4", "#d95f0e", "#2a8a3e", "#8e3fa8", "#b8860b", "#c2185b", "#00838f", "#5d4037")
"""One for each run; apart from each other in lightness, too, so that they are told apart without colour vision."""

WIDTH, HEIGHT = 960, 540
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 44, 52
ROW = 20
"""Px from line to line of the legend."""

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]


@dataclass(frozen=True)
class Stroke:
    """A line through points, in px from the top left; ``faint`` lies behind the others."""

    points: tuple[Point, ...]
    colour: str
    width: float = 1.5
    faint: bool = False


@dataclass(frozen=True)
class Words:
    """A text whose base line begins, is centred or ends at a place."""

    x: float
    y: float
    text: str
    anchor: Anchor = "start"
    colour: str = "#333333"
    size: int = 13


@dataclass(frozen=True)
class Figure:
    """What is drawn, back to front, on white."""

    width: int
    height: int
    strokes: tuple[Stroke, ...]
    words: tuple[Words, ...]


@dataclass(frozen=True)
class Line:
    """One curve: its name, values over steps (NaN is a gap), and whether it is drawn faintly behind the others."""

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    colour: int = 0
    faint: bool = False


@dataclass
class _Axis:
    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...] = field(default_factory=tuple)

    def share(self, value: float) -> float:
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        here = math.log10(value) if self.log else value
        return (here - low) / ((high - low) or 1.0)


def lines_of(name: str, series: Series | None, colour: int, *, smooth: float = 0.0) -> list[Line]:
    """The curve of a series; with ``smooth`` (share of the past) the smoothed one before the raw one behind it."""
    if series is None or not len(series):
        return []
    if not smooth:
        return [Line(name, series.last_steps, series.mean, colour)]
    return [
        Line("", series.last_steps, series.mean, colour, faint=True),
        Line(name, series.last_steps, series.smooth(smooth), colour),
    ]


def figure(title: str, lines: Sequence[Line], *, log: bool = False) -> Figure:
    """The lines over common axes, with ticks, title and legend; values that the axes cannot show are gaps."""
    named = [line for line in lines if line.name]
    height = HEIGHT + (ROW * (len(named) - 1) if len(named) > 3 else 0)
    across = _across(lines)
    down = _down(lines, log)
    box = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
    strokes = _grid(across, down, box)
    for line in sorted(lines, key=lambda one: not one.faint):
        strokes += _drawn(line, across, down, box)
    words = [Words(LEFT, TOP - 18, plain(title, limit=100), size=16)]
    words += [Words(LEFT - 8, _y(at, down, box) + 4, text, "end") for at, text in down.ticks]
    words += [Words(_x(at, across, box), box[3] + 20, text, "middle") for at, text in across.ticks]
    for number, line in enumerate(named):
        y = box[3] + 40 + ROW * number if len(named) > 3 else box[3] + 42
        x = LEFT if len(named) > 3 else LEFT + number * (WIDTH - LEFT - RIGHT) / 3
        colour = COLOURS[line.colour % len(COLOURS)]
        strokes.append(Stroke(((x, y - 4), (x + 18, y - 4)), colour, 3.0))
        words.append(Words(x + 24, y, plain(line.name, limit=100 if len(named) > 3 else 36)))
    return Figure(WIDTH, height, tuple(strokes), tuple(words))


def _usable(value: float, log: bool) -> bool:
    return math.isfinite(value) and abs(value) < 1e100 and (not log or value > 1e-100)


def _across(lines: Sequence[Line]) -> _Axis:
    last = max((line.steps[-1] for line in lines if len(line.steps)), default=1)
    high = float(max(last, 1))
    step = nice_step(high, 8, whole=True)
    ticks = linear_ticks(0.0, high, 8, whole=True)
    return _Axis(0.0, high, False, tuple((at, tick_text(at, step)) for at in ticks))


def _down(lines: Sequence[Line], log: bool) -> _Axis:
    """The axis of the values, by what is not faint: a spike of raw values does not flatten the rest."""
    clear = [line for line in lines if not line.faint] or list(lines)
    values = [value for line in clear for value in line.values if _usable(value, log)]
    low, high = (min(values), max(values)) if values else (0.0 if not log else 0.1, 1.0)
    if log:
        low, high = low / 1.1, high * 1.1
        ticks = log_ticks(low, high, 6)
        return _Axis(low, high, True, tuple((at, tick_text(at, at)) for at in ticks))
    low, high = linear_bounds(low, high, 6)
    step = nice_step(high - low, 6)
    return _Axis(low, high, False, tuple((at, tick_text(at, step)) for at in linear_ticks(low, high, 6)))


def _grid(across: _Axis, down: _Axis, box: tuple[int, int, int, int]) -> list[Stroke]:
    left, top, right, bottom = box
    strokes = [Stroke(((left, y), (right, y)), "#e4e4e4", 1.0) for y in (_y(at, down, box) for at, _t in down.ticks)]
    strokes += [Stroke(((x, top), (x, bottom)), "#f0f0f0", 1.0) for x in (_x(a, across, box) for a, _t in across.ticks)]
    return [*strokes, Stroke(((left, top), (left, bottom), (right, bottom)), "#777777", 1.0)]


def _drawn(line: Line, across: _Axis, down: _Axis, box: tuple[int, int, int, int]) -> list[Stroke]:
    """The curve in pieces between its gaps; what lies outside the axis is drawn at its edge."""
    pieces: list[list[Point]] = [[]]
    for step, value in zip(line.steps, line.values, strict=False):
        if _usable(value, down.log):
            pieces[-1].append((_x(float(step), across, box), _y(value, down, box)))
        elif pieces[-1]:
            pieces.append([])
    colour, width = COLOURS[line.colour % len(COLOURS)], 1.0 if line.faint else 2.0
    found = []
    for piece in pieces:
        if len(piece) == 1:
            (x, y) = piece[0]
            piece = [(x - 2, y), (x + 2, y)]
        if piece:
            found.append(Stroke(tuple(piece), colour, width, line.faint))
    return found


def _x(step: float, axis: _Axis, box: tuple[int, int, int, int]) -> float:
    return round(box[0] + axis.share(step) * (box[2] - box[0]), 2)


def _y(value: float, axis: _Axis, box: tuple[int, int, int, int]) -> float:
    share = min(max(axis.share(value), 0.0), 1.0)
    return round(box[3] - share * (box[3] - box[1]), 2)
