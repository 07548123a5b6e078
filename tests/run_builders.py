"""Run folders for tests: made by hand from a few events, or by a small real job under a real keeper."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support import until

from lora_tui.jobs import launch
from lora_tui.jobs.job import Job, read_job
from lora_tui.jobs.process import is_alive
from lora_tui.runs.folder import RunFolder

SMALL_TRAINER = Path(__file__).with_name("small_trainer.py")
T0 = 1_700_000_000.0


def make_run(root: Path, name: str = "20260101-000000-test", **record: Any) -> RunFolder:
    """A run folder as a start leaves it, before anything has happened."""
    run = RunFolder(root / name)
    for folder in (run.control_dir, run.checkpoints_dir, run.state_dir, run.samples_dir):
        folder.mkdir(parents=True)
    run.config_path.write_text("schema_version = 1\n")
    run.record_path.write_text(json.dumps({"format": 1, "number": 1, "created": T0, **record}))
    return run


def event_line(kind: str, t: float = T0, **fields: Any) -> str:
    """One line of the event file, as the writer writes it."""
    return json.dumps({"t": t, "kind": kind, **fields}, separators=(",", ":")) + "\n"


def step_line(step: int, **fields: Any) -> str:
    """A ``step`` line with lifelike fields."""
    values: dict[str, Any] = {
        "loss": 1 / step if step else 1.0,
        "grad_norm": 0.5,
        "step": step,
        "epoch": 1,
        "lr": {"unet": 1e-4, "text_encoder": 1e-5},
        "step_seconds": 0.5,
        "data_wait": 0.05,
        "memory_allocated": 1000 + step,
    }
    return event_line("step", **{"t": T0 + step / 2, **values, **fields})


def add_lines(run: RunFolder, lines: Iterable[str]) -> None:
    """Append lines to the event file."""
    with run.events_path.open("a") as file:
        file.write("".join(lines))


def small(*options: str) -> list[str]:
    """The command of the small trainer."""
    return [sys.executable, str(SMALL_TRAINER), *options]


def launched(run: RunFolder, *options: str, resume: bool = False) -> Job:
    """Start the small trainer under a keeper."""
    return launch.start(run.root, command=small(*options), resume=resume, wait=30)


def ended(run: RunFolder) -> Job:
    """Wait until the keeper has said how it ended."""

    def end() -> Job | None:
        job = read_job(run.root)
        return job if job is not None and job.ended is not None else None

    job = until(end, 30)
    assert job is not None
    return job


def events(run: RunFolder, kind: str = "") -> list[dict[str, Any]]:
    """The events so far, or those of one kind."""
    if not run.events_path.exists():
        return []
    parsed = [json.loads(line) for line in run.events_path.read_text().splitlines() if line]
    return [event for event in parsed if not kind or event["kind"] == kind]


def training(run: RunFolder, step: int = 1) -> None:
    """Wait until the job has come to ``step``."""
    until(lambda: any(event["step"] >= step for event in events(run, "step")), 120)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process of ours."""
    os.kill(pid, number)


def end_all(folder: Path) -> None:
    """Kill what a failed test has left running in the runs under ``folder``: jobs of real keepers only."""
    for path in folder.rglob("job.json"):
        job = read_job(path.parent)
        if job is not None and is_alive(job.child_pid, job.child_started):
            kill(job.child_pid)
            until(lambda job=job: not is_alive(job.child_pid, job.child_started))
