"""Keys in their order: each is done before the next is given out, and a screen that is still opening gets them later.

Textual hands a key to what has the focus at the moment in which it arrives. Of keys that arrive together, as they do
over a slow link or from fast hands, all would so go to the list that had the focus, although the first of them opened
a line to type in. A mixin of the app; knows no screen but by :attr:`takes_keys`, :meth:`waits_for` and
:meth:`keys_wait`.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any

from textual import events
from textual.message import Message

from lora_tui.text import _, count, ngettext
from lora_tui.tui.acting import keymap_of
from lora_tui.tui.actions import APP

HELD = 500
"""Keys that wait at most; what is typed beyond them is dropped."""

PATIENCE_SECONDS = 0.5
"""How long a key may be on its way before somebody looks after it: its widget may be gone."""

MOST_SECONDS = 10.0
"""How long a key may be on its way to a widget that is still there, on a machine that has much else to do."""


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
        self._watched: events.Event | None = None
        self._goal: Any = None
        self._sent = 0.0
        self._held_in = ""
        self._full = False
        super().__init__(*args, **kwargs)

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)  # type: ignore[misc]  # Textual's App
            return
        if isinstance(event, events.Key) and self._overtakes(event):
            self._drop()  # Esc, a function key: who presses it means it now
            await self._give(event)
            return
        if len(self._typed) < HELD:
            self._typed.append(event)
        elif not self._full:
            self._full = True
            self._say(_("{count} keys wait; what is typed on is dropped.").format(count=count(HELD)))
        await self.give_keys()

    def push_screen(self, *args: Any, **kwargs: Any) -> Any:
        """What was typed for a dialog is given to it once it is there."""
        app: Any = self
        pushed = super().push_screen(*args, **kwargs)  # type: ignore[misc]  # Textual's App
        app.screen.call_after_refresh(self.give_keys)
        return pushed

    async def give_keys(self) -> None:
        """Give out what was typed; called again by a screen when it has become able to take keys."""
        app: Any = self
        if self._typed and self._held_in and self._held_in != app.current_mode:
            self._drop()  # the screen that they waited for was left
        while self._typed and self._on_its_way is None and (not self._held() or self._let_pass()):
            self._held_in, self._full = "", False
            await self._give(self._typed.popleft())
        if self._typed and self._on_its_way is None and app.screen_stack:
            self._held_in = app.current_mode
            if (tell := getattr(app.screen, "keys_wait", None)) is not None:
                tell()
        if self._typed and self._on_its_way is not None and self._watched is not self._on_its_way:
            self._watched = self._on_its_way
            self._watch(self._on_its_way)

    def _watch(self, event: events.Event) -> None:
        """Look after a key in a while: one that can come no more keeps nobody waiting."""

        def look() -> None:
            if event is not self._on_its_way:
                return
            there = self._goal in app.screen_stack or self._goal.is_attached
            if there and monotonic() - self._sent < MOST_SECONDS:
                self._watch(event)
            else:
                app.call_later(self._arrived, event)

        app: Any = self
        app.set_timer(PATIENCE_SECONDS, look)

    @property
    def keys_waiting(self) -> int:
        """How many keys wait for the screen."""
        return len(self._typed)

    def forget_keys(self) -> None:
        """Drop what was typed ahead: what it was meant for did not come about."""
        self._typed.clear()
        self._held_in, self._full = "", False

    def _drop(self) -> None:
        """Drop what waits, and say so: nobody who typed it should wonder where it went."""
        number = len(self._typed)
        self.forget_keys()
        if number:
            text = ngettext("{count} key that waited was dropped.", "{count} keys that waited were dropped.", number)
            self._say(text.format(count=count(number)))

    def _say(self, text: str) -> None:
        app: Any = self
        app.notify(text, markup=False)

    async def _give(self, event: events.Key | events.Paste) -> None:
        app: Any = self
        self._on_its_way, self._sent = event, monotonic()
        self._goal = app.focused or app.screen
        goal = self._goal
        await super().on_event(event)  # type: ignore[misc]  # Textual's App
        if not event.is_forwarded or not goal.post_message(Arrived(event)):
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
        """Whether keys are waiting for a screen or for one on its way for long, and this one does something on every
        screen and is no text."""
        app: Any = self
        if not app.screen_stack or not self._means_now(event):
            return False
        return self._held() or (self._on_its_way is not None and monotonic() - self._sent > PATIENCE_SECONDS)

    def _means_now(self, event: events.Event) -> bool:
        """Whether a key does something on every screen and is no text."""
        if not isinstance(event, events.Key) or event.is_printable:
            return False
        app: Any = self
        keymap = keymap_of(app)
        return any(event.key in keymap.keys(action.id) for action in keymap.actions.of(APP))

    def _let_pass(self) -> bool:
        """Whether an Esc or a function key stands behind a key that waits for the end of some work: it goes first."""
        place = next((place for place, event in enumerate(self._typed) if self._means_now(event)), 0)
        if not place or not self._waits():
            return False
        behind = [self._typed[number] for number in range(place, len(self._typed))]
        while len(self._typed) > place:
            self._typed.pop()
        self._drop()
        self._typed.extend(behind)
        return True

    def _held(self) -> bool:
        """Whether the screen cannot take keys yet, or not the one that is first in line."""
        app: Any = self
        if not app.screen_stack or not app.screen.is_mounted:
            return True
        return not getattr(app.screen, "takes_keys", True) or self._waits()

    def _waits(self) -> bool:
        """Whether the key that is first in line waits for the end of what is under way on the screen."""
        app: Any = self
        waits_for = getattr(app.screen, "waits_for", None) if app.screen_stack else None
        first = self._typed[0] if self._typed else None
        return waits_for is not None and isinstance(first, events.Key) and waits_for(first.key)
