"""A text to read, over the screen: many lines, long ones continued below, scrolled by the list's keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult

from lora_tui.text import _, plain
from lora_tui.tui.acting import keymap_of
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.keymap import key_text
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

_EDGE = 4
"""Cells of a row that are the list's: the cursor and the scroll bar."""


class TextView(Dialog[None]):
    """Lines to read; Escape closes it. ``title`` has gone through ``plain``, the lines need not.

    ``chosen`` is called with the number of a line on Enter, and ``accept`` is the word for that; without it Enter
    closes, too.
    """

    DEFAULT_CSS = """
    TextView > #box { width: 96%; height: 90%; }
    TextView VirtualList { height: 1fr; max-height: 100%; }
    """

    def __init__(
        self, title: str, lines: Sequence[str], *, accept: str = "", chosen: Callable[[int], None] | None = None
    ) -> None:
        super().__init__(title)
        self._lines = tuple(lines)
        self._rows: list[tuple[int, str]] = []
        self._width = 0
        self._chosen = chosen
        self.accept_words = accept

    def compose_body(self) -> ComposeResult:
        yield VirtualList([Column(10, share=1)], self._row)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(VirtualList).focus()
        self._fit()

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    def hints(self) -> list[KeyHint]:
        found = [hint for hint in super().hints() if self._chosen is not None and hint.action == "dialog.accept"]
        ascii_only = bool(getattr(self.app, "ascii_only", False))
        keys = keymap_of(self.app).keys("dialog.cancel")
        return [*found, KeyHint("dialog.cancel", key_text(keys[0], ascii_only=ascii_only), _("back"))]

    def _fit(self) -> None:
        """Continue on a row of its own what is longer than the list is wide."""
        rows = self.query_one(VirtualList)
        width = max((rows.size.width or self.app.size.width - 8) - _EDGE, 20)
        if width == self._width:
            return
        self._width = width
        here = self._rows[rows.cursor][0] if 0 <= rows.cursor < len(self._rows) else 0
        self._rows = [(number, part) for number, line in enumerate(self._lines) for part in _parts(line, width)]
        place = next((at for at, (number, _part) in enumerate(self._rows) if number == here), 0)
        rows.set_count(len(self._rows), cursor=place)
        rows.reload()

    def _row(self, index: int) -> tuple[Cell]:
        number, part = self._rows[index]
        return (Cell(part, "muted" if self._lines[number].startswith("#") else ""),)

    def action_accept(self) -> None:
        place = self.query_one(VirtualList).cursor
        if self._chosen is None:
            self.dismiss(None)
        elif 0 <= place < len(self._rows):
            self._chosen(self._rows[place][0])


def _parts(line: str, width: int) -> list[str]:
    """A line as rows of at most ``width`` cells, the further ones as far in as the first."""
    shown = plain(line)
    inside = shown.lstrip("# ") if shown.startswith("#") else shown.lstrip()
    lead = shown[: len(shown) - len(inside)][: width // 2]
    return [lead + part for part in wrap(inside, width - len(lead))]
