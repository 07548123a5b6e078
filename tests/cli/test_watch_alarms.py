"""Alarms in the commands: lines, the status line, JSON, and what a terminal is told."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_builders import end_all, ended, events, launched, make_run
from support import until

from lora_tui.cli.main import run as run_command
from lora_tui.jobs.control import request
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import inspect


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    yield make_run(tmp_path / "runs")
    end_all(tmp_path)


def test_lines_status_line_and_json_have_the_alarms(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    launched(run, "--steps", "80", "--overfit")
    ended(run)
    until(lambda: inspect(run).alarms)

    def said(*words: str) -> str:
        assert run_command([*words, str(run.root)]) == 0
        return capsys.readouterr().out

    assert "ALARM overfitting: Overfitting since step 30" in said("watch", "--once")
    assert said("watch", "--line").rstrip().endswith("! overfitting")
    told: Any = json.loads(said("runs", "show", "--json"))["alarms"]
    assert [(one["code"], one["title"], one["at"]) for one in told] == [("overfitting", "overfitting", 30)]


def test_following_prints_the_alarm_and_notifies_the_desktop(run: RunFolder) -> None:
    launched(run, "--steps", "100000", "--pause", "0.1", "--overfit")
    request(run.root, "pause")  # what happened before somebody watches is history
    until(lambda: [event for event in events(run, "phase") if event["phase"] == "paused"])
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "TMUX": "/tmp/none,1,0"}
    command = [sys.executable, "-m", "lora_tui", "watch", str(run.root)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    request(run.root, "resume")
    while b"\x1bPtmux;\x1b\x1b]9;" not in shown or b"\x1b\\\a" not in shown:
        shown += os.read(ours, 1 << 16)
    assert b"ALARM overfitting" in shown
    late = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert late.stdout is not None and b"ALARM overfitting" in late.stdout.readline()
    request(run.root, "stop")
    assert process.wait(60) == 0
    late.communicate(timeout=60)
    os.close(ours)
