"""Starting a task in the background, and going on with one that ended early."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from lora_tui.errors import UserError
from lora_tui.jobs.control import request
from lora_tui.jobs.launch import start
from lora_tui.jobs.ticket import hand_in
from lora_tui.python import python_command
from lora_tui.tasks.folder import TaskFolder, create
from lora_tui.tasks.known import remember_task
from lora_tui.tasks.status import task_status
from lora_tui.text.translate import _

ENDING_SECONDS = 10.0
"""How long a process that has finished its work may take to end."""

Asked = Literal["pause", "resume", "stop"]
"""What can be asked of a task."""


def start_task(
    home: Path, kind: str, title: str, options: Mapping[str, Any], *, about: Iterable[Path] = ()
) -> TaskFolder:
    """Make a task in ``home/.lora-tui/tasks`` and start it under a keeper of its own; its folders know it from then on.

    Args:
        home: the dataset's folder, or the folder that is written.
        kind: a name of :data:`lora_tui.tasks.kinds.KINDS`.
        title: a few words that tell the person which it is.
        options: what the worker takes; JSON must hold it.
        about: other folders that it reads or writes: it is found from there, too.

    Raises:
        UserError: ``task.create``, ``job.start``.
    """
    task = create(home, kind, title, options)
    hand_in(task.root)
    start(task.root, command=_command())
    for folder in dict.fromkeys((home, *about)):
        remember_task(folder, task, told=True)
    return task


def resume_task(task: TaskFolder) -> None:
    """Go on with a task that was stopped or died.

    Raises:
        UserError: ``task.damaged``, ``task.newer``, ``run.locked`` while it is at work, ``job.start``.
    """
    task.read()
    hand_in(task.root)
    start(task.root, resume=True, command=_command())


def ask_task(task: TaskFolder, what: Asked) -> None:
    """Ask a task to pause, go on or stop after the image in hand; one that was stopped or died is started again.

    Raises:
        UserError: it is over and nothing is left to do (``task.ended``), or as :func:`resume_task` and
            :func:`lora_tui.jobs.control.request`.
    """
    status = task_status(task)
    if status.alive:
        request(task.root, what)
    elif what == "resume" and status.can_resume:
        _let_it_end(task)
        resume_task(task)
    else:
        raise UserError(_("The task has ended."), place=task.name, code="task.ended")


def _let_it_end(task: TaskFolder) -> None:
    """Wait for a process that has said its last word and is about to end: it holds the lock until then."""
    end = time.monotonic() + ENDING_SECONDS
    while task.alive() and time.monotonic() < end:
        time.sleep(0.05)


def _command() -> list[str]:
    return python_command("-m", "lora_tui.tasks")
