from __future__ import annotations

import os
from pathlib import Path

from run_builders import T0
from run_folders import write_run

from lora_tui.files import write_atomic
from lora_tui.jobs.job import Job, write_job
from lora_tui.jobs.process import host, own_identity, place_of
from lora_tui.runs.aftermath import ENTRY, after_lines, command_at_work
from lora_tui.runs.folder import RunFolder
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


def kept(run: RunFolder, *, ended: float | None, alive: bool) -> None:
    """Have had a keeper, which ``alive`` is this very process."""
    pid, name = (os.getpid(), own_identity()) if alive else (1 << 21, "gone")
    job = Job(pid=pid, identity=name, started=T0, ended=ended, host=host(), attempt=1, folder=str(run.root))
    write_job(run.root, Job(**{**job.__dict__, "place": place_of(run.root)}))


def test_a_command_that_nobody_ran_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=5, prompts=0, ending="stopped")
    write_atomic(run.config_path, b'[ending]\non_finish = "poweroff"\n')
    kept(run, ended=None, alive=False)
    assert "poweroff" in after_lines(inspect(run))[0] and "killed" in after_lines(inspect(run))[0]
    kept(run, ended=T0 + 9, alive=True)
    assert after_lines(inspect(run)) == [], "it is still telling of the end"
    update_record(run, **{ENTRY: {"on_finish": {"command": "poweroff", "exit_status": None}}})
    assert after_lines(inspect(run)) == ["After it: poweroff (running)"]
    assert command_at_work(run) == "poweroff"
    kept(run, ended=T0 + 9, alive=False)
    assert command_at_work(run) == "" and "keeper left" in after_lines(inspect(run))[0]
