"""The keeper's word about its job: ``job.json`` of a run folder, as data."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lora_tui.files import open_file, write_atomic
from lora_tui.jobs.events import as_count, as_time
from lora_tui.jobs.lock import FRESH, MOST_PID, holder, last_sign
from lora_tui.jobs.process import host as this_host
from lora_tui.jobs.process import is_alive, is_place

FILE = "job.json"


@dataclass(frozen=True)
class Job:
    """What was started in a run folder and how it fares.

    Attributes:
        pid: the keeper's process, with its ``identity`` on that machine.
        child_pid: the trainer's process (0 before it is started), with its identity ``child_started``.
        command: the command line of the trainer.
        started, heartbeat, ended: unix seconds; ``ended`` is none while it lives.
        exit_status: of the trainer when it ended by itself; ``signal`` when a signal ended it.
        host: the machine.
        attempt: 1 for the first life of the run, one more for each resume.
        log_offset: bytes of ``trainer.log`` that belong to earlier lives.
        folder: the run folder it was started in, with its ``place``: a copy of the folder holds the same file.
        worked: seconds that earlier lives of the run took.
    """

    pid: int = 0
    identity: str = ""
    child_pid: int = 0
    child_started: str = ""
    command: tuple[str, ...] = ()
    started: float = 0.0
    heartbeat: float = 0.0
    ended: float | None = None
    exit_status: int | None = None
    signal: int | None = None
    host: str = ""
    attempt: int = 0
    log_offset: int = 0
    folder: str = ""
    place: str = ""
    worked: float = 0.0

    @property
    def lived(self) -> float:
        """Seconds that all lives took so far; what lay between them does not count."""
        last = self.heartbeat if self.ended is None else self.ended
        return self.worked + (max(last - self.started, 0.0) if self.started else 0.0)


def read_job(run_dir: Path) -> Job | None:
    """The job of a run folder; none when nothing was ever started there or the file is damaged."""
    return read_job_file(run_dir)[0]


def read_job_file(run_dir: Path) -> tuple[Job | None, bool]:
    """The job as :func:`read_job` gives it, and whether the file is there and says what cannot be."""
    try:
        with open_file(run_dir / FILE) as file:
            value = json.loads(file.read())
    except OSError:
        return None, False
    except (ValueError, RecursionError):
        return None, True
    if not isinstance(value, dict):
        return None, True
    job = from_plain(value)
    return job, any(value.get(name) not in (None, getattr(job, name)) for name in _NUMBERS)


def write_job(run_dir: Path, job: Job) -> None:
    """Replace the file at once. On a full disk the file's own block is overwritten, so that an end is still told.

    Raises:
        OSError: the folder is gone or cannot be written.
    """
    data = json.dumps(as_plain(job)).encode() + b"\n"
    path = run_dir / FILE
    try:
        write_atomic(path, data, durable=False)
    except OSError:
        with path.open("r+b") as file:
            file.write(data)
            file.truncate()


def is_of(run_dir: Path, job: Job) -> bool:
    """Whether the job was started in this folder, and not in one that this is a copy of."""
    return is_place(run_dir, job.place, job.host)


def keeper_alive(run_dir: Path, job: Job | None) -> bool:
    """Whether the job's keeper lives: by its lock here, by its heartbeat on another machine."""
    if job is None or job.ended is not None or not is_of(run_dir, job):
        return holder(run_dir / "keeper.lock") is not None
    if job.host == this_host():
        return is_alive(job.pid, job.identity)
    return holder(run_dir / "keeper.lock") is not None or time.time() - job.heartbeat < FRESH


def trainer_alive(run_dir: Path, job: Job | None) -> bool:
    """Whether the trainer lives: it holds the run's lock, or it is on its way to taking it."""
    if holder(run_dir / "lock") is not None:
        return True
    if job is None or job.ended is not None or not job.child_pid or not is_of(run_dir, job):
        return False
    if job.host == this_host():
        return is_alive(job.child_pid, job.child_started)
    return time.time() - last_sign(run_dir) < FRESH


_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "pid": lambda value: as_count(value, MOST_PID),
    "child_pid": lambda value: as_count(value, MOST_PID),
    "started": lambda value: as_time(value) or 0.0,
    "heartbeat": lambda value: as_time(value) or 0.0,
    "ended": as_time,
    "exit_status": lambda value: _among(value, 0, 255),
    "signal": lambda value: _among(value, 1, 64),
    "attempt": as_count,
    "log_offset": as_count,
    "worked": lambda value: as_time(value) or 0.0,
}
"""How each number of the file is read."""


def _among(value: Any, least: int, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


def as_plain(job: Job) -> dict[str, Any]:
    """A job as JSON can say it."""
    return {**asdict(job), "command": list(job.command)}


def from_plain(value: dict[str, Any]) -> Job:
    """A job from JSON that may be older, newer or damaged: what cannot be is as if it were not there."""
    kept: dict[str, Any] = {name: read(value[name]) for name, read in _NUMBERS.items() if value.get(name) is not None}
    for name in ("identity", "child_started", "host", "folder", "place"):
        if isinstance(value.get(name), str):
            kept[name] = value[name]
    command = value.get("command")
    kept["command"] = tuple(str(part) for part in command) if isinstance(command, list) else ()
    return Job(**kept)


def pid_text(job: Job) -> str:
    """The keeper's and the trainer's pids for a person."""
    return f"{job.pid}, {job.child_pid}" if job.child_pid else str(job.pid)


def environment() -> dict[str, str]:
    """The environment for a job's processes: ours, with output as UTF-8 at once and a trace on a native crash."""
    from lora_tui.text.translate import language

    env = dict(os.environ)
    env.update(PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8:backslashreplace", PYTHONFAULTHANDLER="1")
    env["LORA_TUI_LANG"] = language()
    package = str(Path(__file__).resolve().parents[2])
    paths = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    if "site-packages" not in package and package not in paths:
        env["PYTHONPATH"] = os.pathsep.join([*paths, package])
    return env
