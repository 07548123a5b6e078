"""A dialog that finds: a field, the rows that fit what is typed, and the whole sentence of the row under the cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from lora_tui.text import _
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.virtual_list import Column, Row, VirtualList


@dataclass(frozen=True)
class Found:
    """One row: its cells, the sentence below the list, and the id of the action that Enter does (empty for none)."""

    cells: Row
    about: str = ""
    action: str = ""


class Finder(Dialog[str]):
    """Dismissed with the id of an action to do, or None."""

    DEFAULT_CSS = "Finder #about { height: 2; margin-top: 1; padding: 0 2; color: $muted; }"

    def __init__(
        self,
        title: str,
        find: Callable[[str], Sequence[Found]],
        columns: Sequence[Column],
        *,
        detail: str = "",
        hint: str = "",
        empty: str = "",
    ) -> None:
        """``find`` gives the rows for a text, all of them for none; ``hint`` stands in the empty field."""
        super().__init__(title, detail)
        self.accept_words = _("do it")
        self._find = find
        self._columns = tuple(columns)
        self._hint = hint
        self._empty = empty
        self._rows = tuple(find(""))

    def compose_body(self) -> ComposeResult:
        rows = VirtualList(self._columns, lambda index: self._rows[index].cells, count=len(self._rows))
        rows.set_empty(self._empty)
        rows.driven = True
        yield TextField(placeholder=self._hint, list=rows)
        yield rows
        yield Static("", id="about", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(TextField).focus()
        self.query_one(VirtualList).cursor = self._first

    @property
    def _first(self) -> int:
        """The first row that Enter does something on."""
        return next((number for number, row in enumerate(self._rows) if row.action), 0)

    @on(TextField.Changed)
    def _typed(self, event: TextField.Changed) -> None:
        event.stop()
        self._rows = tuple(self._find(event.value))
        rows = self.query_one(VirtualList)
        rows.set_count(len(self._rows), cursor=self._first)
        rows.reload()

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        inside = 0 <= event.index < len(self._rows)
        self.query_one("#about", Static).update(self._rows[event.index].about if inside else "")

    @on(TextField.Submitted)
    @on(VirtualList.Chosen)
    def _submitted(self, event: TextField.Submitted | VirtualList.Chosen) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        index = self.query_one(VirtualList).cursor
        if 0 <= index < len(self._rows) and self._rows[index].action:
            self.dismiss(self._rows[index].action)
