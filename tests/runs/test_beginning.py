"""What the time to the first step went into, as the record says it and a person reads it."""

from __future__ import annotations

from typing import Any

import pytest

from lora_tui.runs.beginning import Beginning, beginning_of
from lora_tui.trainer.clock import Clock


def test_parts_that_took_no_time_are_not_told() -> None:
    parts = {"libraries": 5.2, "loading": 1.1, "caching": 0.0, "measuring": 90.0, "step": 0.31}
    found = beginning_of({"beginning": {"seconds": 96.61, "parts": {**parts, "[/x]": 7.0}}})
    assert found == Beginning(96.61, parts)
    assert found.sentence == (
        "first step after 1m 37s (libraries 5.2 s, loading 1.1 s, measuring 1m 30s, first step 0.3 s)"
    )
    assert Beginning(0.4, {}).sentence == "first step after 0.4 s"


@pytest.mark.parametrize(
    "entry", [None, [], "x", {"seconds": 1}, {"seconds": -1, "parts": {}}, {"seconds": "nan", "parts": {}}]
)
def test_what_is_no_beginning_is_none(entry: Any) -> None:
    assert beginning_of({"beginning": entry}) is None


def test_each_phase_adds_to_its_part_and_a_pause_to_none(monkeypatch: pytest.MonkeyPatch) -> None:
    now, away = [0.0], [0.0]
    monkeypatch.setattr("time.time", lambda: 1007.0)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Clock(1000.0, lambda: away[0])
    for phase, at in (("loading", 1.0), ("caching", 3.0), ("loading", 7.0), ("sampling", 8.0), ("training", 11.0)):
        now[0] = at
        clock.enter(phase)
    now[0], away[0] = 100.0, 80.0
    assert clock.stop() == {"libraries": 7.0, "loading": 4.0, "caching": 4.0, "measuring": 3.0, "step": 9.0}
    clock.enter("saving")
    assert clock.stop() is None
