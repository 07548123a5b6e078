"""Another key for one action: pressed, looked at for clashes, and taken with Enter."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.app import ComposeResult
from textual.widgets import Static

from lora_tui.text import _
from lora_tui.tui.keymap import key_text
from lora_tui.tui.widgets.dialog import Dialog


class AskKey(Dialog[tuple[str, ...]]):
    """Dismissed with the keys of the action, none for those it has by default, or with None.

    ``Enter`` takes what was pressed and ``Esc`` leaves, so that neither can be chosen here.
    """

    DEFAULT_CSS = """
    AskKey #pressed { margin-top: 1; }
    """
    ENDING = ("enter", "escape")

    def __init__(self, title: str, now: str, check: Callable[[tuple[str, ...]], str]) -> None:
        """``now`` are the keys it has; ``check`` says why keys will not do, empty when they will."""
        detail = _("Press the new key. A second one makes a pair of them. Enter alone brings the usual keys back.")
        super().__init__(title, detail)
        self.accept_words = _("take it")
        self._now, self._check = now, check
        self._pressed = ""
        self._problem = ""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="pressed", markup=False)
        yield Static("", id="problem", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self._show()

    def on_key(self, event: events.Key) -> None:
        """Every key but those that end is what is asked for, whatever it does elsewhere."""
        if event.key in self.ENDING:
            return
        event.stop()
        event.prevent_default()
        alone = not self._pressed or " " in self._pressed
        self._pressed = event.key if alone else f"{self._pressed} {event.key}"
        self._problem = self._check((self._pressed,))
        self._show()

    def _show(self) -> None:
        shown = key_text(self._pressed) if self._pressed else "–"
        line = _("now {old}   then {new}").format(old=self._now or "–", new=shown)
        self.query_one("#pressed", Static).update(line)
        problem = self.query_one("#problem", Static)
        problem.update(self._problem)
        problem.display = bool(self._problem)

    def action_accept(self) -> None:
        if not self._problem:
            self.dismiss((self._pressed,) if self._pressed else ())
