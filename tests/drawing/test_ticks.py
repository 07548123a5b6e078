"""Round numbers for axes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lora_tui.drawing.ticks import linear_bounds, linear_ticks, log_ticks, nice_step, tick_text

finite = st.floats(-1e9, 1e9, allow_nan=False)


@given(low=finite, size=st.floats(1e-6, 1e9), wanted=st.integers(2, 12))
def test_linear_ticks_are_few_and_inside(low, size, wanted):
    high = low + size
    ticks = linear_ticks(low, high, wanted)
    assert len(ticks) <= wanted + 1
    slack = max(abs(low), abs(high), 1) * 1e-6
    assert all(low - slack <= tick <= high + slack for tick in ticks)


@given(low=finite, size=st.floats(1e-3, 1e9), wanted=st.integers(2, 12))
def test_bounds_hold_the_data(low, size, wanted):
    below, above = linear_bounds(low, low + size, wanted)
    slack = max(abs(low), size) * 1e-6
    assert below <= low + slack and above >= low + size - slack


@given(low=st.floats(1e-9, 1e3), factor=st.floats(1.01, 1e9), wanted=st.integers(2, 12))
def test_log_ticks_are_few_and_rising(low, factor, wanted):
    ticks = log_ticks(low, low * factor, wanted)
    assert list(ticks) == sorted(set(ticks))
    assert len(ticks) <= wanted + 1


def test_steps_are_round():
    assert nice_step(0.12, 4) == 0.05
    assert nice_step(1742, 4, whole=True) == 500
    assert nice_step(3, 10, whole=True) == 1
    assert linear_ticks(0.04, 0.16, 3) == (0.05, 0.1, 0.15000000000000002)


def test_tick_text_has_the_decimals_of_its_step():
    assert tick_text(0.1, 0.05) == "0.10"
    assert tick_text(1500, 500) == "1,500"
    assert tick_text(0, 0.05) == "0"
    assert tick_text(0.00002, 0.00001) == "2e-5"
    assert tick_text(2.5, 2.5) == "2.5"
