"""The arithmetic behind the figures, and one real measurement."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.bench.common import Measure, amount, median_interval, paired, ratio_measure


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40))
def test_the_interval_holds_the_median(values: list[float]) -> None:
    median, low, high = median_interval(values)
    assert min(values) <= low <= median <= high <= max(values)
    assert median == statistics.median(values)


def test_the_interval_covers_the_true_median_at_least_19_times_in_20() -> None:
    generator = random.Random(5)
    inside = 0
    for _trial in range(2000):
        _median, low, high = median_interval([generator.gauss(1, 1) for _value in range(15)])
        inside += low <= 1 <= high
    assert inside / 2000 > 0.95


def test_few_values_give_their_range() -> None:
    assert median_interval([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    with pytest.raises(ValueError, match="no values"):
        median_interval([])


def test_pairs_are_taken_in_turns() -> None:
    order: list[str] = []
    found = paired(lambda: order.append("a"), lambda: order.append("b"), pairs=4)
    assert len(found.ratios) == len(found.processor) == 4
    assert "".join(order) == "abbaabba"


@pytest.mark.parametrize(
    ("measure", "holds"),
    [
        (Measure("x", 0.4, "s", bar=0.5), True),
        (Measure("x", 0.6, "s", bar=0.5), False),
        (Measure("x", 0.9, "ratio", bar=0.8, least=True), True),
        (Measure("x", 0.7, "ratio", bar=0.8, least=True), False),
        (Measure("x", 9.0, "s"), True),
    ],
)
def test_a_bar_is_kept_or_missed(measure: Measure, holds: bool) -> None:
    assert measure.holds is holds
    assert json.loads(json.dumps(measure.as_dict()))["holds"] is holds
    verdict = measure.cells()[3]
    assert (verdict == "MISSED") is (not holds)


def test_amounts_have_units() -> None:
    assert amount(0.5, "s") == "0.50 s"
    assert amount(120, "s") == "2m 00s"
    assert amount(37_000_000, "bytes") == "37.0 MB"
    assert amount(80_000, "bytes/s") == "80 kB/s"
    assert amount(0.041, "share") == "4.1%"
    assert amount(float("nan"), "s") == "nan"
    assert ratio_measure("r", [1.0, 1.1, 0.9], bar=1.05).cells() == (
        "r",
        "1.000x (0.900x - 1.100x)",
        "at most 1.050x",
        "holds",
    )


def test_the_app_paints_in_a_terminal_without_heavy_libraries() -> None:
    command = [sys.executable, "-m", "lora_tui", "bench", "start", "--starts", "1", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    paint, form, memory, heavy = json.loads(result.stdout)["measures"]
    assert (paint["unit"], paint["bar"]) == ("s", 0.5)
    assert 0 < paint["value"] < 20
    assert (form["unit"], form["bar"]) == ("s", 0.3) and form["value"] > 0
    assert memory["value"] > 10_000_000
    assert heavy["value"] == 0


def test_who_waits_hears_of_each_pair(capsys: pytest.CaptureFixture[str]) -> None:
    paired(lambda: None, lambda: None, 2)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "pair 1 of 2\npair 2 of 2\n")
