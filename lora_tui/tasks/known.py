"""Which tasks a project has started, and which of them a person has been told of: the end of one is never missed.

A task lies with the folder that it writes, which need not be one of the project's. Kept in the user's state folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lora_tui.state import recall, remember
from lora_tui.tasks.folder import TaskFolder, is_task, tasks_of

FILE = "tasks.json"
_TASKS = 20
"""Of a project's tasks, the newest that are remembered."""


def remember_task(project: Path, task: TaskFolder) -> None:
    """Note that a project has started a task; nobody has been told yet how it ended.

    A state folder that cannot be written is let be.
    """

    def noted(before: Any) -> dict[str, bool]:
        tasks = {path: told for path, told in _by_path(before).items() if path != str(task.root)}
        tasks[str(task.root)] = False
        return dict(list(tasks.items())[-_TASKS:])

    remember(FILE, project, noted)


def remembered_tasks(project: Path) -> list[TaskFolder]:
    """The tasks of a project that are still there, newest first."""
    return [task for task, _told in _tasks(project)]


def project_tasks(project: Path, homes: Iterable[Path]) -> list[TaskFolder]:
    """Those and the ones that are kept with the project and its datasets (``homes``), newest first, each once."""
    near = [task for home in dict.fromkeys((project, *homes)) for task in tasks_of(home)]
    found = {task.root.resolve(): task for task in (*near, *remembered_tasks(project))}
    return sorted(found.values(), key=lambda task: task.name, reverse=True)


def untold_tasks(project: Path) -> list[TaskFolder]:
    """Those of them whose end nobody has been told of, newest first; some may be at work."""
    return [task for task, told in _tasks(project) if not told]


def note_told(project: Path, task: TaskFolder) -> None:
    """A person has seen how a task ended."""
    if any(one.root == task.root and not told for one, told in _tasks(project)):
        remember(FILE, project, lambda before: _by_path(before) | {str(task.root): True})


def _tasks(project: Path) -> list[tuple[TaskFolder, bool]]:
    found = _by_path(recall(FILE).get(str(project)))
    return [(TaskFolder(Path(path)), told) for path, told in reversed(found.items()) if is_task(Path(path))]


def _by_path(tasks: Any) -> dict[str, bool]:
    """Tasks of a project with whether they were told, whatever the file says."""
    return {path: told is True for path, told in tasks.items()} if isinstance(tasks, dict) else {}
