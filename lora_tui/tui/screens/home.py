"""Where the app starts: the road with what is done and what is missing."""

from __future__ import annotations

from textual.app import ComposeResult

from lora_tui.text import _
from lora_tui.tui.cells import Cell
from lora_tui.tui.road import step_of
from lora_tui.tui.screens import SCREENS
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.workspace import Change


class HomeScreen(BaseScreen):
    """The road."""

    ACTS = "home"
    CSS_PATH = "home.tcss"

    def compose_body(self) -> ComposeResult:
        self._entries = [entry for entry in SCREENS if entry.name != "home"]
        yield VirtualList([Column(1), Column(3), Column(10), Column(20, share=1)], self._row, count=len(self._entries))

    def _row(self, index: int) -> list[Cell]:
        entry = self._entries[index]
        key = self.shell.keymap.shown(entry.action.id)
        if not entry.road:
            return [Cell(" "), Cell(key, "accent"), Cell(_(entry.title)), Cell("")]
        step = step_of(entry.name, self.workspace)
        return [
            Cell(getattr(self.shell.marks, step.mark), step.tone),
            Cell(key, "accent"),
            Cell(_(entry.title)),
            Cell(step.text),
        ]

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        self.query_one(VirtualList).reload()

    def action_open(self) -> None:
        index = self.query_one(VirtualList).cursor
        if index >= 0:
            self.shell.show_screen(self._entries[index].name)

    def action_new_project(self) -> None:
        """Ask for folder, purpose and trigger word."""
