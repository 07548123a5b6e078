"""From the buckets of a curve to what it does in each column of dots: the costly part of a drawing, kept cheap."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lora_tui.drawing.dots import DotStyle

CROWDED = 2
"""From so many buckets a column on, columns are taken as a whole instead of bucket by bucket."""

MOST, LEAST = 1e100, 1e-100
"""Values beyond these bounds are drawn as gaps, like those that are not finite: an axis could not compute with them.
The lower one holds on a logarithmic axis alone."""


@dataclass(frozen=True)
class Curve:
    """A series in buckets, sorted by step; NaN in a bucket is a gap in the line.

    ``start`` and ``end`` are the first and last step of each bucket; all six sequences have one
    length. A ``robust`` curve does not let its rare extremes stretch the y axis.
    """

    role: str
    start: Sequence[float]
    end: Sequence[float]
    first: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    last: Sequence[float]
    robust: bool = False

    @classmethod
    def through(cls, role: str, steps: Sequence[float], values: Sequence[float], *, robust: bool = False) -> Curve:
        """A curve through single points."""
        return cls(role, steps, steps, values, values, values, values, robust)


@dataclass(frozen=True)
class View:
    """Which part is shown and how. ``x_max`` at or below ``x_min`` shows one step's width."""

    x_min: float
    x_max: float
    log: bool = False
    cursor: float | None = None
    style: DotStyle = "braille"


class Stroke(NamedTuple):
    """What a curve does in one or more columns of dots; a ``pause`` before it is a gap in the line."""

    left: int
    right: int
    first: float
    low: float
    high: float
    last: float
    pause: bool


def merge(curve: Curve, view: View, columns: int) -> list[Stroke]:
    """The visible buckets, those of one column joined: at most one stroke a column (and one beyond each edge)."""
    begin, stop = bisect_left(curve.end, view.x_min), bisect_right(curve.start, view.x_max)
    # One bucket beyond each edge lets the line run out of the picture instead of ending inside it.
    begin, stop = max(begin - 1, 0), min(stop + 1, len(curve.start))
    factor = (columns - 1) / ((view.x_max - view.x_min) or 1.0)
    strokes: list[Stroke] = []
    if stop - begin < CROWDED * columns:
        _each(curve, view, factor, begin, stop, strokes)
        return strokes
    index = begin
    while index < stop:
        column = round((curve.start[index] - view.x_min) * factor)
        edge = view.x_min + (column + 0.5) / factor
        after = max(bisect_left(curve.start, edge, index + 1, stop), index + 1)
        _column(curve, view, factor, column, index, after, strokes)
        index = after
    return strokes


def _column(curve: Curve, view: View, factor: float, column: int, begin: int, stop: int, strokes: list[Stroke]) -> None:
    """Join the buckets of one column at once; one by one where a gap or the logarithm asks for care."""
    lows, highs = curve.low[begin:stop], curve.high[begin:stop]
    first, last = curve.first[begin], curve.last[stop - 1]
    low, high = min(lows), max(highs)
    whole = math.isfinite(sum(lows) + sum(highs) + first + last) and low >= -MOST and high <= MOST
    if not whole or (view.log and low < LEAST):
        _each(curve, view, factor, begin, stop, strokes)
        return
    before = strokes[-1] if strokes else None
    pause = before is None or not drawable(before.last, view.log) or not _finite(curve.high[begin - 1])
    strokes.append(Stroke(column, column, first, low, high, last, pause))


def _each(curve: Curve, view: View, factor: float, begin: int, stop: int, strokes: list[Stroke]) -> None:
    """Join bucket by bucket what lies in one column."""
    log, x_min = view.log, view.x_min
    for index in range(begin, stop):
        low, high, last = curve.low[index], curve.high[index], curve.last[index]
        if not (_finite(high) and _finite(low)) or (log and high < LEAST):
            continue
        left, right = round((curve.start[index] - x_min) * factor), round((curve.end[index] - x_min) * factor)
        before = strokes[-1] if strokes else None
        pause = before is None or not drawable(before.last, log) or not drawable(curve.high[index - 1], log)
        if before is not None and not pause and left == right == before.left == before.right:
            low, high = min(before.low, low), max(before.high, high)
            strokes[-1] = Stroke(left, right, before.first, low, high, last, before.pause)
        else:
            strokes.append(Stroke(left, right, curve.first[index], low, high, last, pause))


def drawable(value: float, log: bool) -> bool:
    """Whether an axis can show a value."""
    return _finite(value) and (value >= LEAST or not log)


def _finite(value: float) -> bool:
    return -MOST <= value <= MOST
