from __future__ import annotations

import pytest

from lora_tui.errors import UserError
from lora_tui.jobs.budget import parse_budget
from lora_tui.jobs.deadline import Deadline


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("1h 30 min", 5400), ("1.5h", 5400), ("1:30", 5400),
        ("1d", 86400), ("2 hours", 7200), ("45 s", 45), ("0:01:30", 90), ("2H", 7200),
    ],
)  # fmt: skip
def test_times(text: str, seconds: float) -> None:
    budget = parse_budget(text)
    assert budget is not None and budget.within(0) == seconds


@pytest.mark.parametrize("text", ["2.50 EUR", "2,50EUR", "$2.50", "EUR 2.5", "2.5 元", "2.5€"])
def test_money_is_time_at_a_price(text: str) -> None:
    budget = parse_budget(text)
    assert budget is not None and budget.within(1.25) == pytest.approx(7200)
    with pytest.raises(UserError, match="price"):
        budget.within(0)


@pytest.mark.parametrize(
    "text",
    ["2", "two hours", "-1h", "1h2", "h", "0s", "1s", "2 h 3", "999999d", "0 EUR", "2 h EUR", "\x1b[31m", "1e9h"],
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_budget(text)
    assert refused.value.place == "ending.budget" and "\x1b" not in str(refused.value)


def test_none_is_none() -> None:
    assert parse_budget(" ") is None


def saving(at: float, seconds: float) -> list[dict[str, object]]:
    training = {"t": at + seconds, "kind": "phase", "phase": "training"}
    return [{"t": at, "kind": "phase", "phase": "saving"}, {"t": at + 1, "kind": "phase", "phase": "saving"}, training]


def test_what_is_written_beside_the_training_counts_until_it_stands() -> None:
    deadline = Deadline(7200, begun=0.0)
    state = {"t": 1e9 + 30, "kind": "state", "step": 4}
    for event in (*saving(1e9, 2.0), {"t": 1e9 + 9, "kind": "step", "step_seconds": 2.0}, state):
        deadline.take(event)
    assert deadline.margin == pytest.approx(2 * 30 + 3 * 2 + 3)


def test_what_is_kept_for_the_stop_follows_what_saving_and_steps_took() -> None:
    deadline = Deadline(7200, begun=0.0)
    unknown = deadline.margin
    for event in (*saving(1e9, 40.0), {"t": 1e9 + 50, "kind": "step", "step_seconds": 2.0}):
        deadline.take(event)
    assert unknown < 30 and deadline.margin == pytest.approx(2 * 40 + 3 * 2 + 3)
    assert deadline.due(7200 - 100) == "" and not deadline.reached
    assert deadline.due(7200 - 80) == "stop" and deadline.reached
    assert deadline.due(7200) == ""
    assert [deadline.due(7265), deadline.due(7265), deadline.due(7325), deadline.due(9999)] == [
        "stop_now",
        "",
        "kill",
        "",
    ]
