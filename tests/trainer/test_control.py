"""Requests to a living run: each is answered, and does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lives import LAST_LEVEL, events, lean_config, live_here, micro_config, new_run, start
from nursery import Life
from support import until

from lora_tui.jobs.control import ControlInbox, request
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer import control
from lora_tui.trainer.control import Controls, StopRun


@pytest.fixture
def living(base: Path, data: Path, tmp_path: Path) -> Iterator[tuple[RunFolder, Life]]:
    """A run that would go on for long, with its first steps done."""
    quiet = {"every_epochs": 0, "every_steps": 0}
    config = micro_config(
        base, data, steps={"epochs": 5000}, sampling={**quiet, "at_start": False}, validation=quiet,
        saving={"every_epochs": 0, "state_every_epochs": 0}, network=LAST_LEVEL,
    )  # fmt: skip
    run = new_run(tmp_path, config)
    life = start(run)
    try:
        until(lambda: life.poll() is not None or len(events(run, "step")) >= 2, 90)
        yield run, life
    finally:
        life.kill()
        life.wait()


def _answered(run: RunFolder, kind: str, status: str) -> bool:
    return any(e["request"] == kind and e["status"] == status for e in events(run, "control"))


def test_save_sample_validate_pause_and_stop(living: tuple[RunFolder, Life]) -> None:
    run, life = living
    for kind in ("save", "sample", "validate"):
        request(run.root, kind)
        until(lambda kind=kind: _answered(run, kind, "done"), 60)  # type: ignore[misc]
    saved = events(run, "checkpoint")[-1]
    assert (run.root / saved["path"]).is_file()
    assert events(run, "state")[-1]["step"] == saved["step"]
    assert (run.root / events(run, "sample")[-1]["path"]).is_file()
    assert len(events(run, "validation")) == 1  # asked for: the settings measure never

    request(run.root, "pause")
    until(lambda: events(run)[-1].get("phase") == "paused", 30)
    steps = len(events(run, "step"))
    request(run.root, "resume")
    until(lambda: len(events(run, "step")) > steps, 30)

    request(run.root, "stop")
    assert life.wait(60) == 0, run.log_path.read_text()
    end = events(run)[-1]
    assert (end["kind"], end["reason"]) == ("finished", "stopped")
    assert events(run, "state")[-1]["step"] == end["step"] == events(run, "step")[-1]["step"]


def test_stop_now_keeps_the_last_state_and_says_what_is_lost(
    living: tuple[RunFolder, Life],
) -> None:
    run, life = living
    request(run.root, "save")
    until(lambda: _answered(run, "save", "done"), 60)
    saved = events(run, "state")[-1]["step"]
    until(lambda: events(run, "step")[-1]["step"] > saved + 1, 30)
    request(run.root, "stop_now")
    assert life.wait(60) == 0
    end = events(run)[-1]
    assert end["reason"] == "stopped_now"
    assert events(run, "state")[-1]["step"] == saved
    assert f"since the state at step {saved}" in events(run, "warning")[-1]["message"]


class Meddler(EventWriter):
    """Asks for a stop after two steps, and for one that does not wait as soon as the first is accepted."""

    def emit(self, kind: str, **fields: Any) -> None:
        super().emit(kind, **fields)
        if kind == "step" and fields["step"] == 2:
            request(self.path.parent, "stop")
        elif kind == "control" and (fields["request"], fields["status"]) == ("stop", "accepted"):
            for wish in ("save", "stop_now", "pause"):
                request(self.path.parent, wish)


def test_a_stop_that_does_not_wait_overrules_one_that_saves(base: Path, few: Path, tmp_path: Path) -> None:
    saving = {"every_epochs": 0, "state_every_epochs": 0}
    config = lean_config(base, few, steps={"epochs": 500}, saving=saving)
    run = new_run(tmp_path, config)
    assert live_here(run, writer=Meddler(run.events_path)) == 0
    end = events(run)[-1]
    assert (end["kind"], end["reason"]) == ("finished", "stopped_now")
    assert not events(run, "state") and not events(run, "checkpoint")
    assert "are given up" in events(run, "warning")[-1]["message"]
    answers = [(e["request"], e["status"], e["detail"]) for e in events(run, "control")]
    assert answers == [
        ("stop", "accepted", ""),
        ("save", "rejected", "the run is stopping"),
        ("stop_now", "accepted", ""),
        ("pause", "rejected", "the run is stopping"),
    ]


class Hurried(EventWriter):
    """Asks for a stop that does not wait once the third step is done."""

    def emit(self, kind: str, **fields: Any) -> None:
        super().emit(kind, **fields)
        if kind == "step" and fields["step"] == 3:
            request(self.path.parent, "stop_now")


@pytest.mark.parametrize(
    ("every", "words"),
    [
        ({"state_every_steps": 2}, "1 step since the state at step 2 is given up."),
        ({}, "3 steps are given up: no state had been written."),
        ({"every_steps": 2}, "3 steps are given up: no state had been written; the LoRA file of step 2 is kept."),
    ],
)
def test_a_stop_that_does_not_wait_says_what_is_lost_and_what_is_left(
    every: dict[str, int], words: str, base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "POLL_SECONDS", 0.0)
    saving = {"every_epochs": 0, "every_steps": 0, "state_every_epochs": 0, "state_every_steps": 0, **every}
    run = new_run(tmp_path, lean_config(base, few, steps={"epochs": 500}, saving=saving))
    assert live_here(run, writer=Hurried(run.events_path)) == 0
    assert (events(run)[-1]["reason"], events(run)[-1]["step"]) == ("stopped_now", 3)
    assert events(run, "warning")[-1]["message"] == words


def test_what_comes_after_a_stop_is_answered(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    controls = Controls(ControlInbox(tmp_path), writer)
    request(tmp_path, "pause")
    request(tmp_path, "resume")
    controls.safe_point()
    request(tmp_path, "stop")
    with pytest.raises(StopRun):
        until(controls.safe_point, 5)
    controls.settle()
    request(tmp_path, "stop_now")
    controls.safe_point()
    controls.close()
    answers = [(e["request"], e["status"], e["detail"]) for e in events(RunFolder(tmp_path), "control")]
    assert answers == [
        ("pause", "accepted", ""),
        ("pause", "rejected", "it was taken back"),
        ("resume", "done", ""),
        ("stop", "accepted", ""),
        ("stop_now", "rejected", "the run has ended"),
    ]


def test_sigterm_while_it_loads_is_a_stop(base: Path, data: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, micro_config(base, data))
    life = start(run)
    try:
        until(lambda: events(run), 60)
        life.terminate()
        assert life.wait(90) == 0, run.log_path.read_text()
    finally:
        life.kill()
        life.wait()
    end = events(run)[-1]
    assert (end["kind"], end["reason"], end["step"]) == ("finished", "stopped", 0)


def test_a_second_trainer_is_refused(living: tuple[RunFolder, Life]) -> None:
    run, life = living
    second = start(run)
    assert second.wait(60) == 2
    assert str(life.pid) in run.log_path.read_text()
    steps = len(events(run, "step"))
    until(lambda: len(events(run, "step")) > steps, 30)
    assert not events(run, "failed")


def test_a_stop_while_images_are_encoded(base: Path, data: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, micro_config(base, data))
    life = start(run)
    try:
        until(lambda: events(run), 60)
        request(run.root, "stop")
        assert life.wait(90) == 0, run.log_path.read_text()
    finally:
        life.kill()
        life.wait()
    assert events(run)[-1]["reason"] == "stopped"
    assert _answered(run, "stop", "accepted")
