"""What earlier runs teach about time."""

import json

import pytest
from config_samples import config_with

from lora_tui.config.history import past_runs_elsewhere, past_runs_in
from lora_tui.config.load import dump_config
from lora_tui.runs.folder import RunFolder
from lora_tui.settings import remember_project


def run_of(runs, name: str, step_seconds: float, *, config_text: str | None = None) -> RunFolder:
    """A finished run whose last twenty steps took ``step_seconds`` each."""
    text = dump_config(config_with(steps={"batch_size": 2})) if config_text is None else config_text
    run = RunFolder.create(runs, name, text, {})
    events = [{"t": 0.0, "kind": "run", "total_steps": 20, "epochs": 1}]
    events += [
        {"t": step * step_seconds, "kind": "step", "step": step, "epoch": 1, "loss": 0.1, "step_seconds": step_seconds}
        for step in range(1, 21)
    ]
    events.append({"t": 20 * step_seconds, "kind": "finished", "reason": "completed", "step": 20, "path": ""})
    run.events_path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return run


def test_runs_that_measured_steps_are_told_newest_first(tmp_path):
    run_of(tmp_path, "a", 0.5)
    run_of(tmp_path, "b", 0.25)
    RunFolder.create(tmp_path, "c", dump_config(config_with()), {})
    found = past_runs_in(tmp_path)
    assert [(past.name, past.step_seconds) for past in found] == [
        ("run 2", pytest.approx(0.25)),
        ("run 1", pytest.approx(0.5)),
    ]
    assert found[0].config.steps.batch_size == 2


def test_a_run_whose_configuration_cannot_be_read_teaches_nothing(tmp_path):
    run_of(tmp_path, "a", 0.5, config_text="schema_version = 99\n")
    assert past_runs_in(tmp_path) == ()


def test_a_project_without_runs_teaches_nothing(tmp_path):
    assert past_runs_in(tmp_path / "none") == ()


def test_runs_of_other_projects_are_known_by_their_project(tmp_path):
    here, other = tmp_path / "here", tmp_path / "hats"
    for project in (here, other):
        run_of(project / "runs", "20260101-000000-a", 0.5)
        remember_project(project)
    assert [(past.name, past.step_seconds) for past in past_runs_elsewhere(here)] == [
        (f"hats: {past_runs_in(other / 'runs')[0].name}", pytest.approx(0.5))
    ]
