"""The virtual form: rows are drawn, and one editor is laid over the row that is edited.

Knows rows as data (:class:`FieldRow`), not the settings behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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

TITLE_WIDTH = 20
VALUE_WIDTH = 18
_LEFT = 4
"""Cells before the title: the cursor's mark and the mark of a changed setting, each with a space."""


@dataclass(frozen=True)
class FieldRow:
    """One row: its name, its value, what stands beside it, and whether the value was changed.

    A ``wide`` value (a path, a prompt) takes the whole row when there is nothing to say beside it.
    """

    title: Cell
    value: Cell
    note: Cell
    changed: bool = False
    wide: bool = False


class FormList(VirtualList):
    """Rows of a form: name, value, note."""

    DEFAULT_CSS = "FormList { height: 1fr; }"

    def __init__(self, row: Callable[[int], FieldRow], *, empty: str = "") -> None:
        super().__init__([Column(TITLE_WIDTH)], lambda index: (row(index).title,), empty=empty)
        self._field = row

    def place_of_value(self, width: int) -> tuple[int, int]:
        """Where values begin and how wide they are in ``width`` cells."""
        title = TITLE_WIDTH if width < 90 else TITLE_WIDTH + 4
        value = max(VALUE_WIDTH, (width - _LEFT - title - 4) * 2 // 5)
        return _LEFT + title + 1, value

    def _row_strip(self, index: int, width: int) -> Strip:
        field, marks = self._field(index), marks_of(self.app)
        base = self.rich_style
        here = index == self.cursor
        if here:
            name = "virtual-list--cursor" if self.has_focus else "virtual-list--cursor-blurred"
            base += self.get_component_rich_style(name, partial=True)
        start, value_width = self.place_of_value(width)
        rest = max(width - start - value_width - 2, 0)
        if field.wide and not field.note.text:
            value_width, rest = width - start, 0
        pieces = [
            Cell((marks.cursor if here else " ") + " ", "accent" if self.has_focus else "muted"),
            Cell("* " if field.changed else "  ", "accent"),
            Cell(fit(field.title.text, start - _LEFT - 1, ellipsis=marks.ellipsis) + " ", field.title.tone),
            Cell(fit(field.value.text, value_width, cut="middle", ellipsis=marks.ellipsis), field.value.tone),
        ]
        if rest:
            pieces.append(Cell("  " + fit(field.note.text, rest, ellipsis=marks.ellipsis), field.note.tone))
        segments = [Segment(text, base + self._tone(tone) if tone else base) for text, tone in pieces]
        return Strip(segments).adjust_cell_length(width, base)

    @property
    def row_on_screen(self) -> int:
        """The line of the widget that the cursor is on."""
        return self.cursor - int(self.scroll_offset.y)


class FieldEditor(TextField):
    """The editor of one value. Enter and Tab accept, the arrows accept and move on, Escape leaves the value."""

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
        if left is not None:
            event.stop()
            event.prevent_default()
            self.post_message(self.Left(*left))


class FormPane(Container):
    """The rows with their editor. Posts :class:`FormPane.Typed` while text is edited and ``Done`` at the end."""

    DEFAULT_CSS = """
    FormPane { layers: rows editor; height: 1fr; }
    FormPane FormList { layer: rows; }
    FormPane FieldEditor { layer: editor; display: none; background: $panel; padding: 0; }
    FormPane.-editing FieldEditor { display: block; }
    """

    class Typed(Message):
        """The text in the editor changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

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
        return self.has_class("-editing")

    @property
    def text(self) -> str:
        """What stands in the editor."""
        return self._editor.value

    def edit(self, text: str, *, narrow: bool, fresh: bool = False) -> None:
        """Open the editor on the current row; ``narrow`` leaves room for the note, ``fresh`` was just typed."""
        self._narrow = narrow
        with self.prevent(TextField.Changed):
            self._editor.value = text
        self._editor.cursor_position = len(text)
        self.add_class("-editing")
        self._place()
        self._editor.focus()
        if not fresh:
            self._editor.select_all()

    def close(self) -> None:
        """Close the editor; the rows have the focus again."""
        if self.editing:
            self.remove_class("-editing")
            self._rows.focus()

    def _place(self) -> None:
        width = self._rows.size.width
        start, value = self._rows.place_of_value(width)
        self._editor.styles.offset = (start, self._rows.row_on_screen)
        self._editor.styles.width = value if self._narrow else width - start

    @on(events.Resize)
    def _resized(self) -> None:
        if self.editing:
            self.call_after_refresh(self._place)

    @on(TextField.Changed)
    def _changed(self, event: TextField.Changed) -> None:
        event.stop()
        if self.editing:
            self.post_message(self.Typed(event.value))

    @on(FieldEditor.Left)
    def _left(self, event: FieldEditor.Left) -> None:
        event.stop()
        if self.editing:
            self.post_message(self.Done(self._editor.value, event))
