"""What the second of two keys does: shown after the first was pressed, gone with the second."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from lora_tui.text import _
from lora_tui.tui.actions import Action
from lora_tui.tui.cells import Cell, fit
from lora_tui.tui.keymap import key_text
from lora_tui.tui.marks import marks_of
from lora_tui.tui.widgets.lines import Lines

WIDTH = 26
"""Cells of one entry, the gap behind it included."""


class WhichKey(ModalScreen[str | None], inherit_bindings=False):
    """Dismissed with the id of an action, or None."""

    BINDINGS = [("escape", "leave")]
    DEFAULT_CSS = """
    WhichKey { align: center bottom; background: $background 40%; }
    WhichKey > #box { width: 100%; height: auto; background: $surface; border-top: solid $rule; padding: 0 1; }
    WhichKey #title { text-style: bold; height: 1; }
    """

    def __init__(self, prefix: str, entries: Sequence[tuple[str, Action, str]]) -> None:
        """``entries``: the second key in Textual's form, its action, and why it cannot be done now (or nothing)."""
        super().__init__()
        self._prefix = prefix
        self._entries = tuple(entries)

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            title = _("{key} and then, or Esc: nothing").format(key=key_text(self._prefix))
            yield Static(title, id="title", markup=False)
            yield Lines(id="keys")

    def on_mount(self) -> None:
        self._show()

    def on_resize(self) -> None:
        self._show()

    def _show(self) -> None:
        room = max(self.app.size.width - 2, WIDTH)
        columns = max(min(room // WIDTH, 5), 1)
        width = room // columns
        rows = -(-len(self._entries) // columns)
        ellipsis = marks_of(self.app).ellipsis
        ascii_only = bool(getattr(self.app, "ascii_only", False))
        lines: list[list[Cell]] = [[] for _row in range(rows)]
        for number, (key, action, refusal) in enumerate(self._entries):
            cell = Cell(fit(key_text(key, ascii_only=ascii_only), 5) + " ", "muted" if refusal else "accent")
            words = Cell(fit(_(action.title), width - 7, ellipsis=ellipsis) + " ", "muted" if refusal else "")
            lines[number % rows] += [cell, words]
        panel = self.query_one("#keys", Lines)
        panel.styles.height = max(rows, 1)
        panel.show(lines)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        found = next((action.id for key, action, _refusal in self._entries if key == event.key), None)
        if found is not None or event.key == "escape":
            self.dismiss(found)

    def action_leave(self) -> None:
        """Escape: nothing happens."""
        self.dismiss(None)
