"""Tasks in the background as lines and cells: their mark, how far they are, what came of them. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence

from lora_tui.tasks.kinds import kind_word
from lora_tui.tasks.status import TaskStatus
from lora_tui.tasks.words import phase_word, result_text
from lora_tui.text import _, count, duration, ngettext, number, percent, plain
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.marks import Marks
from lora_tui.tui.road import MARK_OF_STATE, TONE_OF_MARK, state_words
from lora_tui.tui.run_text import meter
from lora_tui.tui.wording import sentences

SHARE_WIDTH = 5
"""Cells of a percentage behind its bar."""


def mark_cell(status: TaskStatus, marks: Marks) -> Cell:
    """The sign of its state."""
    mark = MARK_OF_STATE.get(status.state, "todo")
    if mark == "done" and not _whole(status):
        mark = "needs"
    return Cell(getattr(marks, mark), TONE_OF_MARK[mark])


def title_text(status: TaskStatus) -> str:
    """Which one it is, as it was asked for."""
    return plain(status.title, limit=200) or kind_word(plain(status.kind, limit=20)) or plain(status.task.name)


def pace_text(status: TaskStatus) -> str:
    """How far it is, how quick, and how long it takes; of one that has ended, how it ended and when."""
    if not status.alive:
        text = state_words(status.state)
        return _("{state} after {time}").format(state=text, time=duration(status.took)) if status.took else text
    state = state_words(status.state) if status.state in ("paused", "starting") else phase_word(status.phase)
    parts = [state or state_words(status.state)]
    if status.total:
        parts[0] += " " + _("{done} of {total}").format(done=count(status.done), total=count(status.total))
    elif status.done:
        parts[0] += " " + count(status.done)
    if status.per_second is not None:
        parts.append(_("{number} a second").format(number=number(status.per_second, 1)))
    if status.eta is not None:
        parts.append(_("ETA {time}").format(time=duration(status.eta)))
    return _(", ").join(parts)


def bar_cells(status: TaskStatus, width: int, marks: Marks) -> tuple[Cell, ...]:
    """The share that is done as a bar of ``width`` cells with the percentage at its end, where it keeps its place."""
    share = status.done / status.total if status.total else 0.0
    tone = "warning" if status.state == "paused" else "running" if status.alive else "muted"
    words = percent(status.done, status.total) if status.total else ""
    return (*meter(share, max(width - SHARE_WIDTH, 4), marks, tone), Cell(f"{words:>{SHARE_WIDTH}}"))


def warning_text(status: TaskStatus) -> str:
    """How many warnings there are and what the newest says; empty without any."""
    if not status.warnings:
        return ""
    number_of = len(status.warnings)
    text = ngettext("{count} warning", "{count} warnings", number_of).format(count=count(number_of))
    return f"{text}: {warning_line(status.warnings[-1])}"


def warning_line(event: dict[str, object]) -> str:
    """One warning: the file, what is so, what to do."""
    place = plain(str(event.get("place", "") or ""), limit=120)
    words = plain(sentences(str(event.get("message", "")), str(event.get("remedy", "") or "")), limit=400)
    return f"{place}: {words}" if place else words


def end_lines(status: TaskStatus, width: int, *, lines: int = 3, ellipsis: str = "…") -> list[list[Cell]]:
    """What came of one that has ended: its result, or why it ended and what to do; wrapped."""
    if status.alive:
        return []
    told: list[list[Cell]] = []
    if words := result_text(status):
        told += [[Cell(line)] for line in wrap(words, width, lines=lines, ellipsis=ellipsis)]
    if words := plain(sentences(status.message, status.advice), limit=600):
        tone = "error" if status.state in ("failed", "died") else ""
        told += [[Cell(line, tone)] for line in wrap(words, width, lines=lines, ellipsis=ellipsis)]
    return told


def progress_lines(status: TaskStatus, width: int, height: int, marks: Marks) -> Sequence[Sequence[Cell]]:
    """The whole of a task in ``height`` lines: which, bar, pace, what is in hand or what came of it, warnings."""
    lines: list[list[Cell]] = [
        [mark_cell(status, marks), Cell(f" {kind_word(status.kind)}  ", "strong"), Cell(title_text(status))],
        list(bar_cells(status, width, marks)),
        [Cell(pace_text(status))],
    ]
    if status.alive:
        lines.append([Cell(plain(status.detail, limit=200), "muted")])
    else:
        lines += end_lines(status, width, ellipsis=marks.ellipsis)
    if (words := warning_text(status)) and len(lines) < height:
        lines.append([Cell(f"{marks.needs} ", "warning"), Cell(words)])
    return lines[:height]


def header_task(status: TaskStatus | None, marks: Marks) -> tuple[tuple[Cell, ...], ...]:
    """A living task for the top line, longest form first."""
    if status is None:
        return ()
    lead = Cell(f"{mark_cell(status, marks).text} ", mark_cell(status, marks).tone)
    name = kind_word(status.kind)
    share = f"{percent(status.done, status.total):>4}" if status.total else ""
    words = state_words(status.state) if status.state == "paused" else share
    long: list[tuple[Cell, ...]] = []
    if status.eta is not None:
        eta = _("ETA {time}").format(time=duration(status.eta))
        long.append((lead, Cell(f"{name} {words}  "), Cell(eta, "muted")))
    return (*long, (lead, Cell(f"{name} {words}".rstrip())), (lead, Cell(words or name)))


def _whole(status: TaskStatus) -> bool:
    """Whether it did all that was asked for; one that says nothing about it did."""
    return status.result.get("complete") is not False and not status.warnings
