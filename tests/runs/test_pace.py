import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.runs.pace import SOUND, Pace, typical

T0 = 1_700_000_000.0


def paced(seconds: list[float]) -> Pace:
    """A pace fed with steps that follow each other without a pause."""
    pace = Pace()
    now = T0
    for time in seconds:
        now += time
        pace.steps(now, now, [time], [])
    return pace


def test_nothing_is_said_before_it_is_sound() -> None:
    for count in range(SOUND + 1):
        assert paced([0.5] * count).left(100) is None
    assert paced([0.5] * (SOUND + 1)).left(100) == pytest.approx(50)


def test_the_first_step_warms_up_and_a_few_slow_ones_do_not_count_for_all() -> None:
    assert paced([60.0, *[0.5] * SOUND]).step_seconds == 0.5
    assert paced([60.0, 30.0, 0.5, 0.5, 20.0, 0.5, 0.5, 0.5]).step_seconds == 0.5
    assert paced([60.0, *[0.5, 1.5] * 20]).step_seconds == pytest.approx(1.0)


@given(st.lists(st.floats(0.01, 10), min_size=SOUND + 1, max_size=300), st.integers(0, 1 << 40))
def test_what_is_left_is_finite_and_of_the_order_of_the_steps(seconds: list[float], steps: int) -> None:
    left = paced(seconds).left(steps)
    assert left is not None and min(seconds) * steps * 0.999 <= left <= max(seconds) * steps * 6.001


@pytest.mark.parametrize("odd", [math.nan, math.inf, -1.0, 1e308])
def test_times_that_no_step_takes_do_not_count(odd: float) -> None:
    pace = paced([0.5] * 10)
    pace.steps(T0 + 6, T0 + 6, [odd], [odd])
    pace.steps(0.0, 0.0, [0.5], [])
    left = pace.left(10)
    assert left is not None and left < 40


def test_of_nothing_nothing_is_typical() -> None:
    assert typical([]) is typical([0.0]) is None
