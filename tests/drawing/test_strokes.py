"""Buckets become strokes: whole columns at once give what bucket by bucket gives."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.drawing.dots import GLYPHS, Dots
from lora_tui.drawing.strokes import Curve, Stroke, View, merge

values = st.floats(0.01, 10) | st.just(math.nan) | st.just(0.0) | st.just(-1.0)


@settings(max_examples=100, deadline=None)
@given(data=st.lists(values, min_size=30, max_size=200), columns=st.integers(4, 12), log=st.booleans())
def test_crowded_columns_keep_extremes_ends_and_gaps(data, columns, log):
    steps = [float(i) for i in range(len(data))]
    view = View(0, len(data) - 1, log=log)
    strokes = merge(Curve.through("a", steps, data), view, columns)
    shown = [v for v in data if math.isfinite(v) and (v > 0 or not log)]
    assert [s.left for s in strokes] == sorted(s.left for s in strokes)
    if not shown:
        assert strokes == []
        return
    assert max(s.high for s in strokes) == max(shown)
    assert strokes[-1].last == shown[-1] and strokes[0].first == shown[0]
    assert strokes[0].pause
    if not log:
        assert min(s.low for s in strokes) == min(shown)
    if len(shown) == len(data):
        assert not any(stroke.pause for stroke in strokes[1:])


def test_a_gap_in_a_crowded_curve_is_a_pause():
    data = [1.0] * 100 + [math.nan] * 100 + [2.0] * 100
    strokes = merge(Curve.through("a", [float(i) for i in range(300)], data), View(0, 299), 30)
    assert sum(stroke.pause for stroke in strokes) == 2
    assert isinstance(strokes[0], Stroke)


@given(
    style=st.sampled_from(sorted(GLYPHS)),
    x=st.integers(-2, 12),
    top=st.integers(-5, 40),
    bottom=st.integers(-5, 40),
)
def test_a_column_of_dots_sets_exactly_its_dots(style, x, top, bottom):
    dots = Dots(5, 4, style)
    dots.column(x, top, bottom)
    low, high = min(top, bottom), max(top, bottom)
    glyphs = GLYPHS[style]
    for y in range(dots.lines):
        for column in range(dots.columns):
            row, line = divmod(y, glyphs.down)
            cell, side = divmod(column, glyphs.across)
            is_set = bool(dots.mask(row)[cell] & glyphs.bits[line][side])
            assert is_set == (column == x and low <= y <= high)
