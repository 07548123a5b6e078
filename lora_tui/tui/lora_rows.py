"""What the list of LoRA files shows of each: its columns and cells. Knows no widget."""

from __future__ import annotations

from pathlib import Path

from lora_tui.loras.files import LoraFile
from lora_tui.text import N_, bytes_text, clock, count, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.marks import Marks
from lora_tui.tui.widgets.virtual_list import Column

COLUMNS = (
    Column(1),
    Column(1),
    Column(12, N_("name"), share=3, cut="middle"),
    Column(6, N_("family")),
    Column(4, N_("rank"), align="right"),
    Column(6, N_("kind"), since=50),
    Column(6, N_("step"), align="right", since=58),
    Column(8, N_("size"), align="right", since=40),
    Column(10, N_("written"), since=72),
    Column(10, N_("trigger"), share=1, since=84),
    Column(10, N_("folder"), share=1, since=100, cut="middle"),
)


def lora_cells(file: LoraFile, marks: Marks, *, marked: bool, root: Path) -> list[Cell]:
    """One file; one that cannot be read has a mark in front. Folders inside ``root`` are named from there on."""
    broken, folder = file.problem is not None, file.path.parent
    return [
        Cell("*" if marked else " ", "accent"),
        Cell(marks.failed if broken else " ", "error"),
        Cell(plain(file.name), "muted" if broken else ""),
        Cell(plain(file.family), "muted"),
        Cell(str(file.rank) if file.rank else ""),
        Cell(plain(file.kind), "muted"),
        Cell(count(file.step) if file.step else "", "muted"),
        Cell(bytes_text(file.size), "muted"),
        Cell(clock(file.modified, "%Y-%m-%d"), "muted"),
        Cell(plain(", ".join(file.triggers), limit=80), "accent"),
        Cell(plain(str(folder.relative_to(root) if folder.is_relative_to(root) else folder)), "muted"),
    ]
