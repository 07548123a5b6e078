"""How one task in the background fares, followed until it has ended: which, bar, pace and ETA, warnings, the result."""

from __future__ import annotations

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.timer import Timer

from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.start import Asked, ask_task
from lora_tui.tasks.status import TaskStatus, task_status
from lora_tui.tui.marks import marks_of
from lora_tui.tui.task_text import progress_lines
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.lines import Lines

LOOK_SECONDS = 0.5
"""How often a followed task is looked at; what it shows is painted only where it changed."""

SLOW_LOOK_SECONDS = 2.0
"""The same on a slow link."""

LEAST, MOST = 4, 8
"""Lines: while it is at work, and the most that a result with its reasons takes."""


class TaskProgress(Lines):
    """Follows a task and shows it, in four to eight lines of the width it is given.

    A screen or dialog that starts tasks composes one and hands it the folder::

        yield TaskProgress(id="progress")
        ...
        task = await in_thread(start_task, home, "prepare", title, options)
        self.query_one(TaskProgress).follow(task)

    It looks at the task's files in a thread, twice a second, and stops by itself when the task has ended or the
    widget is gone; the task goes on then. :meth:`ask` pauses, stops and goes on (also with one that was stopped or
    died). It takes no keys and no focus: the screen around it has those.
    """

    DEFAULT_CSS = "TaskProgress { height: auto; }"

    class Changed(Message):
        """The task was looked at and something is new: the keys that can be used may differ."""

        def __init__(self, sender: TaskProgress, status: TaskStatus) -> None:
            super().__init__()
            self.progress, self.status = sender, status

        @property
        def control(self) -> TaskProgress:
            return self.progress

    class Ended(Changed):
        """The task has ended, well or not: ``status`` says how. Once for each life of a task that was not known
        to be over."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.followed: TaskFolder | None = None
        self.status: TaskStatus | None = None
        self._timer: Timer | None = None
        self._lived = False

    # -- for the screen around it

    def follow(self, task: TaskFolder | None, status: TaskStatus | None = None) -> None:
        """Show another task from now on, or none; ``status`` where it is known already."""
        self.followed, self._lived = task, status is None or status.alive
        self._take(status)
        self._begin()

    @property
    def can_pause(self) -> bool:
        """Whether it is at work and can rest."""
        return self.status is not None and self.status.state in ("running", "orphaned")

    @property
    def can_stop(self) -> bool:
        """Whether it can be asked to stop: what is done stays, and it can go on later."""
        return self.status is not None and self.status.alive

    @property
    def can_resume(self) -> bool:
        """Whether it rests, was stopped or died, and can go on where it was."""
        return self.status is not None and (self.status.state == "paused" or self.status.can_resume)

    async def ask(self, what: Asked) -> None:
        """Pause, go on or stop; the task does it after the image in hand.

        Raises:
            UserError: as :func:`~lora_tui.tasks.start.ask_task`.
        """
        if self.followed is not None:
            await in_thread(ask_task, self.followed, what)
            self.look_again()

    def look_again(self) -> None:
        """The task was asked for something: one that was over may be at work, and is told when it is over again."""
        self._lived = True
        self._begin()

    # -- inside

    def on_mount(self) -> None:
        self._begin()

    def on_unmount(self) -> None:
        self._end()

    def on_resize(self, event: events.Resize) -> None:  # type: ignore[override]
        super().on_resize()
        self._say()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return min(max(len(self.lines), LEAST), MOST)

    def _begin(self) -> None:
        self._end()
        if self.followed is None or not self.is_attached:
            return
        slow = bool(getattr(getattr(self.app, "settings", None), "slow", False))
        self._timer = self.set_interval(SLOW_LOOK_SECONDS if slow else LOOK_SECONDS, self._look_soon)
        self._look_soon()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _look_soon(self) -> None:
        start_job(self, self._look, "look")

    async def _look(self) -> None:
        task = self.followed
        if task is None:
            return
        status = await in_thread(task_status, task)
        if task is not self.followed or not self.is_attached:
            return
        changed = status != self.status
        self._take(status)
        if status.alive:
            self._lived = True
        else:
            self._end()
        if changed:
            self.post_message(self.Changed(self, status))
        if not status.alive and self._lived:
            self._lived = False
            self.post_message(self.Ended(self, status))

    def _take(self, status: TaskStatus | None) -> None:
        self.status = status
        self._say()

    def _say(self) -> None:
        if self.status is None or not self.size.width:
            if self.status is None:
                self.show([])
            return
        before = len(self.lines)
        self.show(progress_lines(self.status, self.size.width, MOST, marks_of(self.app)))
        if max(len(self.lines), LEAST) != max(before, LEAST):
            self.refresh(layout=True)
