"""Alarms, budget and what comes after the end, by a real keeper with no terminal open."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from run_builders import ended, events, launched, make_run, small, training
from support import until
from webhook_server import serving

from lora_tui.alarms.alarm import read_alarms
from lora_tui.alarms.webhooks import VARIABLE
from lora_tui.errors import UserError
from lora_tui.jobs import launch
from lora_tui.jobs.control import request
from lora_tui.jobs.job import read_job
from lora_tui.jobs.process import is_alive
from lora_tui.runs.aftermath import after_lines
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.start import resume_run
from lora_tui.runs.status import inspect


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path, price_per_hour=3600.0, currency="EUR")


def settings(run: RunFolder, **ending: str) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in ending.items()]
    run.config_path.write_text("schema_version = 1\n[ending]\n" + "\n".join(lines) + "\n")


def noted(run: RunFolder, name: str = "reason") -> Any:
    """An entry of what the keeper writes into the record at last."""

    def entry() -> Any:
        return json.loads(run.record_path.read_text()).get("ending", {}).get(name)

    return until(entry)


def noted_now(run: RunFolder) -> Any:
    """What stands in the record of the run's end."""
    return json.loads(run.record_path.read_text())["ending"]


def gone(run: RunFolder) -> None:
    """Wait until the keeper has done all."""
    job = read_job(run.root)
    assert job is not None
    until(lambda: not is_alive(job.pid, job.identity), 60)


def test_an_overfit_run_raises_the_alarm_at_a_webhook_once(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as hook:
        secret = f"http://{hook.host}/secret-path"
        monkeypatch.setenv(VARIABLE, secret)
        launched(run, "--steps", "80", "--overfit")
        ended(run)
        gone(run)
    assert hook.codes == ["overfitting", "finished"]
    path, _headers, told = hook.got[0]
    assert path == "/secret-path"
    assert told["run"] == run.name and told["at"] == 30 and "30" in told["text"] and told["level"] == "warning"
    (event,) = events(run, "alarm")
    assert (event["code"], event["at"]) == ("overfitting", 30)
    (alarm,) = read_alarms(run.root)
    assert alarm == inspect(run).alarms[0] and "regularisation" in alarm.advice
    assert not [file for file in run.root.rglob("*") if file.is_file() and b"secret-path" in file.read_bytes()]


def test_a_resumed_run_does_not_raise_it_again(run: RunFolder) -> None:
    launched(run, "--steps", "100000", "--overfit")
    until(lambda: events(run, "alarm"))
    request(run.root, "stop")
    ended(run)
    step = events(run, "finished")[0]["step"]
    launched(run, "--steps", str(step + 20), "--overfit", resume=True)
    until(lambda: len(events(run, "finished")) == 2)
    gone(run)
    assert [event["code"] for event in events(run, "alarm")] == ["overfitting"]
    assert [alarm.code for alarm in read_alarms(run.root)] == ["overfitting"]


def test_a_death_is_told_with_its_reason_and_gone_after_a_resume(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as hook:
        monkeypatch.setenv(VARIABLE, f"http://{hook.host}/")
        launched(run, "--steps", "3", "--end", "cuda")
        ended(run)
        gone(run)
    (told,) = [body for _path, _headers, body in hook.got]
    assert (told["code"], told["level"], told["step"]) == ("died", "error", 3)
    assert told["message"] and told["advice"]
    assert [alarm.code for alarm in inspect(run).alarms] == ["died"]
    launched(run, "--steps", "5", resume=True)
    ended(run)
    until(lambda: inspect(run).alarms == ())


def test_a_webhook_that_hangs_holds_nothing_up(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(0) as hook, serving() as other:
        monkeypatch.setenv(VARIABLE, f"http://{hook.host}/ http://{other.host}/")
        launched(run, "--steps", "80", "--overfit")
        ended(run)
        until(lambda: hook.got and "overfitting" in other.codes)
        launched(run, "--steps", "85", "--overfit", resume=True)  # at once, though the notice is still on its way
        until(lambda: len(events(run, "finished")) == 2)
        until(lambda: holderless(run))


def holderless(run: RunFolder) -> bool:
    job = read_job(run.root)
    return job is not None and job.ended is not None and job.attempt == 2


def test_a_webhook_that_refuses_is_told_once_without_its_address(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(404, 404) as hook:
        monkeypatch.setenv(VARIABLE, f"http://{hook.host}/secret-path")
        launched(run, "--steps", "80", "--overfit")
        ended(run)
        gone(run)
    assert len(hook.got) == 2
    (warning,) = events(run, "warning")
    assert warning["code"] == "webhook" and "404" in warning["message"] and "127.0.0.1" in warning["message"]
    assert "secret-path" not in run.events_path.read_text()


def test_a_budget_saves_and_stops_in_time_and_says_so(run: RunFolder) -> None:
    settings(run, budget="5 EUR")  # five seconds at this price
    launched(run, "--steps", "100000")
    job = ended(run)
    assert job.ended is not None and job.ended - job.started < 5
    assert events(run, "state") and events(run, "finished")[0]["reason"] == "stopped"
    assert noted(run) == "budget" and noted(run, "budget")["reached"]
    assert [event["code"] for event in events(run, "alarm")][-1] == "budget"
    assert inspect(run).can_resume


def test_a_resume_may_have_a_budget_of_its_own(run: RunFolder) -> None:
    launched(run, "--steps", "100000")
    training(run)
    request(run.root, "stop")
    ended(run)
    gone(run)
    resume_run(run, command=small("--steps", "200000"), budget="5s")
    until(lambda: len(events(run, "finished")) == 2)
    gone(run)
    assert noted(run) == "budget"


def test_the_command_after_the_end_knows_what_happened(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:1/secret")
    settings(run, alarms="off", on_finish="env | grep ^LORA_TUI_ | sort; pwd; exit 3")
    (run.checkpoints_dir / "hat.safetensors").write_bytes(b"x")
    launched(run, "--steps", "4")
    ended(run)
    gone(run)
    assert noted(run, "on_finish")["exit_status"] == 3
    printed = (run.root / "on_finish.log").read_text().splitlines()
    facts = dict(line.split("=", 1) for line in printed if "=" in line)
    assert facts["LORA_TUI_STATE"] == "finished" and facts["LORA_TUI_REASON"] == "completed"
    assert facts["LORA_TUI_RUN"] == printed[-1] == str(run.root)
    assert (facts["LORA_TUI_STEP"], facts["LORA_TUI_TOTAL_STEPS"]) == ("4", "4")
    assert facts["LORA_TUI_LORA"] == str(run.checkpoints_dir / "hat.safetensors")
    assert float(facts["LORA_TUI_COST"]) > 0 and facts["LORA_TUI_CURRENCY"] == "EUR"
    assert VARIABLE not in facts
    assert [event["status"] for event in events(run, "on_finish")] == ["started", "done"]
    assert [event["code"] for event in events(run, "warning")][-1] == "on_finish"


def test_the_command_is_run_after_a_death_and_where_nothing_could_be_started(run: RunFolder) -> None:
    settings(run, on_finish='echo "$LORA_TUI_REASON $LORA_TUI_CODE" >> ends')
    launched(run, "--steps", "2", "--end", "signal:9")
    ended(run)
    gone(run)
    launch.start(run.root, command=[str(run.root / "none")])
    gone(run)
    assert (run.root / "ends").read_text().splitlines() == ["died killed", "died start"]


def test_a_command_at_the_end_does_not_hold_the_run(run: RunFolder) -> None:
    settings(run, on_finish="touch began; while [ ! -e go ]; do sleep 0.05; done")
    launched(run, "--steps", "2")
    ended(run)
    until(lambda: (run.root / "began").exists())
    assert after_lines(inspect(run))[-1].endswith("(running)")
    run.events_path.write_text(run.events_path.read_text().replace('"completed"', '"stopped"'))
    with pytest.raises(UserError) as refused:
        resume_run(run, command=small("--steps", "4"))
    assert refused.value.code == "run.on_finish" and "touch began" in refused.value.message
    first = read_job(run.root)
    settings(run)  # another configuration: this life has no command
    resume_run(run, command=small("--steps", "100000"), force=True)
    training(run)
    assert noted_now(run) == {}, "what was noted of an earlier end is not that of this life"
    (run.root / "go").touch()
    assert first is not None
    until(lambda: not is_alive(first.pid, first.identity))
    assert noted_now(run) == {}
    request(run.root, "stop")
    ended(run)
    gone(run)
    assert "on_finish" not in noted_now(run)


def test_a_command_is_left_out_where_the_run_goes_on_before_it(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(run, on_finish="touch began")
    with serving(0) as hook:
        monkeypatch.setenv(VARIABLE, f"http://{hook.host}/")
        launched(run, "--steps", "2")
        ended(run)
        until(lambda: hook.got)
        first = read_job(run.root)
        monkeypatch.delenv(VARIABLE)
        launched(run, "--steps", "100000", resume=True)
        training(run)
    assert first is not None
    until(lambda: not is_alive(first.pid, first.identity), 60)
    assert [event["status"] for event in events(run, "on_finish")] == ["left_out"]
    assert not (run.root / "began").exists()
    request(run.root, "stop")
    ended(run)
    gone(run)


def test_alarms_can_be_off(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(run, alarms="off")
    with serving() as hook:
        monkeypatch.setenv(VARIABLE, f"http://{hook.host}/")
        launched(run, "--steps", "80", "--overfit")
        ended(run)
        gone(run)
    assert hook.got == [] and events(run, "alarm") == [] and read_alarms(run.root) == ()


def test_the_trainer_does_not_know_the_address(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:1/secret")
    job = launched(run, "--steps", "100000")
    training(run)  # before that the process may still be the keeper's own copy, or have no environment yet
    environment = Path(f"/proc/{job.child_pid}/environ").read_bytes()
    os.kill(job.pid, 15)
    ended(run)
    assert b"LORA_TUI_LANG" in environment and b"secret" not in environment
