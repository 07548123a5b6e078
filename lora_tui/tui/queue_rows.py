"""The queue as cells: rows of its list, and the job under the cursor. Knows no widget; reading is done in a thread."""

from __future__ import annotations

from dataclasses import dataclass

from lora_tui.errors import UserError
from lora_tui.jobs.queue.journal import read_queue
from lora_tui.jobs.queue.kinds import label_of
from lora_tui.jobs.queue.process import Word, word
from lora_tui.jobs.queue.record import Queue, QueueJob, state_word
from lora_tui.jobs.queue.words import fares, job_lines, queue_text, share, told_text, trouble_lines
from lora_tui.runs.status import RunStatus
from lora_tui.tasks.status import TaskStatus
from lora_tui.text import N_, _, ngettext, percent, plain
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.marks import Marks
from lora_tui.tui.widgets.virtual_list import Column

COLUMNS = (
    Column(1),
    Column(5, "#", align="right"),
    Column(10, N_("kind"), since=72),
    Column(14, N_("name"), share=1, cut="middle"),
    Column(9, N_("state")),
    Column(5, N_("done"), align="right", since=100),
    Column(24, share=1),
)

_MARK = {"waiting": "todo", "starting": "running", "running": "running", "done": "done", "failed": "failed"}
_TONE = {"running": "running", "done": "success", "failed": "error"}


@dataclass(frozen=True)
class QueueView:
    """The queue at one moment, as a screen shows it: the jobs in order, and how those that are at work fare."""

    queue: Queue
    said: Word
    jobs: tuple[QueueJob, ...]
    fares: dict[int, RunStatus | TaskStatus | None]


def read_view() -> QueueView:
    """Read everything that the screen shows. Called in a thread."""
    queue, said = read_queue(), word()
    jobs = tuple(queue.in_order())
    return QueueView(queue, said, jobs, {job.id: fares(job) for job in jobs if job.at_work})


def row_cells(view: QueueView, job: QueueJob, marks: Marks) -> list[Cell]:
    """A job as a row of the list."""
    mark = "paused" if job.waits and job.held else _MARK.get(job.state, "todo")
    status = view.fares.get(job.id)
    done, total = share(status)
    tone = "muted" if job.over and job.state != "failed" else ""
    told = told_text(job, view.queue, view.said, status)
    return [
        Cell(getattr(marks, mark, marks.todo), _TONE.get(mark, "muted")),
        Cell(str(job.id), tone),
        Cell(label_of(job.kind), tone),
        Cell(plain(job.title, limit=200), tone),
        Cell(state_word(job), "warning" if mark == "paused" else _TONE.get(mark, tone)),
        Cell(percent(done, total) if total and job.at_work else ""),
        Cell(told, "error" if job.state == "failed" else "muted" if not job.at_work else ""),
    ]


def detail_lines(view: QueueView, job: QueueJob | None, width: int, height: int, ellipsis: str) -> list[list[Cell]]:
    """The job under the cursor in so many lines; of an empty queue what is to be known of itself."""
    if job is None:
        return [[Cell(line, "warning")] for line in trouble_lines(view.queue, view.said)][:height]
    _head, told, *facts = job_lines(job, view.queue, view.said)
    tone = "error" if job.state == "failed" else ""
    shown = [Cell(line, tone) for line in wrap(told, width, lines=2, ellipsis=ellipsis)]
    lines = [*shown, *(Cell(fact.strip(), "muted") for fact in facts)]
    return [[cell] for cell in lines[:height]]


def queue_line() -> str:
    """What the queue holds, in a few words. Called in a thread."""
    try:
        queue = read_queue()
    except UserError:
        return ""
    working, waiting = len(queue.working()), len(queue.waiting())
    if not (working or waiting):
        return _("nothing waits")
    parts = [ngettext("{count} running", "{count} running", working).format(count=working)] if working else []
    parts.append(ngettext("{count} waits", "{count} wait", waiting).format(count=waiting))
    return _(", ").join([*parts, *([_("held")] if queue.held else [])])


def status_text(view: QueueView) -> str:
    """The status line."""
    return "   ".join([queue_text(view.queue, view.said), *trouble_lines(view.queue, view.said)])
