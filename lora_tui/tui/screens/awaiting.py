"""Saying what a screen reads while keys wait for it, and for how long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.timer import Timer

from lora_tui.text import _, count, duration, ngettext
from lora_tui.tui.widgets.footer import Status

if TYPE_CHECKING:
    from lora_tui.tui.screens.base import BaseScreen

LOOK_SECONDS = 1.0
"""How often it is looked whether the screen still reads, and said for how long; what takes less is not said."""


class Awaiting:
    """The part of a screen that says on its status line what is being read."""

    def __init__(self, screen: BaseScreen) -> None:
        self._screen = screen
        self._words = ""
        self._since = 0.0
        self._timer: Timer | None = None

    def look(self) -> None:
        """Say what is being read, from now on until nothing is. Called whenever something may have begun or ended."""
        screen = self._screen
        words = screen.reading_words() if screen.is_mounted and screen.is_current else ""
        if words != self._words:
            self._words, self._since = words, time.monotonic()
        if words and self._timer is None:
            self._timer = screen.set_interval(LOOK_SECONDS, self.look)
        elif not words and self._timer is not None:
            self._timer.stop()
            self._timer = None
        if (status := screen.query_one_optional(Status)) is not None:
            status.read(self._told(), self.waiting() if words else "")

    def _told(self) -> str:
        seconds = time.monotonic() - self._since
        if not self._words or (seconds < LOOK_SECONDS and not self._screen.shell.keys_waiting):
            return ""
        words = self._words.rstrip(".。")
        return _("{reading}: {time}").format(reading=words, time=duration(seconds))

    def waiting(self) -> str:
        """How many keys wait, and what drops them."""
        number = self._screen.shell.keys_waiting
        if not number:
            return ""
        text = ngettext("{count} key waits, {key} drops it", "{count} keys wait, {key} drops them", number)
        return text.format(count=count(number), key=self._screen.shell.keymap.shown("app.back"))
