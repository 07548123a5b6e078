"""The folder of a task: what was asked for, and where everything about it lies."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.jobs import registry
from lora_tui.jobs.job import keeper_alive, read_job, trainer_alive
from lora_tui.text.translate import _

FILE = "task.json"
FORMAT = 1
"""Version of ``task.json``; a newer one is not started by this program."""

KEPT = 20
"""Tasks of a dataset whose folders are kept; the oldest that have ended go first."""

_LARGEST = 1 << 24
_NAME = re.compile(r"\d{8}-\d{6}(-\d+)?-[a-z]+")


@dataclass(frozen=True, order=True)
class TaskFolder:
    """One task on disk. Holds no state: every question is answered from the folder."""

    root: Path

    @property
    def name(self) -> str:
        """The folder's name, ``yyyymmdd-hhmmss-kind``."""
        return self.root.name

    @property
    def events_path(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def lock_path(self) -> Path:
        return self.root / "lock"

    def read(self) -> dict[str, Any]:
        """What was asked for: ``kind``, ``title``, ``options`` (whatever the kind takes), ``created`` (unix seconds).

        Raises:
            UserError: ``task.damaged`` or ``task.newer``.
        """
        try:
            with (self.root / FILE).open("rb") as file:
                value = json.loads(file.read(_LARGEST))
        except (OSError, ValueError, RecursionError):
            value = None
        if not isinstance(value, dict) or not isinstance(value.get("options"), dict) or "kind" not in value:
            raise UserError(
                _("What was asked for cannot be read."),
                place=str(self.root / FILE),
                remedy=_("Start the task again."),
                code="task.damaged",
            )
        if value.get("format") != FORMAT:
            raise UserError(
                _("The task was made by another version of lora-tui."),
                place=str(self.root / FILE),
                remedy=_("Start the task again."),
                code="task.newer",
            )
        return value

    def alive(self) -> bool:
        """Whether its process or its keeper lives."""
        job = read_job(self.root)
        return trainer_alive(self.root, job) or (job is not None and job.ended is None and keeper_alive(self.root, job))


def tasks_of(home: Path) -> list[TaskFolder]:
    """The tasks kept in ``home/.lora-tui/tasks``, newest first."""
    try:
        children = list((home / ".lora-tui" / "tasks").iterdir())
    except OSError:
        return []
    found = [child for child in children if _NAME.fullmatch(child.name) and (child / FILE).is_file()]
    return [TaskFolder(root) for root in sorted(found, key=lambda root: _order(root.name), reverse=True)]


def living_tasks() -> list[TaskFolder]:
    """The living tasks of this machine, newest first."""
    return [TaskFolder(info.run_dir) for info in registry.living() if is_task(info.run_dir)]


def is_task(root: Path) -> bool:
    """Whether a job's folder is a task's, not a run's."""
    return (root / FILE).is_file()


def create(home: Path, kind: str, title: str, options: Mapping[str, Any]) -> TaskFolder:
    """Make the folder of a new task in ``home/.lora-tui/tasks``; old ones beyond :data:`KEPT` are removed.

    Raises:
        UserError: ``task.create`` when the folder cannot be written.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    request = {"format": FORMAT, "kind": kind, "title": title, "created": time.time(), "options": dict(options)}
    try:
        taken = [_order(task.name)[1] for task in tasks_of(home) if task.name.startswith(stamp)]
        for number in itertools.count(max(taken, default=0) + 1):
            root = home / ".lora-tui" / "tasks" / f"{stamp}{f'-{number}' if number > 1 else ''}-{kind}"
            root.parent.mkdir(parents=True, exist_ok=True)
            try:
                root.mkdir()
                break
            except FileExistsError:
                continue
        (root / "control").mkdir()
        write_atomic(root / FILE, json.dumps(request).encode() + b"\n")
    except OSError as error:
        raise UserError(
            _("The task's folder cannot be written: {reason}.").format(reason=error.strerror or error),
            place=str(error.filename or home),
            remedy=_("Make the folder writable and leave room on the disk."),
            code="task.create",
        ) from error
    _forget_old(home)
    return TaskFolder(root)


def _order(name: str) -> tuple[str, int]:
    """Names of one second are ordered by their number."""
    parts = name.split("-")
    return f"{parts[0]}-{parts[1]}", int(parts[2]) if parts[2].isdecimal() else 1


def _forget_old(home: Path) -> None:
    for task in tasks_of(home)[KEPT:]:
        if not task.alive():
            with contextlib.suppress(OSError):
                shutil.rmtree(task.root)
