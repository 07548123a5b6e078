"""The tasks of a project, read again and again while the app is open. Knows no widget; called in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.tui.ended import Ended

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.tasks.folder import TaskFolder
    from lora_tui.tasks.status import TaskStatus


class TasksReader:
    """Reads how tasks fare; one that has ended is read only when its files changed."""

    def __init__(self) -> None:
        self._ended: Ended[TaskStatus] = Ended()

    def read(self, project: Path, roots: Sequence[Path]) -> tuple[TaskStatus, ...]:
        """The tasks of a project and of its datasets (``roots``), newest first, each as it is now."""
        from lora_tui.captions.journal.log import home_of
        from lora_tui.tasks.known import project_tasks

        homes = [home for root in roots for home in (home_of(root), root)]
        return tuple(self._status(task) for task in project_tasks(project, homes))

    def _status(self, task: TaskFolder) -> TaskStatus:
        from lora_tui.tasks.status import task_status

        files = (task.events_path, task.root / "job.json")
        return self._ended.status(task.root, files, lambda: task_status(task))


def roots_of(config: Config | None) -> list[Path]:
    """The folders of the datasets of a configuration."""
    return [Path(entry.path) for entry in config.datasets if entry.path] if config is not None else []


def changes_images(status: TaskStatus, roots: Sequence[Path]) -> bool:
    """Whether a task that has ended may have changed images or captions of the datasets ``roots``.

    One that only asked models has not, nor one whose folder is another.
    """
    inside = any(status.task.root.is_relative_to(root) or root.is_relative_to(_home(status)) for root in roots)
    return inside and "asked" not in status.result


def _home(status: TaskStatus) -> Path:
    """The folder that a task is kept with: it holds ``.lora-tui/tasks/NAME``."""
    return status.task.root.parent.parent.parent
