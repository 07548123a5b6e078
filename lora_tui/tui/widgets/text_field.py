"""One line of text to type in. With a list beside it, the keys that move a cursor go to that list."""

from __future__ import annotations

from textual import events
from textual.geometry import Size
from textual.reactive import Reactive
from textual.widgets import Input

from lora_tui.tui.widgets.virtual_list import VirtualList

_MOVES = {
    "up": "action_up",
    "down": "action_down",
    "pageup": "action_page_up",
    "pagedown": "action_page_down",
}


class TextField(Input):
    """An input whose up, down and page keys move the cursor of :attr:`list`."""

    # What is typed never makes the field wider: Textual need not lay the screen out again for every letter.
    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False)

    def __init__(
        self,
        value: str = "",
        *,
        placeholder: str = "",
        list: VirtualList | None = None,  # noqa: A002 - what it is
        id: str | None = None,  # noqa: A002 - Textual's own name
    ) -> None:
        super().__init__(value, placeholder=placeholder, id=id, select_on_focus=False)
        self.cursor_blink = False
        self.list = list

    def on_key(self, event: events.Key) -> None:
        if self.list is not None and event.key in _MOVES:
            event.stop()
            event.prevent_default()
            getattr(self.list, _MOVES[event.key])()

    def on_paste(self, event: events.Paste) -> None:
        """Only the first line of a paste: terminals send line ends as CR, which Input would keep."""
        lines = event.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        event.stop()
        event.prevent_default()
        self.replace("".join(c for c in lines[0] if c.isprintable()), *self.selection)
