"""Starting a task in the background, and going on with one that ended early."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.jobs.launch import start
from lora_tui.python import python_command
from lora_tui.tasks.folder import TaskFolder, create


def start_task(home: Path, kind: str, title: str, options: Mapping[str, Any]) -> TaskFolder:
    """Make a task in ``home/.lora-tui/tasks`` and start it under a keeper of its own.

    Args:
        home: the dataset's folder, or the folder that is written.
        kind: a name of :data:`lora_tui.tasks.kinds.KINDS`.
        title: a few words that tell the person which it is.
        options: what the worker takes; JSON must hold it.

    Raises:
        UserError: ``task.create``, ``job.start``.
    """
    task = create(home, kind, title, options)
    start(task.root, command=_command())
    return task


def resume_task(task: TaskFolder) -> None:
    """Go on with a task that was stopped or died.

    Raises:
        UserError: ``task.damaged``, ``task.newer``, ``run.locked`` while it is at work, ``job.start``.
    """
    task.read()
    start(task.root, resume=True, command=_command())


def _command() -> list[str]:
    return python_command("-m", "lora_tui.tasks")
