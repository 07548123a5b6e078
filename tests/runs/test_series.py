import math
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.runs.series import MOST, Series, ema, width_for

STEPS = st.lists(st.integers(1, 40_000), max_size=300, unique=True).map(sorted)
VALUES = st.floats(allow_nan=True, allow_infinity=True, width=32)


def same(a: Series, b: Series) -> bool:
    """Whether two series are equal, NaN counting as equal to itself and sums up to rounding."""
    exact = ("steps", "last_steps", "first", "low", "high", "last", "counts")
    pairs = [(getattr(a, name), getattr(b, name)) for name in exact]
    return (
        a.width == b.width
        and all(list(map(repr, one)) == list(map(repr, other)) for one, other in pairs)
        and list(a.mean) == pytest.approx(list(b.mean), rel=1e-9, abs=1e-30, nan_ok=True)
    )


def filled(steps: list[int], values: list[float]) -> Series:
    series = Series()
    series.extend(array("q", steps), array("d", values))
    return series


def test_few_values_are_kept_as_they_are() -> None:
    series = filled([1, 2, 5], [0.5, 0.25, 1.0])
    assert series.width == 1
    assert list(series.steps) == [1, 2, 5]
    assert list(series.low) == list(series.high) == list(series.mean) == list(series.first) == [0.5, 0.25, 1.0]
    assert series.latest == 1.0


def test_a_spike_of_one_step_in_a_million_is_kept() -> None:
    values = array("d", [0.5]) * 1_000_000
    values[123_456] = 77.0
    values[654_321] = -3.0
    series = Series()
    for begin in range(0, 1_000_000, 1000):
        series.extend(range(begin + 1, begin + 1001), values[begin : begin + 1000])
    assert len(series) <= MOST
    assert (max(series.high), min(series.low)) == (77.0, -3.0)
    point = next(point for point in series.points() if point.high == 77.0)
    assert point.step <= 123_457 <= point.last_step
    assert series.last_steps[-1] == 1_000_000


def test_nan_and_infinities_are_gaps_that_do_not_spoil_their_neighbours() -> None:
    series = filled([1, 2, 3, 4], [1.0, math.nan, math.inf, 2.0])
    assert [math.isnan(value) for value in series.low] == [False, True, True, False]
    assert (series.not_finite, series.latest) == (2, 2.0)
    wide = Series()
    wide.extend(range(20_000), array("d", [math.nan if step % 7 == 0 else 1.0 for step in range(20_000)]))
    assert set(wide.low) == set(wide.high) == {1.0}
    assert list(wide.mean) == pytest.approx([1.0] * len(wide))


def test_steps_that_do_not_rise_are_ignored() -> None:
    series = filled([5], [1.0])
    series.extend([4, 5, 6], [9.0, 9.0, 2.0])
    series.append(6, 9.0)
    assert (list(series.steps), list(series.last)) == ([5, 6], [1.0, 2.0])


@settings(max_examples=80, deadline=None)
@given(STEPS, st.data())
def test_the_result_does_not_depend_on_how_values_arrive(steps: list[int], data: st.DataObject) -> None:
    values = data.draw(st.lists(VALUES, min_size=len(steps), max_size=len(steps)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(steps)), max_size=5)))
    parts = Series()
    for begin, end in zip([0, *cuts], [*cuts, len(steps)], strict=True):
        parts.extend(array("q", steps[begin:end]), array("d", values[begin:end]))
    assert same(parts, filled(steps, values))


@pytest.mark.parametrize("stride", [1, 3, 17])
def test_a_long_series_is_the_same_one_by_one_and_all_at_once(stride: int) -> None:
    steps = list(range(1, 30_000 * stride, stride))
    values = [math.sin(step / 50) for step in steps]
    single = Series()
    for step, value in zip(steps, values, strict=True):
        single.append(step, value)
    assert same(single, filled(steps, values))
    assert MOST // 2 < len(single) <= MOST


@pytest.mark.parametrize("last", [1, 4095, 4096, 4097, 9000, 65_536, 70_001])
@pytest.mark.parametrize("piece", [7, 1000])
def test_what_is_expected_changes_the_work_and_not_the_result(last: int, piece: int) -> None:
    series = Series(width_for(last))
    for begin in range(1, last + 1, piece):
        steps = range(begin, min(begin + piece, last + 1))
        series.extend(steps, array("d", [math.sin(step) for step in steps]))
        assert len(series) >= min(begin, 256)
    whole = filled(list(range(1, last + 1)), [math.sin(step) for step in range(1, last + 1)])
    assert same(series, whole) and not series.too_wide
    assert whole.width == width_for(last)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 40)), min_size=1, max_size=3), st.integers(1, 9))
def test_what_was_expected_in_vain_is_told(parts: list[tuple[int, int]], power: int) -> None:
    steps, last = [], 0
    for count, stride in parts:
        steps += range(last + stride, last + count * stride + 1, stride)
        last = steps[-1]
    series, values = Series(2**power), [float(step % 7) for step in steps]
    series.extend(array("q", steps), array("d", values))
    assert series.too_wide or same(series, filled(steps, values))


@settings(max_examples=50, deadline=None)
@given(STEPS, st.integers(0, 40_000))
def test_truncating_leaves_what_came_before(steps: list[int], at: int) -> None:
    values = [float(step) for step in steps]
    series = filled(steps, values)
    series.truncate(at)
    kept = [step for step in steps if step <= at]
    assert same(series, filled(kept, [float(step) for step in kept]))
    series.append(at + 1, 5.0)
    assert series.latest == 5.0


def test_every_change_changes_the_version() -> None:
    series = Series()
    seen = {series.version}
    series.append(1, 1.0)
    seen.add(series.version)
    series.truncate(0)
    seen.add(series.version)
    assert len(seen) == 3


def test_a_constant_stays_itself_when_smoothed() -> None:
    assert list(ema([2.0] * 50, 0.99)) == pytest.approx([2.0] * 50)


def test_smoothing_has_the_formula_of_the_paper() -> None:
    values = [1.0, 5.0, 2.0]
    weight = 0.9
    past, expected = 0.0, []
    for number, value in enumerate(values, 1):
        past = weight * past + (1 - weight) * value
        expected.append(past / (1 - weight**number))
    assert list(ema(values, weight)) == pytest.approx(expected)


def test_gaps_stay_gaps_when_smoothed() -> None:
    smooth = ema([1.0, math.nan, 1.0], 0.5)
    assert math.isnan(smooth[1]) and smooth[2] == pytest.approx(1.0)


@given(st.lists(st.floats(-1e6, 1e6), max_size=50), st.floats(0, 1))
def test_smoothing_stays_within_the_values(values: list[float], weight: float) -> None:
    for number, value in enumerate(ema(values, weight), 1):
        seen = values[:number]
        assert min(seen) - 1e-6 <= value <= max(seen) + 1e-6


def test_a_smoothed_long_series_is_near_the_smoothing_of_its_values() -> None:
    values = [1 / (1 + step / 500) for step in range(20_000)]
    series = Series()
    series.extend(range(20_000), array("d", values))
    exact = ema(values, 0.99)
    for place in (100, 1000, len(series) - 1):
        assert series.smooth(0.99)[place] == pytest.approx(exact[series.last_steps[place]], rel=0.02)


def test_huge_steps_do_not_hurt() -> None:
    steps = [1, 2**40, 2**52, 2**62]
    assert list(filled(steps, [1.0] * 4).steps) == steps
    many = filled([step * 2**49 for step in range(5000)], [1.0] * 5000)
    assert len(many) <= MOST
