"""A text to read, over the screen: many lines, scrolled by the list's keys."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from lora_tui.text import plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.virtual_list import Column, VirtualList


class TextView(Dialog[None]):
    """Lines to read; Enter and Escape close it. ``title`` has gone through ``plain``, the lines need not."""

    DEFAULT_CSS = """
    TextView > #box { width: 96%; height: 90%; }
    TextView VirtualList { height: 1fr; max-height: 100%; }
    """

    def __init__(self, title: str, lines: Sequence[str], *, accept: str = "") -> None:
        super().__init__(title)
        self._lines = tuple(lines)
        self.accept_words = accept

    def compose_body(self) -> ComposeResult:
        yield VirtualList([Column(10, share=1)], self._row, count=len(self._lines))

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(VirtualList).focus()

    def _row(self, index: int) -> tuple[Cell]:
        line = self._lines[index]
        return (Cell(plain(line), "muted" if line.startswith("#") else ""),)

    def action_accept(self) -> None:
        self.dismiss(None)
