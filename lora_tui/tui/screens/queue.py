"""The queue of this machine: what is at work, what waits and why, what has ended; moved, held, retried by keys.

It is read again every second while it is shown, in a thread; the queue's own process is asked nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.jobs.queue import door, process
from lora_tui.jobs.queue.record import QueueJob
from lora_tui.jobs.queue.words import job_lines
from lora_tui.runs.folder import RunFolder
from lora_tui.tasks.folder import is_task
from lora_tui.text import _, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.queue_rows import COLUMNS, QueueView, detail_lines, read_view, row_cells, status_text
from lora_tui.tui.screens.list_screen import ListScreen
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskText, Confirm
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.wording import error_words
from lora_tui.tui.workspace import Change

LOOK_SECONDS = 1.0
LOG_LINES = 400
_WAITING_ONLY = frozenset({"up", "down", "first", "after", "hold"})


class QueueScreen(ListScreen[QueueJob]):
    """A list of all jobs; the job under the cursor in full below."""

    ACTS = "queue"
    CSS_PATH = ["list_screen.tcss", "queue.tcss"]
    COLUMNS = COLUMNS

    def __init__(self) -> None:
        super().__init__()
        self._view: QueueView | None = None
        self._looking = False

    def awaited(self) -> str:
        return _("Reading the queue.") if self._view is None else ""

    def on_mount(self) -> None:
        super().on_mount()
        self.listed.set_empty(self.empty_words())
        self.set_interval(LOOK_SECONDS, self._tick)

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        self._tick()

    # -- showing

    def _tick(self) -> None:
        """Look at the queue; a look that is still going on is enough."""
        if self.is_current and not self._looking:
            self._looking = True
            start_job(self, self._look, "look", alone=False)

    async def _look(self) -> None:
        """Read the queue; only what has changed is drawn again."""
        try:
            view = await in_thread(read_view)
        finally:
            self._looking = False
        if view != self._view and self.query_one_optional("#list") is not None:
            self._take(view)

    def _take(self, view: QueueView) -> None:
        self._view = view
        self.take_rows(view.jobs)
        self.select()
        self.resume_keys()

    def empty_words(self) -> str:
        if self._view is None:
            return _("Reading the queue.")
        empty = _("Nothing is queued. {key} queues what its form describes; lora-tui queue add takes any work.")
        return empty.format(key=self.shell.keymap.shown("app.show-parameters"))

    def told(self) -> str:
        return status_text(self._view) if self._view is not None else ""

    def cells(self, row: QueueJob) -> list[Cell]:
        assert self._view is not None
        return row_cells(self._view, row, self.shell.marks)

    def key_of(self, row: QueueJob) -> int:
        return row.id

    def show_here(self) -> None:
        lines = self.query_one("#facts", Lines)
        width, height = lines.size
        if self._view is not None and height:
            lines.show(detail_lines(self._view, self.row_here, max(width, 20), height, self.shell.marks.ellipsis))

    # -- acting

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if name in ("hold-all", "process"):
            return ""
        job = self.row_here
        if job is None:
            return _("The queue is empty.")
        if name in _WAITING_ONLY and not job.waits:
            return _("Job {number} does not wait any more.").format(number=job.id)
        if name == "stop" and job.state != "running":
            return _("Job {number} is not running.").format(number=job.id)
        if name == "retry" and not job.over:
            return _("Job {number} has not ended.").format(number=job.id)
        if name == "remove" and job.at_work:
            return _("It is running; stop it first.")
        return ""

    def _do(self, what: Callable[[], object], told: str) -> None:
        """Change the queue in a thread, then look at once: the next key is for what has become of it."""
        self.guide(partial(self._done, what, told), stops=False)

    async def _done(self, what: Callable[[], object], told: str) -> None:
        try:
            await in_thread(what)
        except UserError as error:
            self.shell.tell(error_words(error), "error")
        else:
            self.shell.tell(told, "success")
        if self.query_one_optional("#list") is not None:
            self._take(await in_thread(read_view))

    def action_open(self) -> None:
        job = self.row_here
        if job is None:
            return
        if not job.place or is_task(Path(job.place)):
            self.action_read()
        else:
            self.shell.open_run(RunFolder(Path(job.place)))

    def action_read(self) -> None:
        job, view = self.row_here, self._view
        if job is not None and view is not None:
            self.app.push_screen(TextView(plain(job.title), job_lines(job, view.queue, view.said)))

    def action_log(self) -> None:
        if self.row_here is not None:
            self.guide(partial(self._read_log, self.row_here))

    async def _read_log(self, job: QueueJob) -> None:
        lines = await in_thread(door.log_lines, job, LOG_LINES)
        self.app.push_screen(TextView(plain(job.title), [plain(line) for line in lines] or [_("Nothing was printed.")]))

    def action_hold(self) -> None:
        job = self.row_here
        if job is not None and job.held:
            self._do(partial(door.release, [job.id]), _("Job {number} goes on.").format(number=job.id))
        elif job is not None and self._needs_release(job):
            told = _("Job {number} no longer waits for what failed.").format(number=job.id)
            self._do(partial(door.release, [job.id]), told)
        elif job is not None:
            self._do(partial(door.hold, [job.id]), _("Job {number} is held.").format(number=job.id))

    def _needs_release(self, job: QueueJob) -> bool:
        """Whether it waits for a person's word about a job that failed."""
        from lora_tui.jobs.queue.needs import unmet

        return self._view is not None and bool(unmet(job, self._view.queue)[1]) and job.if_failed != "run"

    def action_up(self) -> None:
        self._move(-1)

    def action_down(self) -> None:
        self._move(1)

    def _move(self, by: int) -> None:
        if (job := self.row_here) is not None:
            self._do(partial(door.shift, job.id, by), _("Job {number} has moved.").format(number=job.id))

    def action_first(self) -> None:
        if (job := self.row_here) is not None:
            self._do(partial(door.move, job.id, 0), _("Job {number} is the next.").format(number=job.id))

    def _ask(self, question: str, detail: str, yes: str, what: Callable[[], object], told: str) -> None:
        """Do it once it is confirmed."""

        def answered(sure: bool | None) -> None:
            if sure:
                self._do(what, told)

        self.app.push_screen(Confirm(question, detail, yes=yes), answered)

    def action_retry(self) -> None:
        job = self.row_here
        if job is None:
            return
        told = _("Job {number} waits again.").format(number=job.id)
        if job.state != "done":
            self._do(partial(door.retry, [job.id]), told)
            return
        question = _("Job {number} is done. Do it once more?").format(number=job.id)
        again = partial(door.retry, [job.id], anew=True)
        self._ask(question, plain(job.title, limit=200), _("once more"), again, told)

    def action_remove(self) -> None:
        job = self.row_here
        if job is not None:
            question = _("Take job {number} out of the queue?").format(number=job.id)
            detail = _("{title}. Runs and files stay.").format(title=plain(job.title, limit=120))
            told = _("Job {number} is removed.").format(number=job.id)
            self._ask(question, detail, _("remove"), partial(door.remove, [job.id]), told)

    def action_stop(self) -> None:
        job = self.row_here
        if job is not None:
            question = _("Stop job {number}?").format(number=job.id)
            detail = _("{title} saves and ends; retry goes on from there.").format(title=plain(job.title, limit=120))
            told = _("Job {number} was asked to save and end.").format(number=job.id)
            self._ask(question, detail, _("stop"), partial(door.stop_jobs, [job.id]), told)

    def action_after(self) -> None:
        job = self.row_here
        if job is None:
            return

        def answered(text: str | None) -> None:
            if text is not None:
                told = _("Job {number} waits for them.") if text.strip() else _("Job {number} waits for nothing.")
                numbers = [int(part) for part in text.replace(",", " ").split()]
                self._do(partial(door.come_after, job.id, numbers), told.format(number=job.id))

        dialog = AskText(
            _("Job {number} comes after").format(number=job.id),
            " ".join(str(number) for number in job.after),
            detail=_("Numbers of jobs that must be done before; empty for none."),
            check=_no_numbers,
            accept=_("let it wait"),
        )
        self.app.push_screen(dialog, answered)

    def action_hold_all(self) -> None:
        held = self._view is not None and self._view.queue.held
        told = _("The queue goes on.") if held else _("The queue is held: nothing new starts.")
        self._do(door.release_all if held else door.hold_all, told)

    def action_process(self) -> None:
        alive = self._view is not None and self._view.said.alive
        told = _("The queue's process has ended; running jobs go on.") if alive else _("The queue is running.")
        self._do(process.stop if alive else process.start, told)

    def action_clear(self) -> None:
        over = sum(job.over for job in self._view.jobs) if self._view is not None else 0
        if not over:
            self.tell(_("Nothing has ended."), "warning")
            return

        question = ngettext("Take {count} job that has ended out?", "Take {count} jobs that have ended out?", over)
        told = _("What has ended is out of the queue.")
        self._ask(question.format(count=over), _("Runs and files stay."), _("clear"), door.clear, told)


def _no_numbers(text: str) -> str:
    parts = text.replace(",", " ").split()
    fine = all(part.isascii() and part.isdigit() and len(part) < 13 for part in parts)
    return "" if fine else _("Numbers of jobs, such as 3 5.")
