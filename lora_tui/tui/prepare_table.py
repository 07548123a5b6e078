"""The images of a preparation's plan as rows: those that are refused, those that are made, those that are left out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.dataset.prepare.plan import NOTE_WORDS, Item, Plan
from lora_tui.dataset.problems import Problem
from lora_tui.text import N_, _, bytes_text, count, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.marks import Marks
from lora_tui.tui.widgets.virtual_list import Column

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.dataset.buckets import Size

Row = Item | Problem

COLUMNS = (
    Column(1),
    Column(12, N_("image"), share=2, cut="middle", most=60),
    Column(10, N_("before"), align="right"),
    Column(10, N_("after"), align="right"),
    Column(10, N_("bucket"), align="right", since=90),
    Column(5, N_("files"), align="right", since=100),
    Column(4, N_("cut"), align="right"),
    Column(10, N_("what is special"), share=3),
)

CUT_SHOWN = 0.002
"""The share that is cut away from which on it is said."""
CUT_MUCH = 20
"""Percent that are cut away from which on it is a warning."""


class PlanTable:
    """Rows are made when they are drawn; ten thousand cost nothing.

    Attributes:
        refused, items, left_out: the three parts, in this order.
    """

    def __init__(self, plan: Plan | None = None, config: Config | None = None) -> None:
        """Takes a moment for ten thousand images: made in a thread. ``config`` says which bucket a new image gets."""
        self.refused = plan.refused if plan is not None else ()
        self.items = plan.items if plan is not None else ()
        self.left_out = plan.left_out if plan is not None else ()
        self._source = plan.source if plan is not None else Path()
        self._config = config
        self._buckets: tuple[Size, ...] | None = None
        rows: tuple[Row, ...] = (*self.refused, *self.items, *self.left_out)
        paths = map(path_of, rows)
        self._places = {os.fspath(path): place for place, path in enumerate(paths)}
        if plan is not None:
            _counted = plan.files, plan.disk_bytes  # kept by the plan from now on

    def __len__(self) -> int:
        return len(self.refused) + len(self.items) + len(self.left_out)

    def __getitem__(self, index: int) -> Row:
        for part in (self.refused, self.items, self.left_out):
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)

    def place_of(self, path: Path | None) -> int:
        """The row of an image; the first that something is made of where it has none."""
        first = len(self.refused)
        return first if path is None else self._places.get(os.fspath(path), first)

    def cells(self, index: int, marks: Marks) -> list[Cell]:
        """A row."""
        row = self[index]
        if isinstance(row, Problem):
            tone = "error" if index < len(self.refused) else "muted"
            sign = Cell(marks.failed if tone == "error" else "-", tone)
            path = row.path
            name = plain(path.relative_to(self._source).as_posix() if path.is_relative_to(self._source) else str(path))
            blank = [Cell("")] * 5
            return [sign, Cell(name, "" if tone == "error" else tone), *blank, Cell(plain(row.message), tone)]
        facts, size = row.image.facts, row.pieces[0].fitted.size
        cut = cut_percent(row)
        bucket = self.bucket(size)
        return [
            Cell(" "),
            Cell(plain(row.key)),
            Cell(f"{facts.width}x{facts.height}", "muted"),
            Cell(f"{size.width}x{size.height}"),
            _bucket_cell(bucket, size),
            Cell(str(len(row.pieces)), "muted" if len(row.pieces) == 1 else ""),
            Cell(f"{cut}%" if cut else "", "warning" if cut >= CUT_MUCH else "muted"),
            Cell(_(", ").join(notes_of(row)), "muted"),
        ]

    def bucket(self, size: Size) -> Size | None:
        """What the trainer makes of a new image with the parameters as they are."""
        if self._config is None:
            return None
        from lora_tui.dataset.buckets import buckets_for, fit_image

        if self._buckets is None:
            self._buckets = buckets_for(self._config.data)
        return fit_image(size.width, size.height, self._config.data, self._buckets).bucket


def _bucket_cell(bucket: Size | None, size: Size) -> Cell:
    """What the trainer makes of a new image; a warning where that enlarges it."""
    if bucket is None:
        return Cell("")
    larger = bucket.width > size.width or bucket.height > size.height
    return Cell(f"{bucket.width}x{bucket.height}", "warning" if larger else "muted")


def path_of(row: Row) -> Path:
    """The file of a row."""
    return row.path if isinstance(row, Problem) else row.image.path


def cut_percent(item: Item) -> int:
    """What is cut away of an image, in percent; 0 where it is next to nothing."""
    return max(round(100 * item.cut), 1) if item.cut >= CUT_SHOWN else 0


def notes_of(item: Item) -> list[str]:
    """What is special about an image, in words."""
    words = [_(NOTE_WORDS[code]) for code in item.notes]
    if padded := round(100 * max(piece.fitted.padded for piece in item.pieces)):
        words.append(_("{share}% padded").format(share=padded))
    return words


def plan_line(plan: Plan, free_bytes: int, *, too_large: bool) -> list[Cell]:
    """How many files there will be, the room that they take, and what is refused."""
    text = ngettext("{images} image becomes {files}", "{images} images become {files}", len(plan.items))
    files = ngettext("{count} file", "{count} files", plan.files).format(count=count(plan.files))
    disk = _("about {size}, {free} free").format(size=bytes_text(plan.disk_bytes), free=bytes_text(free_bytes))
    cells = [
        Cell(text.format(images=count(len(plan.items)), files=files), "strong"),
        Cell(_(", ") + disk, "error" if too_large else "muted"),
    ]
    if number := len(plan.refused):
        words = ngettext("{count} refused", "{count} refused", number).format(count=count(number))
        cells.append(Cell("  " + words, "error"))
    if number := len(plan.left_out):
        words = ngettext("{count} left out", "{count} left out", number).format(count=count(number))
        cells.append(Cell("  " + words, "muted"))
    return cells
