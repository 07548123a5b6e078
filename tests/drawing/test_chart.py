"""Curves as characters: what is drawn where, what is a gap, what the axes say."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.drawing.chart import GUTTER, MIN_HEIGHT, MIN_WIDTH, Curve, Marker, Plot, RailMark, View, draw, step_at

STYLES = ("braille", "blocks", "ascii")


def lines(plot: Plot) -> list[str]:
    return ["".join(span.text for span in row) for row in plot.rows]


def body(plot: Plot) -> list[str]:
    """The rows of curves, without gutter, rail and numbers."""
    return [line[GUTTER:] for line in lines(plot)[:-2]]


def columns_with_ink(plot: Plot) -> set[int]:
    return {x for line in body(plot) for x, char in enumerate(line) if char != " "}


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60),
    width=st.integers(0, 90),
    height=st.integers(0, 24),
    style=st.sampled_from(STYLES),
    log=st.booleans(),
    cursor=st.none() | st.integers(-5, 70),
)
def test_every_row_has_the_asked_width_whatever_the_data(values, width, height, style, log, cursor):
    curve = Curve.through("loss", [float(i) for i in range(len(values))], values, robust=True)
    view = View(0, max(len(values) - 1, 0), log=log, cursor=cursor, style=style)
    plot = draw([curve], view, width, height, markers=[Marker(3, 1.0, "o", "val")], rail=[RailMark(2, "^", "saved")])
    assert len(plot.rows) == height
    assert {len(line) for line in lines(plot)} <= {width}


@pytest.mark.parametrize("log", [False, True])
def test_values_beyond_all_measure_are_gaps(log: bool) -> None:
    values = [1.0, 2.0, 1.7e308, 2.0, -1.7e308, 3.0, 5e-324, 1.0]
    curve = Curve.through("loss", [float(i) for i in range(len(values))], values)
    plot = draw([curve], View(0, 7, log=log), 60, 12, markers=[Marker(3, 1e308, "o", "val")])
    assert not plot.empty and plot.y_high <= 10
    assert "o" not in "".join(body(plot))


def test_the_numbers_of_an_axis_have_one_form_and_even_distances() -> None:
    steps = [float(i) for i in range(100)]
    plot = draw([Curve.through("lr", steps, [1e-3 * (1 - i / 100) for i in range(100)])], View(0, 99), 60, 11)
    labels = {
        row: line[: GUTTER - 1].strip() for row, line in enumerate(lines(plot)[:-2]) if line[: GUTTER - 1].strip()
    }
    rows = list(labels)
    assert list(labels.values()) == ["1e-3", "7.5e-4", "5e-4", "2.5e-4", "0"]
    assert len({after - before for before, after in itertools.pairwise(rows)}) == 1


def test_a_falling_line_falls():
    xs = [float(i) for i in range(100)]
    plot = draw([Curve.through("loss", xs, [1.0 - x / 100 for x in xs])], View(0, 99), 60, 12)
    rows_by_column = {
        x: next(y for y, line in enumerate(body(plot)) if line[x] != " ") for x in sorted(columns_with_ink(plot))
    }
    tops = list(rows_by_column.values())
    assert tops == sorted(tops)
    assert tops[0] == 0 and tops[-1] == len(body(plot)) - 1


def test_few_points_are_joined_without_holes():
    plot = draw([Curve.through("val", [0.0, 50.0, 100.0], [0.2, 0.9, 0.4])], View(0, 100), 50, 10)
    assert columns_with_ink(plot) == set(range(50 - GUTTER))


def test_nan_is_a_gap_and_does_not_touch_the_axis():
    xs = [float(i) for i in range(90)]
    values = [0.5 if not 30 <= x < 60 else math.nan for x in xs]
    plot = draw([Curve.through("loss", xs, values)], View(0, 89), GUTTER + 90, 8)
    ink = columns_with_ink(plot)
    assert not ink & set(range(31, 59))
    assert {0, 29, 61, 89} <= ink
    assert math.isfinite(plot.y_low) and math.isfinite(plot.y_high)


def test_infinity_is_a_gap_too():
    plot = draw([Curve.through("loss", [0.0, 1.0, 2.0], [1.0, math.inf, 2.0])], View(0, 2), 40, 8)
    assert plot.y_high < 10


def test_a_spike_does_not_flatten_a_robust_curve():
    xs = [float(i) for i in range(200)]
    values = [0.1 + 0.01 * (i % 5) for i in range(200)]
    values[77] = 40.0
    robust = draw([Curve.through("loss", xs, values, robust=True)], View(0, 199), 60, 10)
    strict = draw([Curve.through("loss", xs, values)], View(0, 199), 60, 10)
    assert robust.y_high < 1 and robust.clipped
    assert strict.y_high >= 40 and not strict.clipped


def test_later_curves_cover_earlier_ones():
    xs = [float(i) for i in range(50)]
    flat = [0.5] * 50
    plot = draw([Curve.through("raw", xs, flat), Curve.through("smooth", xs, flat)], View(0, 49), 40, 8)
    roles = {span.role for row in plot.rows[:-2] for span in row if span.text.strip() and span.role != "axis"}
    assert roles == {"smooth"}


def test_log_axis_shows_decades_evenly_and_leaves_out_what_has_no_logarithm():
    xs = [0.0, 1.0, 2.0, 3.0]
    curve = Curve.through("loss", xs, [1.0, 0.1, 0.01, 0.0])
    plot = draw([curve], View(0, 3, log=True), 60, 11)
    labels = {line[:GUTTER].strip(): y for y, line in enumerate(lines(plot)[:-2]) if line[:GUTTER].strip()}
    assert labels["1"] - labels["0.1"] == labels["0.1"] - labels["0.01"] < 0
    assert columns_with_ink(plot) <= set(range(37))


def test_marks_stand_at_their_step():
    plot = draw(
        [Curve.through("loss", [0.0, 100.0], [0.0, 1.0])],
        View(0, 100),
        GUTTER + 101,
        10,
        markers=[Marker(50, 0.5, "◆", "val")],
        rail=[RailMark(80, "▲", "saved"), RailMark(300, "X", "saved")],
    )
    assert any(line[GUTTER + 50] == "◆" for line in lines(plot))
    rail = lines(plot)[-2]
    assert rail[GUTTER + 80] == "▲" and "X" not in rail


def test_the_cursor_is_a_column_behind_the_curve():
    curve = Curve.through("loss", [0.0, 100.0], [0.5, 0.5])
    plot = draw([curve], View(0, 100, cursor=100), GUTTER + 101, 10)
    column = [line[-1] for line in lines(plot)[:-2]]
    assert column.count("│") == len(column) - 1
    assert step_at(View(0, 100), GUTTER + 100, GUTTER + 101) == 100
    assert step_at(View(0, 100), 0, GUTTER + 101) == 0


def test_x_numbers_are_whole_and_apart():
    plot = draw([Curve.through("loss", [0.0, 1742.0], [1.0, 2.0])], View(0, 1742), 49, 9)
    assert lines(plot)[-1].split() == ["0", "500", "1,000", "1,500"]


def test_one_step_and_no_data_are_drawn_calmly():
    one = draw([Curve.through("loss", [1.0], [0.3])], View(1, 1), 40, 8)
    assert columns_with_ink(one)
    none = draw([], View(0, 0), 40, 8)
    assert none.empty and not columns_with_ink(none)
    tiny = draw([], View(0, 0), MIN_WIDTH - 1, MIN_HEIGHT)
    assert tiny.empty and not "".join(lines(tiny)).strip()


@pytest.mark.parametrize("style", STYLES)
def test_small_changes_of_the_data_do_not_move_the_axis(style):
    xs = [float(i) for i in range(100)]
    low = draw([Curve.through("a", xs, [0.056 + x / 1000 for x in xs])], View(0, 99, style=style), 50, 9)
    high = draw([Curve.through("a", xs, [0.058 + x / 1000 for x in xs])], View(0, 99, style=style), 50, 9)
    assert (low.y_low, low.y_high) == (high.y_low, high.y_high)


def test_ascii_style_is_ascii_alone():
    xs = [float(i) for i in range(40)]
    plot = draw([Curve.through("a", xs, xs)], View(0, 39, style="ascii", cursor=3), 50, 9)
    assert "".join(lines(plot)).isascii()


def test_only_buckets_in_view_are_drawn():
    xs = [float(i) for i in range(1000)]
    values = [9.0 if x < 500 else 0.5 for x in xs]
    plot = draw([Curve.through("a", xs, values)], View(600, 999), 50, 9)
    assert plot.y_high < 5
