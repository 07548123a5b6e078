"""A dialog that finds: a field, the rows that fit what is typed, and the whole sentence of the row under the cursor.

Its list has the same height whatever is found, so that nothing jumps while one types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult

from lora_tui.text import _
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.marks import marks_of
from lora_tui.tui.widgets.dialog import Answer, Dialog
from lora_tui.tui.widgets.lines import Lines
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

    DEFAULT_CSS = """
    Finder #about { height: 2; margin-top: 1; padding: 0 2; }
    Finder.-low #about { margin-top: 0; }
    Finder.-low #detail { display: none; }
    """

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
        yield Answer(placeholder=self._hint, list=rows)
        yield rows
        yield Lines(id="about")

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self.query_one(TextField))  # now: keys may be waiting for it
        self.query_one(VirtualList).cursor = self._first
        self._fit(self.app.size.height)

    @on(events.Resize)
    def _resized(self, event: events.Resize) -> None:
        self._fit(event.size.height)

    def room(self, height: int) -> int:
        """Rows that the list may have in a terminal of this height; 0 where the style sheet says."""
        return 0

    def _fit(self, height: int) -> None:
        """As many rows as there are without a search, or as there is room for."""
        if room := self.room(height):
            self.query_one(VirtualList).styles.height = min(len(self._find("")), room)

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

    def find_again(self) -> None:
        """The rows read otherwise now; the cursor stays."""
        self._rows = tuple(self._find(self.query_one(TextField).value))
        rows = self.query_one(VirtualList)
        rows.set_count(len(self._rows), cursor=rows.cursor)
        rows.reload()
        self._say()

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self._say()

    @on(Lines.Resized, "#about")
    def _say(self) -> None:
        """The whole sentence of the row under the cursor."""
        about, index = self.query_one("#about", Lines), self.query_one(VirtualList).cursor
        text = self._rows[index].about if 0 <= index < len(self._rows) else ""
        lines = wrap(text, about.size.width, about.size.height, ellipsis=marks_of(self.app).ellipsis) if text else []
        about.show([(Cell(line, "muted"),) for line in lines])

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        index = self.query_one(VirtualList).cursor
        if 0 <= index < len(self._rows) and self._rows[index].action:
            self.dismiss(self._rows[index].action)
