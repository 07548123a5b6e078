from __future__ import annotations

from pathlib import Path

from run_folders import write_run

from lora_tui.runs.aftermath import ENTRY, after_lines
from lora_tui.runs.record import update_record
from lora_tui.runs.status import inspect


def test_budget_cost_and_command_are_told_of_a_run_that_is_over(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=5, prompts=0, ending="stopped")
    assert after_lines(inspect(run)) == []
    budget, after = {"said": "2 EUR", "reached": True}, {"command": "poweroff \x1b[31m", "exit_status": 1}
    update_record(
        run, **{ENTRY: {"reason": "budget", "cost": 1.999, "currency": "EUR", "budget": budget, "on_finish": after}}
    )
    budget_line, cost_line, command_line = after_lines(inspect(run))
    assert "2 EUR" in budget_line and "2.00 EUR" in cost_line
    assert command_line.endswith("(status 1)") and "\x1b" not in command_line


def test_a_damaged_note_says_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=5, prompts=0, ending="stopped")
    for entry in (None, 5, [], {"cost": "x", "budget": 3, "on_finish": "rm"}):
        update_record(run, **{ENTRY: entry})
        assert after_lines(inspect(run)) == []
