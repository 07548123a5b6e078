"""Alarms reach a person on whatever screen, once, and stay on the start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from run_builders import end_all, small
from tui.driving import running, screen_text, soon

from lora_tui.jobs import launch
from lora_tui.jobs.control import request
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    Project.create(tmp_path)
    yield RunFolder.create(tmp_path / "runs", "hats", "schema_version = 1\n", {})
    end_all(tmp_path)


async def test_an_alarm_is_told_when_it_comes_and_is_advice_after_that(tmp_path: Path, run: RunFolder) -> None:
    launch.start(run.root, command=small("--steps", "100000", "--pause", "0.02", "--overfit"))
    async with running(tmp_path, size=(120, 40)) as (app, pilot):
        signals: list[str] = []
        app.signal_terminal = signals.append  # type: ignore[method-assign]
        await soon(pilot, lambda: app.workspace.living)
        await soon(pilot, lambda: any("overfitting" in note.message for note in app._notifications))
        (note,) = [note for note in app._notifications if "overfitting" in note.message]
        assert note.message.startswith("run 1: overfitting") and "F5" in note.message
        await soon(pilot, lambda: "run 1: Overfitting since step 30" in screen_text(app))
        request(run.root, "stop")
        await soon(pilot, lambda: app.workspace.living is None and len(signals) > 1)
        assert ["overfitting" in signals[0], "stopped" in signals[1]] == [True, True]
        assert all(signal.endswith("\a") for signal in signals)
