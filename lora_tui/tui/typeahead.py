"""Keys in their order: each is done before the next is given out, and a screen that is still opening gets them later.

Textual hands a key to what has the focus at the moment in which it arrives. Of keys that arrive together, as they do
over a slow link or from fast hands, all would so go to the list that had the focus, although the first of them opened
a line to type in. A mixin of the app; knows no screen but by :attr:`takes_keys`.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from textual import events
from textual.message import Message

from lora_tui.tui.acting import keymap_of
from lora_tui.tui.actions import APP

HELD = 500
"""Keys that wait at most; what is typed beyond them is dropped."""

PATIENCE_SECONDS = 0.5
"""How long a key may be on its way before the next is given out all the same: its widget may be gone."""


class Arrived(Message):
    """Follows a key on its way up; when it comes out at the app, the key was used by somebody below."""

    def __init__(self, event: events.Event) -> None:
        super().__init__()
        self.event = event


class TypeAhead:
    """Gives the app's keys out one by one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._typed: deque[events.Key | events.Paste] = deque()
        self._on_its_way: events.Event | None = None
        super().__init__(*args, **kwargs)

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)  # type: ignore[misc]  # Textual's App
            return
        if isinstance(event, events.Key) and self._overtakes(event):
            self._typed.clear()  # Esc, a function key: who presses it means it now
            await self._give(event)
            return
        if len(self._typed) < HELD:
            self._typed.append(event)
        await self.give_keys()

    def push_screen(self, *args: Any, **kwargs: Any) -> Any:
        """What was typed for a dialog is given to it once it is there."""
        app: Any = self
        pushed = super().push_screen(*args, **kwargs)  # type: ignore[misc]  # Textual's App
        app.screen.call_after_refresh(self.give_keys)
        return pushed

    async def give_keys(self) -> None:
        """Give out what was typed; called again by a screen when it has become able to take keys."""
        while self._typed and self._on_its_way is None and not self._held():
            await self._give(self._typed.popleft())
        if self._typed and self._on_its_way is not None:
            app: Any = self
            app.set_timer(PATIENCE_SECONDS, lambda waited=self._on_its_way: app.call_later(self._arrived, waited))

    def forget_keys(self) -> None:
        """Drop what was typed ahead: what it was meant for did not come about."""
        self._typed.clear()

    async def _give(self, event: events.Key | events.Paste) -> None:
        app: Any = self
        self._on_its_way = event
        target = app.focused or app.screen
        await super().on_event(event)  # type: ignore[misc]  # Textual's App
        if not event.is_forwarded or not target.post_message(Arrived(event)):
            self._on_its_way = None

    async def _on_key(self, event: events.Key) -> None:
        """Nobody below used the key: Textual looks for its binding, and does it."""
        event.prevent_default()
        await super()._on_key(event)  # type: ignore[misc]  # Textual's App
        await self._arrived(event)

    async def on_arrived(self, message: Arrived) -> None:
        await self._arrived(message.event)

    async def _arrived(self, event: events.Event | None) -> None:
        if event is not None and event is self._on_its_way:
            self._on_its_way = None
            await self.give_keys()

    def _overtakes(self, event: events.Key) -> bool:
        """Whether keys are waiting for a screen, and this one does something on every screen and is no text."""
        app: Any = self
        if event.is_printable or not app.screen_stack or not self._held():
            return False
        keymap = keymap_of(app)
        return any(event.key in keymap.keys(action.id) for action in keymap.actions.of(APP))

    def _held(self) -> bool:
        """Whether the screen cannot take keys yet."""
        app: Any = self
        if not app.screen_stack or not app.screen.is_mounted:
            return True
        return not getattr(app.screen, "takes_keys", True)
