"""The virtual form: rows are drawn, and one editor is laid over the row that is edited.

Knows rows as data (:class:`FieldRow`), not the settings behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.strip import Strip

from lora_tui.tui.cells import Cell, fit
from lora_tui.tui.marks import marks_of
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

TITLE_WIDTH = 22
VALUE_WIDTH = 12
_LEFT = 3
"""Cells before the title: the cursor's mark, the mark of a changed setting, a space."""


@dataclass(frozen=True)
class FieldRow:
    """One row: its name, its value, what stands beside it, and whether the value was changed.

    A value that is long takes the room of a note that only describes; one that warns keeps its place. ``tail`` is a
    word at the right end, left out where it has no room.
    """

    title: Cell
    value: Cell
    note: Cell
    changed: bool = False
    tail: str = ""


class FormList(VirtualList):
    """Rows of a form: name, value, note."""

    DEFAULT_CSS = "FormList { height: 1fr; }"

    def __init__(
        self,
        row: Callable[[int], FieldRow],
        *,
        empty: str = "",
        title_width: int = TITLE_WIDTH,
        id: str | None = None,  # noqa: A002 - Textual's own name
    ) -> None:
        """``title_width``: cells of the names."""
        super().__init__([Column(title_width)], lambda index: (row(index).title,), empty=empty, id=id)
        self._field, self._title_width = row, title_width

    def place_of_value(self, width: int) -> tuple[int, int]:
        """Where values begin and how wide they are in ``width`` cells."""
        start = _LEFT + self._title_width + 1
        return start, max(VALUE_WIDTH, (width - start) // 3)

    def _row_strip(self, index: int, width: int) -> Strip:
        field, marks = self._field(index), marks_of(self.app)
        here = index == self.cursor
        base = self._toned("", here)
        start, value_width = self.place_of_value(width)
        room = max(width - start, 0)
        if field.note.tone not in ("error", "warning"):
            value_width = min(max(value_width, cell_len(field.value.text)), room)
        tail = f"  {field.tail}" if field.tail and field.note.tone not in ("error", "warning") else ""
        if room - value_width - cell_len(tail) < 0:
            tail = ""
        room -= cell_len(tail)
        rest = max(room - value_width - 2, 0) if field.note.text else 0
        if not rest:
            value_width = room
        pieces = [
            Cell(self._lead(here).text[0], "accent" if self._live else "muted"),
            Cell("* " if field.changed else "  ", "accent"),
            Cell(fit(field.title.text, self._title_width, ellipsis=marks.ellipsis) + " ", field.title.tone),
            Cell(fit(field.value.text, value_width, cut="middle", ellipsis=marks.ellipsis), field.value.tone),
        ]
        if rest:
            pieces.append(Cell("  " + fit(field.note.text, rest, ellipsis=marks.ellipsis), field.note.tone))
        pieces.append(Cell(tail, "muted"))
        segments = [Segment(text, self._toned(tone, here)) for text, tone in pieces]
        return Strip(segments).adjust_cell_length(width, base)

    @property
    def row_on_screen(self) -> int:
        """The line of the widget that the cursor is on."""
        return self.cursor - int(self.scroll_offset.y)


class FieldEditor(TextField):
    """The editor of one value. Enter and Tab accept, the arrows accept and move on, Escape leaves the value.

    Where the value is a path, Tab, and the right arrow at its end, ask to complete it first.
    """

    completes = False

    class Wanted(Message):
        """The path should be completed; ``leave``: go on to the next row where nothing can be added."""

        def __init__(self, leave: bool) -> None:
            super().__init__()
            self.leave = leave

    class Left(Message):
        """The person is done: ``accept`` the text or not, and go on ``by`` rows (``edit`` there, too)."""

        def __init__(self, accept: bool, by: int = 0, edit: bool = False) -> None:
            super().__init__()
            self.accept, self.by, self.edit = accept, by, edit

    _KEYS = {
        "enter": (True, 0, False),
        "tab": (True, 1, True),
        "shift+tab": (True, -1, True),
        "down": (True, 1, False),
        "up": (True, -1, False),
        "escape": (False, 0, False),
    }

    def on_key(self, event: events.Key) -> None:
        left = self._KEYS.get(event.key)
        at_end = self.selection.is_empty and self.cursor_position == len(self.value)
        if self.completes and (event.key == "tab" or (event.key == "right" and at_end)):
            event.stop()
            event.prevent_default()
            self.post_message(self.Wanted(leave=event.key == "tab"))
        elif left is not None:
            event.stop()
            event.prevent_default()
            self.post_message(self.Left(*left))


class FormPane(Container):
    """The rows with their editor. Posts :class:`FormPane.Typed` while text is edited and ``Done`` at the end."""

    DEFAULT_CSS = """
    FormPane { layers: rows editor; height: 1fr; }
    FormPane FormList { layer: rows; }
    FormPane FieldEditor { layer: editor; }
    """

    class Typed(Message):
        """The text in the editor changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Completing(Message):
        """The path in the editor should be completed, see :class:`FieldEditor.Wanted`."""

        def __init__(self, text: str, leave: bool) -> None:
            super().__init__()
            self.text, self.leave = text, leave

    class Done(Message):
        """The editor asks to close: see :class:`FieldEditor.Left`."""

        def __init__(self, text: str, left: FieldEditor.Left) -> None:
            super().__init__()
            self.text = text
            self.accept, self.by, self.edit = left.accept, left.by, left.edit

    def __init__(self, row: Callable[[int], FieldRow], *, empty: str = "") -> None:
        super().__init__()
        self._rows = FormList(row, empty=empty)
        self._editor = FieldEditor()
        self._editor.display = False
        self._narrow = True

    def compose(self) -> ComposeResult:
        yield self._rows
        yield self._editor

    @property
    def rows(self) -> FormList:
        """The list of rows."""
        return self._rows

    @property
    def editing(self) -> bool:
        """Whether the editor is open."""
        return bool(self._editor.display)

    @property
    def text(self) -> str:
        """What stands in the editor."""
        return self._editor.value

    def edit(self, text: str, *, narrow: bool, fresh: bool = False, path: bool = False) -> None:
        """Open the editor on the current row; ``narrow`` leaves room for the note, ``fresh`` was just typed.

        ``path``: the text is one, and can be completed.
        """
        self._narrow = narrow
        self._editor.completes = path
        with self.prevent(TextField.Changed):
            self._editor.value = text
        self._editor.cursor_position = len(text)
        self._editor.display = True
        self._place()
        # At once and not by a message: keys that are typed ahead belong into the editor.
        self.screen.set_focus(self._editor)
        if not fresh:
            self._editor.select_all()

    def insert(self, text: str) -> None:
        """Put text at the editor's cursor, over what is selected."""
        self._editor.replace(text, *self._editor.selection)

    def replace(self, text: str) -> None:
        """Put another text in the place of the one that is edited, with the cursor at its end."""
        self._editor.value = text
        self._editor.cursor_position = len(text)

    def leave(self) -> None:
        """Go on as Tab does: take the text, and edit the next row."""
        self.post_message(self.Done(self._editor.value, FieldEditor.Left(accept=True, by=1, edit=True)))

    def close(self) -> None:
        """Close the editor; the rows have the focus again."""
        if self.editing:
            self._editor.display = False
            self.screen.set_focus(self._rows)

    def _place(self) -> None:
        width = self._rows.size.width
        start, value = self._rows.place_of_value(width)
        self._editor.styles.offset = (start - 1, self._rows.row_on_screen)
        self._editor.styles.width = (value if self._narrow else width - start) + 2

    @on(events.Resize)
    def _resized(self) -> None:
        if self.editing:
            self.call_after_refresh(self._place)

    @on(TextField.Changed)
    def _changed(self, event: TextField.Changed) -> None:
        event.stop()
        if self.editing:
            self.post_message(self.Typed(event.value))

    @on(TextField.Submitted)
    def _submitted(self, event: TextField.Submitted) -> None:
        """Enter that was typed ahead comes as the input's own message."""
        event.stop()
        if self.editing:
            self.post_message(self.Done(self._editor.value, FieldEditor.Left(accept=True)))

    @on(FieldEditor.Wanted)
    def _wanted(self, event: FieldEditor.Wanted) -> None:
        event.stop()
        if self.editing:
            self.post_message(self.Completing(self._editor.value, event.leave))

    @on(FieldEditor.Left)
    def _left(self, event: FieldEditor.Left) -> None:
        event.stop()
        if self.editing:
            self.post_message(self.Done(self._editor.value, event))
