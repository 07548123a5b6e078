"""Requests to a running job: small files in ``control/`` of its run folder, taken at its next safe point."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.jobs.job import read_job
from lora_tui.text.translate import _

KINDS = ("stop", "stop_now", "save", "sample", "validate", "measure", "set", "pause", "resume")
"""What can be asked for. ``stop`` saves and ends, ``stop_now`` ends with the last state that was written.

``sample`` may have fields: ``prompt``, and others of a sample of the configuration; ``measure`` finds the loss of every
image; ``set`` has ``learning_rate``, ``total_steps`` or both.
"""

_LARGEST = 1 << 16


@dataclass(frozen=True)
class Request:
    """One request: its kind (one of :data:`KINDS`), its fields, and the file it came in."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    path: Path = Path()


def request(run_dir: Path, kind: str, **fields: Any) -> Path:
    """Ask the job in ``run_dir`` for something; return the file, which is gone once the job has taken it.

    Raises:
        UserError: ``control.kind`` for an unknown kind, ``control.write`` when the folder cannot be written.
    """
    if kind not in KINDS:
        raise UserError(
            _("There is no request called {kind}.").format(kind=kind), remedy=", ".join(KINDS), code="control.kind"
        )
    folder = run_dir / "control"
    try:
        folder.mkdir(exist_ok=True)
        number = max(time.time_ns(), _newest(folder) + 1)
        path = folder / f"{number}-{kind}.json"
        write_atomic(path, json.dumps({"kind": kind, **fields}).encode() + b"\n", durable=False)
    except OSError as error:
        raise UserError(
            _("The request cannot be written: {reason}.").format(reason=error.strerror),
            place=str(folder),
            remedy=_("The job listens to files in this folder; make it writable."),
            code="control.write",
        ) from error
    return path


def waiting(run_dir: Path) -> list[str]:
    """The kinds of the requests that the job has not taken yet, oldest first."""
    kinds = (path.name.partition("-")[2].removesuffix(".json") for path in _waiting(run_dir / "control"))
    return [kind for kind in kinds if kind in KINDS]


def clear(run_dir: Path) -> None:
    """Forget requests to an earlier life of the job, so that a resumed run does not obey an old stop.

    Does nothing in a job that a keeper started: the keeper did it before, and what was asked since then counts.
    """
    job = read_job(run_dir)
    if job is not None and job.ended is None and job.child_pid == os.getpid():
        return
    for path in _waiting(run_dir / "control"):
        with contextlib.suppress(OSError):
            path.unlink()


class ControlInbox:
    """The job's side: requests in the order in which they were made, each handed over once."""

    def __init__(self, run_dir: Path) -> None:
        self.folder = run_dir / "control"
        self._seen: set[str] = set()

    def poll(self) -> list[Request]:
        """New requests, oldest first. Their files are deleted; what is no request is renamed to ``*.bad``."""
        taken = []
        for path in _waiting(self.folder):
            if path.name in self._seen:
                continue
            found = _read(path)
            try:
                if found is None:
                    path.rename(path.with_name(path.name + ".bad"))
                else:
                    path.unlink()
            except OSError:
                self._seen.add(path.name)
            if found is not None:
                taken.append(found)
        return taken


def _waiting(folder: Path) -> list[Path]:
    """Finished request files by age; the cheap case of none is one system call or two."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - asked at every step of a training
    except OSError:
        return []
    ready = [name for name in names if name.endswith(".json") and not name.startswith(".")]
    return [folder / name for name in sorted(ready, key=lambda name: (_number(name), name))]


def _newest(folder: Path) -> int:
    return max((_number(path.name) for path in _waiting(folder)), default=0)


def _number(name: str) -> int:
    digits = name.partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 25 else 0


def _read(path: Path) -> Request | None:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            return None
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("kind") not in KINDS:
        return None
    kind = value.pop("kind")
    return Request(kind, value, path)
