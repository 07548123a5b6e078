"""What a screen was asked for belongs to it: it never appears over another one that was gone to meanwhile.

A question that is prepared from files may be ready long after its key. Where its screen is not in front any more, it is
not asked, and a notice says so; a text to read is kept until its screen is seen again. A mixin of the app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from textual.await_complete import AwaitComplete
from textual.screen import Screen
from textual.worker import active_worker

from lora_tui.text import _, plain
from lora_tui.tui.screens import entry_of
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.task_list import TaskList
from lora_tui.tui.widgets.finder import Finder
from lora_tui.tui.widgets.text_view import TextView

OVER_ALL = (Finder, TaskList)
"""What the app puts over any screen: the lists of keys and commands, and the work in the background."""


class Belonging:
    """Puts screens over others only where they were asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._unread: WeakKeyDictionary[Screen[Any], Callable[[], Any]] = WeakKeyDictionary()
        super().__init__(*args, **kwargs)

    def push_screen(self, screen: Any, callback: Any = None, wait_for_dismiss: bool = False, **named: Any) -> Any:
        """As Textual's, but where a job asks whose screen is not in front any more: that counts as Esc."""
        app: Any = self
        asker = _asker()
        if asker is None or not self.was_left():
            return super().push_screen(screen, callback, wait_for_dismiss, **named)  # type: ignore[misc]
        if isinstance(screen, TextView) and not wait_for_dismiss and asker.is_attached:
            self._unread[asker] = lambda: app.push_screen(screen, callback)
            self._say_left(_("Ready to read on {screen}: {what}"), asker, screen)
            return AwaitComplete.nothing()  # type: ignore[no-untyped-call]
        self._say_left(_("Not asked, for {screen} is not in front any more: {what}"), asker, screen)
        if wait_for_dismiss:
            answer = asyncio.get_running_loop().create_future()
            answer.set_result(None)
            return answer
        if callback is not None:
            app.call_later(callback, None)
        return AwaitComplete.nothing()  # type: ignore[no-untyped-call]

    def was_left(self) -> bool:
        """Whether the job at work now was started by a screen that is not in front any more.

        It is behind dialogs of its own, but not behind those of the app.
        """
        app: Any = self
        asker, stack = _asker(), app.screen_stack
        if asker is None or not stack:
            return False
        return asker not in stack or any(isinstance(one, OVER_ALL) for one in stack[stack.index(asker) + 1 :])

    def show_kept(self, asker: Screen[Any]) -> None:
        """Show what became ready while ``asker`` was not in front."""
        show = self._unread.pop(asker, None)
        if show is not None:
            show()

    def _say_left(self, text: str, asker: Screen[Any], screen: Any) -> None:
        app: Any = self
        entry = entry_of(asker.ACTS) if isinstance(asker, BaseScreen) else None
        if asker.is_attached:
            name = _(entry.title) if entry is not None else _("its screen")
            what = plain(getattr(screen, "asks", ""), limit=120) or "…"
            app.notify(text.format(what=what, screen=name), markup=False)


def _asker() -> Screen[Any] | None:
    """The screen for which the job at work now was started; none where no job asks, or one of the app."""
    worker: Any = active_worker.get(None)
    if worker is None or worker._task is not asyncio.current_task():
        return None  # a key or a message asks, and these are only given to what is in front
    node = worker.node
    while node is not None and not isinstance(node, Screen):
        node = node._parent  # of one that was taken down, nothing leads to its screen
    return node
