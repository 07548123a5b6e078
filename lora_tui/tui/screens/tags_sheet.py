"""The contact sheet: the pictures of many images side by side, to mark those that a tag is right or wrong for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Grid, Vertical
from textual.screen import ModalScreen

from lora_tui.captions.quoting import quoted
from lora_tui.errors import UserError
from lora_tui.text import _, count, plain
from lora_tui.tui.acting import Acting, hints_of
from lora_tui.tui.actions import SHEET
from lora_tui.tui.cells import Cell
from lora_tui.tui.marks import marks_of
from lora_tui.tui.tags.editor import Editor, Stretch
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from textual import events

SIZES = ((13, 6), (19, 9), (26, 13), (40, 20))
"""Columns and lines of one picture with the line below it, smallest first."""


class Frame(Vertical):
    """One picture with its name below."""

    def compose(self) -> ComposeResult:
        yield ImageView(align="center")
        yield Lines()


class Sheet(Acting, ModalScreen[int], inherit_bindings=False):
    """Dismissed with the number of the image under the cursor; marks and tags are changed at once."""

    ACTS = SHEET
    DEFAULT_CSS = """
    Sheet { background: $background; }
    Sheet #head { height: 1; padding: 0 1; }
    Sheet Grid { height: 1fr; grid-gutter: 0 1; keyline: none; }
    Sheet Frame { height: 100%; }
    Sheet Frame Lines { height: 1; }
    """

    def __init__(self, editor: Editor, numbers: Sequence[int], cursor: int, *, tag: str = "") -> None:
        """``numbers`` are shown, ``cursor`` is the image to begin with; ``tag`` is looked at, if one is named."""
        super().__init__()
        self._editor, self._numbers, self._tag = editor, tuple(numbers), tag
        self._place = self._numbers.index(cursor) if cursor in self._numbers else 0
        self._scale = 1
        self._shape = (0, 0)
        self._problem = ""

    def compose(self) -> ComposeResult:
        yield Lines(id="head")
        yield Grid()
        yield Keys()

    def on_mount(self) -> None:
        self.take_keys()
        hints = hints_of(self.app, SHEET)
        self.query_one(Keys).show([hint for hint in hints if not self.refusal(hint.action)])

    def refusal(self, action_id: str) -> str:
        if action_id == "sheet.toggle-tag" and not self._tag:
            return _("Open the sheet with the cursor on a tag to change that tag here.")
        return ""

    async def on_resize(self, _event: events.Resize) -> None:
        await self._lay_out()

    async def _lay_out(self) -> None:
        """As many frames as fit."""
        width, height = SIZES[self._scale]
        columns = max((self.app.size.width + 1) // (width + 1), 1)
        rows = max((self.app.size.height - 2) // height, 1)
        if (columns, rows) != self._shape:
            self._shape = (columns, rows)
            grid = self.query_one(Grid)
            await grid.remove_children()
            grid.styles.grid_size_columns, grid.styles.grid_size_rows = columns, rows
            await grid.mount(*(Frame() for _frame in range(columns * rows)))
        self._show()

    def _show(self) -> None:
        columns, rows = self._shape
        page = max(columns * rows, 1)
        start = self._place // page * page
        shown = self._numbers[start : start + page]
        for position, frame in enumerate(self.query(Frame)):
            if position < len(shown):
                self._fill(frame, shown[position], start + position == self._place)
            else:
                frame.query_one(ImageView).show(None)
                frame.query_one(Lines).show([])
        marked = _("{count} marked")
        place = _("{number} of {total}").format(number=count(self._place + 1), total=count(len(self._numbers)))
        head = [Cell(place), Cell("  " + marked.format(count=count(len(self._editor.marks))), "muted")]
        if self._tag:
            head.append(Cell("  " + _("tag: {tag}").format(tag=plain(self._tag, limit=40)), "accent"))
        self.query_one("#head", Lines).show([[*head, Cell("  " + self._problem, "error")]])

    def _fill(self, frame: Frame, number: int, here: bool) -> None:
        entry, marks = self._editor.entry(number), marks_of(self.app)
        frame.query_one(ImageView).show(self._editor.corpus.root / entry.name)
        name = plain(entry.name.rpartition("/")[2])
        cells = [Cell(marks.cursor if here else " ", "accent"), Cell("*" if number in self._editor.marks else " ")]
        if self._tag:
            has = self._tag in entry.tags
            cells.append(Cell((marks.done if has else marks.dot) + " ", "success" if has else "muted"))
        frame.query_one(Lines).show([[*cells, Cell(name, "accent" if here else "muted")]])

    def _go(self, place: int) -> None:
        self._problem = ""
        self._place = min(max(place, 0), len(self._numbers) - 1)
        self._show()

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        await self.action_act(event.action)

    def action_left(self) -> None:
        self._go(self._place - 1)

    def action_right(self) -> None:
        self._go(self._place + 1)

    def action_up(self) -> None:
        if self._place >= self._shape[0]:
            self._go(self._place - self._shape[0])

    def action_down(self) -> None:
        if self._place + self._shape[0] < len(self._numbers):
            self._go(self._place + self._shape[0])

    def action_page_up(self) -> None:
        self._go(self._place - self._shape[0] * self._shape[1])

    def action_page_down(self) -> None:
        self._go(self._place + self._shape[0] * self._shape[1])

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(len(self._numbers) - 1)

    def action_mark(self) -> None:
        """Mark or unmark, and go on."""
        self._editor.mark(self._numbers[self._place])
        self._go(self._place + 1)

    def action_toggle_tag(self) -> None:
        """Add the tag to the image, or remove it."""
        number = self._numbers[self._place]
        entry = self._editor.entry(number)
        verb = "remove" if self._tag in entry.tags else "add"
        stretch = Stretch((number,), entry.name, f"image {entry.name}")
        self._problem = ""
        try:
            found = self._editor.prepare(f"{verb} {quoted(self._tag)}", stretch)
            if found.refused:
                raise found.refused[0][1]
            self._editor.apply(found, repeatable=False)
        except UserError as error:
            self._problem = error_words(error)
        self._show()

    async def action_larger(self) -> None:
        self._scale = min(self._scale + 1, len(SIZES) - 1)
        await self._lay_out()

    async def action_smaller(self) -> None:
        self._scale = max(self._scale - 1, 0)
        await self._lay_out()

    def action_open(self) -> None:
        self.dismiss(self._numbers[self._place])

    def action_leave(self) -> None:
        self.dismiss(None)
