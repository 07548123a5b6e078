"""Which tasks a project has started, and which of them a person has been told of: the end of one is never missed.

A task lies with the folder that it writes, which need not be one of the project's. Kept in the user's state folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.settings import state_dir
from lora_tui.tasks.folder import TaskFolder, is_task, tasks_of

FILE = "tasks.json"
_PROJECTS = 200
_TASKS = 20
"""Of a project's tasks, the newest that are remembered."""


def remember_task(project: Path, task: TaskFolder) -> None:
    """Note that a project has started a task; nobody has been told yet how it ended.

    A state folder that cannot be written is let be.
    """
    known = _read()
    tasks = {path: told for path, told in known.pop(str(project), {}).items() if path != str(task.root)}
    tasks[str(task.root)] = False
    known[str(project)] = dict(list(tasks.items())[-_TASKS:])
    _write(known)


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
    known = _read()
    tasks = known.get(str(project), {})
    if tasks.get(str(task.root)) is False:
        tasks[str(task.root)] = True
        _write(known)


def _tasks(project: Path) -> list[tuple[TaskFolder, bool]]:
    found = _read().get(str(project), {})
    return [(TaskFolder(Path(path)), told) for path, told in reversed(found.items()) if is_task(Path(path))]


def _read() -> dict[str, dict[str, bool]]:
    try:
        found = json.loads((state_dir() / FILE).read_bytes())
    except (OSError, ValueError, RecursionError, UserError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        project: {path: told is True for path, told in tasks.items()}
        for project, tasks in found.items()
        if isinstance(tasks, dict)
    }


def _write(known: dict[str, dict[str, bool]]) -> None:
    try:
        text = json.dumps(dict(list(known.items())[-_PROJECTS:]), ensure_ascii=True, indent=1)
        write_atomic(state_dir() / FILE, text.encode("ascii"), durable=False)
    except (OSError, UserError):
        return
