"""The living jobs of this machine, whatever their project: one small file each in the user's state folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.jobs.job import Job, keeper_alive, read_job, trainer_alive
from lora_tui.jobs.process import host
from lora_tui.jobs.slurm.submission import read_submission
from lora_tui.settings import state_dir


@dataclass(frozen=True)
class JobInfo:
    """A living job: where it runs, what is known of it, and whether its keeper has died and left it alone."""

    run_dir: Path
    job: Job
    orphaned: bool


def register(run_dir: Path) -> None:
    """Make the job in ``run_dir`` known. A state folder that cannot be written is let be: the run matters more."""
    absolute = os.path.abspath(run_dir)  # noqa: PTH100 - the folder keeps the name it is known by
    text = json.dumps({"run": absolute, "host": host()})
    with contextlib.suppress(OSError, UserError):
        write_atomic(_entry(absolute), text.encode("utf-8", "surrogateescape"), durable=False)


def unregister(run_dir: Path) -> None:
    """Forget the job in ``run_dir``."""
    with contextlib.suppress(OSError, UserError):
        _entry(os.path.abspath(run_dir)).unlink()  # noqa: PTH100 - as in register


def living() -> list[JobInfo]:
    """The living jobs, newest first. Entries of this machine whose job has ended are removed."""
    found = []
    for entry in _entries():
        run_dir, where = _read(entry)
        job = read_job(run_dir) if run_dir else None
        if run_dir is None:
            info = None
        else:
            info = (_info(run_dir, job) if job is not None else None) or _elsewhere(run_dir, job)
        if info is not None:
            found.append(info)
        elif where in ("", host()):
            with contextlib.suppress(OSError):
                entry.unlink()
    return sorted(found, key=lambda info: info.job.started, reverse=True)


def _info(run_dir: Path, job: Job) -> JobInfo | None:
    kept = keeper_alive(run_dir, job)
    if kept and job.ended is None:
        return JobInfo(run_dir, job, orphaned=False)
    return JobInfo(run_dir, job, orphaned=not kept) if trainer_alive(run_dir, job) else None


def _elsewhere(run_dir: Path, job: Job | None) -> JobInfo | None:
    """A job that waits for its turn in Slurm, by what its folder says."""
    sent = read_submission(run_dir)
    waits = sent is not None and sent.state in ("asking", "sent", "leaving", "requeued")
    return JobInfo(run_dir, job or Job(), orphaned=False) if waits else None


def _folder() -> Path:
    folder = state_dir() / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _entry(absolute: str) -> Path:
    digest = hashlib.blake2b(os.fsencode(absolute), digest_size=10).hexdigest()
    return _folder() / f"{digest}.json"


def _entries() -> list[Path]:
    try:
        return sorted(path for path in _folder().iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except (OSError, UserError):
        return []


def _read(entry: Path) -> tuple[Path | None, str]:
    try:
        value = json.loads(entry.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None, ""
    if not isinstance(value, dict) or not isinstance(value.get("run"), str):
        return None, ""
    return Path(value["run"]), str(value.get("host", ""))
