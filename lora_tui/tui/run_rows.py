"""What the list of runs shows of each: its columns and cells. Knows no widget."""

from __future__ import annotations

import time

from lora_tui.records.rows import Row
from lora_tui.text import N_, count, number, percent, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.marks import Marks
from lora_tui.tui.road import MARK_OF_STATE, TONE_OF_MARK, state_words
from lora_tui.tui.run_details import when_text
from lora_tui.tui.widgets.virtual_list import Column

COLUMNS = (
    Column(1),
    Column(1),
    Column(3, "#", align="right"),
    Column(8, N_("state"), most=12, share=1),
    Column(15, N_("steps"), align="right", since=56),
    Column(4, N_("done"), align="right"),
    Column(7, N_("loss"), align="right"),
    Column(9, N_("adapter"), since=38, cut="middle"),
    Column(7, N_("best"), align="right", since=84),
    Column(10, N_("when"), align="right", since=76),
    Column(5, N_("rated"), since=64),
    Column(10, N_("name"), share=3, since=96, cut="middle"),
    Column(8, N_("tags"), share=2, since=110),
)


def row_cells(row: Row, marks: Marks, *, marked: bool) -> list[Cell]:
    """One run; of a rating as many marks as it has."""
    status = row.status
    mark = MARK_OF_STATE.get(status.state, "todo")
    steps = f"{count(status.step)}/{count(status.total_steps)}" if status.total_steps else "-"
    share = percent(status.step, status.total_steps) if status.total_steps else ""
    best = f"@{count(row.best_step)}" if row.best_step else ""
    return [
        Cell("*" if marked else " ", "accent"),
        Cell(getattr(marks, mark), TONE_OF_MARK.get(mark, "")),
        Cell(str(status.number or "")),
        Cell(state_words(status.state)),
        Cell(steps, "muted"),
        Cell(share),
        Cell(number(status.loss)),
        Cell(plain(row.adapter) if row.known else "", "muted"),
        Cell(best, "success" if row.best_why != "last" else "muted"),
        Cell(when_text(status, time.time()), "muted"),
        Cell(row.notes.stars, "warning"),
        Cell(plain(status.run.name), "muted"),
        Cell(plain(" ".join(row.notes.tags)), "accent"),
    ]
