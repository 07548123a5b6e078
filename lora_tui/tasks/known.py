"""Which tasks a project has started, and which of them a person has been told of: the end of one is never missed.

A task lies with the folder that it writes, which need not be one of the project's; it is remembered under the project
and under every folder that it reads or writes. Kept in the user's state folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.project import Project
from lora_tui.state import recall, remember
from lora_tui.tasks.folder import TaskFolder, is_task, living_tasks, tasks_of

FILE = "tasks.json"
_TASKS = 20
"""Of a project's tasks, the newest that are remembered."""


def remember_task(project: Path, task: TaskFolder, *, told: bool = False) -> None:
    """Note that a project has started a task, or that one is about a folder.

    Args:
        told: whether nobody need be told how it ended when the folder is opened.

    A state folder that cannot be written is let be.
    """

    def noted(before: Any) -> dict[str, bool]:
        tasks = {path: seen for path, seen in _by_path(before).items() if path != str(task.root)}
        tasks[str(task.root)] = told
        return dict(list(tasks.items())[-_TASKS:])

    remember(FILE, _real(project), noted)


def remembered_tasks(project: Path) -> list[TaskFolder]:
    """The tasks of a project, or about a folder, that are still there, newest first."""
    return [task for task, _told in _tasks(project)]


def project_tasks(project: Path, homes: Iterable[Path]) -> list[TaskFolder]:
    """The tasks of a project and of its datasets (``homes``), newest first, each once.

    Those that are kept with these folders, and those that read or write one of them and are kept elsewhere.
    """
    known = recall(FILE)
    found: dict[Path, TaskFolder] = {}
    for home in dict.fromkeys((project, *homes)):
        for task in (*tasks_of(home), *(task for task, _told in _tasks(home, known))):
            found[task.root.resolve()] = task
    return _newest_first(found.values())


def tasks_about(folder: Path) -> list[TaskFolder]:
    """The living tasks of this machine, and those of a folder, newest first; of a project, its datasets' as well."""
    try:
        homes = [dataset.path for dataset in Project.load(folder).datasets]
    except UserError:
        homes = []
    near = project_tasks(Path(os.path.abspath(folder)), homes)  # noqa: PTH100 - links stay
    return _newest_first({task.root.resolve(): task for task in (*living_tasks(), *near)}.values())


def task_called(name: str, folder: Path) -> TaskFolder | None:
    """The newest task of that name or with that part of a name; of ``folder`` first, then any that is remembered."""
    near = tasks_about(folder)
    elsewhere = _newest_first(TaskFolder(Path(path)) for tasks in recall(FILE).values() for path in _by_path(tasks))
    every = [*near, *(task for task in elsewhere if is_task(task.root))]
    exact = (task for task in every if task.name == name)
    return next(exact, None) or next((task for task in every if name in task.name), None)


def untold_tasks(project: Path) -> list[TaskFolder]:
    """Those of a project whose end nobody has been told of, newest first; some may be at work."""
    return [task for task, told in _tasks(project) if not told]


def note_told(project: Path, task: TaskFolder) -> None:
    """A person has seen how a task ended."""
    if any(one.root == task.root and not told for one, told in _tasks(project)):
        remember(FILE, _real(project), lambda before: _by_path(before) | {str(task.root): True})


def _newest_first(tasks: Iterable[TaskFolder]) -> list[TaskFolder]:
    return sorted(tasks, key=lambda task: task.name, reverse=True)


def _tasks(project: Path, known: Mapping[str, Any] | None = None) -> list[tuple[TaskFolder, bool]]:
    found = _by_path((recall(FILE) if known is None else known).get(str(_real(project))))
    return [(TaskFolder(Path(path)), told) for path, told in reversed(found.items()) if is_task(Path(path))]


def _real(folder: Path) -> Path:
    """The same name for a folder whichever way leads to it."""
    return Path(os.path.realpath(folder))


def _by_path(tasks: Any) -> dict[str, bool]:
    """Tasks of a project with whether they were told, whatever the file says."""
    return {path: told is True for path, told in tasks.items()} if isinstance(tasks, dict) else {}
