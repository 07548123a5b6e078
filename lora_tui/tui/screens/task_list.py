"""Tagging and preparing in the background: what goes on and what has ended, the one under the cursor in full below."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult

from lora_tui.errors import UserError
from lora_tui.tasks.kinds import kind_word
from lora_tui.tasks.start import ask_task
from lora_tui.tasks.words import result_text
from lora_tui.text import N_, _, clock, percent, plain
from lora_tui.tui.actions import TASKS
from lora_tui.tui.cells import Cell
from lora_tui.tui.marks import marks_of
from lora_tui.tui.road import state_words
from lora_tui.tui.task_text import mark_cell, pace_text, title_text, warning_line
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.acting_dialog import ActingDialog
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.row_list import RowList
from lora_tui.tui.widgets.task_progress import TaskProgress
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tasks.folder import TaskFolder
    from lora_tui.tasks.start import Asked
    from lora_tui.tasks.status import TaskStatus

LOOK_SECONDS = 1.0
"""How often the list is compared with what the app knows; the task under the cursor is followed by itself."""

COLUMNS = (Column(1), Column(10), Column(16, share=1, cut="middle"), Column(20, align="right"), Column(12, since=58))


class TaskList(ActingDialog[None]):
    """The tasks of the project, newest first. They go on when the list, or the app, is left."""

    ALSO = TASKS
    LEAVE = N_("back")
    DEFAULT_CSS = """
    TaskList TaskProgress { margin-top: 1; min-height: 5; }
    TaskList.-low TaskProgress { margin-top: 0; }
    """

    def __init__(self) -> None:
        super().__init__(_("Work in the background"))
        self._tasks: tuple[TaskStatus, ...] = ()
        self.accept_words = _("read")

    def compose_body(self) -> ComposeResult:
        empty = _("Nothing goes on, and nothing was done here yet.")
        yield RowList(COLUMNS, self._row, lambda status: status.task.root, empty=empty)
        yield TaskProgress()
        yield Lines(id="told")

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self._list)
        self.set_interval(LOOK_SECONDS, self._look)
        self._look()
        self.show_keys()
        self.shell.poll_runs()

    @property
    def _list(self) -> RowList[TaskStatus]:
        return self.query_one(RowList)

    @property
    def _progress(self) -> TaskProgress:
        return self.query_one(TaskProgress)

    @property
    def here(self) -> TaskStatus | None:
        """The task under the cursor, as it was at the last look."""
        return self._list.here

    # -- showing

    def _look(self) -> None:
        """Take over what the app has read; the cursor stays on its task."""
        tasks = self.shell.workspace.tasks or ()
        if tasks == self._tasks:
            return
        self._tasks = tasks
        self._list.take(tasks)
        self._follow()

    def _row(self, status: TaskStatus) -> list[Cell]:
        state = state_words(status.state)
        if status.alive and status.total:
            state += f" {percent(status.done, status.total):>4}"
        when = clock(status.created, "%m-%d %H:%M")
        tone = "" if status.alive else "muted"
        return [
            mark_cell(status, marks_of(self.app)),
            Cell(kind_word(status.kind), tone),
            Cell(title_text(status), tone),
            Cell(state, tone),
            Cell(when, "muted"),
        ]

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self._follow()

    def _follow(self) -> None:
        here, followed = self.here, self._progress.followed
        if here is None:
            self._progress.follow(None)
        elif followed is None or followed.root != here.task.root:
            self._progress.follow(here.task, here)
        self.show_keys()

    @on(TaskProgress.Changed)
    @on(TaskProgress.Ended)
    def _changed(self, event: TaskProgress.Changed) -> None:
        event.stop()
        self.show_keys()
        self.shell.poll_runs()  # the row, too

    # -- doing

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if name == "stop" and not self._progress.can_stop:
            return _("It is not running.")
        if name == "pause" and not (self._progress.can_pause or self._progress.can_resume):
            return _("Nothing is left to do.")
        return ""

    def action_pause(self) -> None:
        self._ask("pause" if self._progress.can_pause else "resume")

    def action_stop(self) -> None:
        self._ask("stop")

    def _ask(self, what: Asked) -> None:
        """By a job of the app: the request is made although the list is closed meanwhile."""
        if self._progress.followed is not None:
            start_job(self.shell, partial(self._asked, self._progress.followed, what), "ask", alone=False)

    async def _asked(self, task: TaskFolder, what: Asked) -> None:
        try:
            await in_thread(ask_task, task, what)
        except UserError as error:
            if self.is_current:
                self.tell(error_words(error), "error")
            else:
                self.shell.notify_plain(error_words(error), "warning")
            return
        self.shell.poll_runs()
        if not self.is_current:
            return
        self._progress.look_again()
        words = {
            "stop": _("Asked to stop after the image in hand; what is done stays."),
            "pause": _("Asked to pause after the image in hand."),
            "resume": _("It goes on."),
        }
        self.tell(words[what], "success")

    def action_accept(self) -> None:
        here = self._progress.status or self.here
        if here is not None:
            self.app.push_screen(TextView(title_text(here), full_lines(here)))

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_accept()


def full_lines(status: TaskStatus) -> list[str]:
    """All that is known of a task, to be read."""
    lines = [f"{kind_word(status.kind)}: {pace_text(status)}"]
    lines += [text for text in (result_text(status), plain(status.message), plain(status.advice)) if text]
    report = status.result.get("report")
    if isinstance(report, str) and report:
        lines += ["", _("Report: {path}").format(path=plain(report))]
    if status.warnings:
        lines += ["", _("Warnings, the newest last:")]
        lines += [f"  {warning_line(event)}" for event in status.warnings]
    return [*lines, "", _("Folder and log: {path}").format(path=plain(str(status.task.root)))]
