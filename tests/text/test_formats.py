"""Numbers as text: what a person reads, and that every number becomes some text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.text.formats import bytes_text, clock, count, duration, number, percent, rate_text, setting_number

ANY_NUMBER = st.floats() | st.integers() | st.sampled_from((10**400, -(10**400), 10**5000, True))


@given(value=ANY_NUMBER, other=ANY_NUMBER)
def test_every_number_becomes_a_short_text(value: float, other: float) -> None:
    texts = (
        count(value),
        number(value),
        duration(value),
        bytes_text(value),
        percent(value, other),
        clock(value),
        rate_text(value),
    )
    assert all(isinstance(text, str) and len(text) <= 20 and text.isprintable() for text in texts), texts


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (count(4240), "4,240"),
        (count(10**15), "1.0e+15"),
        (number(None), "-"),
        (number(math.nan), "nan"),
        (number(0.08123), "0.0812"),
        (number(10**400), "1.0e+400"),
        (duration(980), "16m 20s"),
        (duration(math.inf), "-"),
        (duration(36_525 * 86_400), "36,525d 00h"),
        (bytes_text(2_100_000_000), "2.1 GB"),
        (bytes_text(math.nan), "-"),
        (percent(1742, 4240), "41%"),
        (percent(999, 1000), "99%"),
        (percent(5, 3), "100%"),
        (percent(3, 0), "-"),
        (percent(0.0, 10**400), "0%"),
        (clock(1e308), ""),
        (clock(None), ""),
    ],
)
def test_numbers_read_as_a_person_writes_them(made: str, text: str) -> None:
    assert made == text


def test_a_moment_is_told_by_the_local_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        assert clock(86_400 + 3_723) == "01:02:03"
        assert clock(86_400, "%Y-%m-%d") == "1970-01-02"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("value", "setting", "moment"),
    [(0.004, "0.004", "0.004"), (1e-4, "1e-4", "1e-4"), (1.25e-5, "1.25e-5", "1.25e-5"),
     (9.7134e-5, "9.7134e-5", "9.71e-5"), (3.16227766017e-5, "3.16227766017e-5", "3.16e-5"),
     (0.0039283, "0.0039283", "0.00393"), (1.0, "1", "1"), (0.0, "0", "0"), (math.nan, "nan", "nan")],
)  # fmt: skip
def test_a_learning_rate_is_written_as_the_form_writes_it(value: float, setting: str, moment: str) -> None:
    assert (setting_number(value), rate_text(value)) == (setting, moment)
    assert rate_text(None) == "-"
