"""A small field of several lines with word wrap, for text that may hold characters no terminal should obey."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text
from textual import events
from textual.widgets import TextArea

from lora_tui.captions.written import typed_text


class WrappedField(TextArea):
    """Sentences to type. ``symbols`` says how single characters are drawn that cannot be shown as they are."""

    DEFAULT_CSS = """
    WrappedField, WrappedField:focus { border: none; padding: 0 1; height: 1fr; background-tint: transparent; }
    """

    def __init__(self, text: str, *, symbols: Mapping[str, str], id: str | None = None) -> None:  # noqa: A002
        super().__init__(text, soft_wrap=True, show_line_numbers=False, highlight_cursor_line=False, id=id)
        self.cursor_blink = False
        self._symbols = str.maketrans(dict(symbols))

    def get_line(self, line_index: int) -> Text:
        """A line as it is drawn; as long as the line that is edited."""
        return Text(self.document.get_line(line_index).translate(self._symbols), end="", no_wrap=True)

    async def _on_paste(self, event: events.Paste) -> None:
        """Terminals send line ends as CR, and what stands in a clipboard may hold anything."""
        event.stop()
        event.prevent_default()
        if result := self._replace_via_keyboard(typed_text(event.text), *self.selection):
            self.move_cursor(result.end_location)
