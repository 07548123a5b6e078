"""The end of a task is told: when it comes, and when the app was closed then, as the project is opened again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.text import _
from lora_tui.tui.threads import in_thread

if TYPE_CHECKING:
    from lora_tui.tasks.status import TaskStatus
    from lora_tui.tui.app import LoraTuiApp

_WHERE = {"prepare": ("app.show-dataset", "dataset.prepare")}
"""Kind of task: the keys that show it."""
_ALL = ("app.show-dataset", "dataset.tasks")
"""Those that show all tasks."""


async def tell_ended(shell: LoraTuiApp) -> None:
    """A notice for each task of the project that has ended and that nobody has looked at since."""
    for status in await in_thread(_ended, shell.workspace.root):
        shell.notify_plain(_words(shell, status), "information" if status.state == "finished" else "warning")


def tell_end(shell: LoraTuiApp, status: TaskStatus) -> None:
    """A notice for a task that has ended just now, unless a widget follows it before the person's eyes."""
    from lora_tui.tui.widgets.task_progress import TaskProgress

    followers = shell.screen.query(TaskProgress)
    if not any(one.followed is not None and one.followed.root == status.task.root for one in followers):
        shell.notify_plain(_words(shell, status), "information" if status.state == "finished" else "warning")


def _ended(project: Path) -> list[TaskStatus]:
    from lora_tui.tasks.known import untold_tasks
    from lora_tui.tasks.status import task_status

    found = [task_status(task) for task in untold_tasks(project)]
    return [status for status in found if not status.alive]


def _words(shell: LoraTuiApp, status: TaskStatus) -> str:
    from lora_tui.tasks.words import result_text
    from lora_tui.tui.road import state_words
    from lora_tui.tui.task_text import title_text

    what = result_text(status) or status.message or state_words(status.state)
    words = _("{title}: {what}").format(title=title_text(status), what=what)
    keys = [shell.keymap.shown(action) for action in _WHERE.get(status.kind, _ALL)]
    return words + ("\n" + _("{keys} shows it.").format(keys=" ".join(keys)) if keys else "")
