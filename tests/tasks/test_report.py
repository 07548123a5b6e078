"""What a worker says and hears: progress, warnings, requests."""

from __future__ import annotations

import threading
from pathlib import Path

from support import until

from lora_tui.errors import UserError
from lora_tui.jobs import control
from lora_tui.jobs.events import Event, EventReader, EventWriter
from lora_tui.tasks import report as reporting
from lora_tui.tasks.report import Report


def make(root: Path) -> tuple[Report, EventWriter]:
    (root / "control").mkdir()
    events = EventWriter(root / "events.jsonl")
    return Report(root, events, threading.Event()), events


def told(root: Path) -> list[Event]:
    return EventReader(root / "events.jsonl").poll()


def test_the_first_and_the_last_of_a_phase_are_always_written(tmp_path: Path) -> None:
    report, _events = make(tmp_path)
    for done in range(1, 1001):
        report.progress("tagging", done, 1000, f"{done}.png")
    phases = told(tmp_path)
    assert (phases[0]["done"], phases[-1]["done"], phases[-1]["detail"]) == (1, 1000, "1000.png")
    assert len(phases) < 100
    assert all(event["first"] == 1 for event in phases)


def test_a_stop_is_heard_and_stays(tmp_path: Path) -> None:
    report, _events = make(tmp_path)
    assert not report.should_stop()
    control.request(tmp_path, "stop")
    until(report.should_stop)
    assert report.should_stop()
    assert [event["status"] for event in told(tmp_path) if event["kind"] == "control"] == ["accepted"]


def test_what_only_a_training_can_do_is_refused(tmp_path: Path) -> None:
    report, _events = make(tmp_path)
    control.request(tmp_path, "sample")
    until(lambda: not report.should_stop() and any(event["kind"] == "control" for event in told(tmp_path)))
    (answer,) = [event for event in told(tmp_path) if event["kind"] == "control"]
    assert (answer["request"], answer["status"]) == ("sample", "rejected")


def test_a_pause_holds_the_work_until_it_goes_on(tmp_path: Path) -> None:
    report, _events = make(tmp_path)
    report.progress("tagging", 3, 10)
    control.request(tmp_path, "pause")
    heard: list[bool] = []
    resting = threading.Event()

    def work() -> None:
        while not any(event.get("phase") == "paused" for event in told(tmp_path)):
            heard.append(report.should_stop())
        resting.set()

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: any(event.get("phase") == "paused" for event in told(tmp_path)))
    assert thread.is_alive() and not resting.is_set()
    control.request(tmp_path, "resume")
    thread.join(20)
    assert not thread.is_alive()
    assert heard[-1] is False
    phases = [event["phase"] for event in told(tmp_path) if event["kind"] == "phase"]
    assert phases == ["tagging", "paused", "tagging"]


def test_a_signal_ends_a_pause(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    terminated = threading.Event()
    report = Report(tmp_path, EventWriter(tmp_path / "events.jsonl"), terminated)
    control.request(tmp_path, "pause")
    terminated.set()
    assert report.should_stop()


def test_warnings_beyond_the_most_are_counted_alone(tmp_path: Path) -> None:
    report, _events = make(tmp_path)
    for number in range(reporting.MOST_WARNINGS + 5):
        report.warn(UserError("It cannot be read.", place=f"{number}.png", code="image.unreadable"))
    assert report.warnings == reporting.MOST_WARNINGS + 5
    written = [event for event in told(tmp_path) if event["kind"] == "warning"]
    assert len(written) == reporting.MOST_WARNINGS
    assert written[0]["place"] == "0.png"
