"""Following others in the tag editor: what they wrote into captions and journal, and what could not be written here."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.captions.journal.records import Record
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

FOLLOW_SECONDS = 1.0
"""How often the editor looks at what others wrote."""

WAIT_SECONDS = 0.02
"""How long to wait for captions that are being changed."""


class Following:
    """What other programs did to the captions that are open.

    Attributes:
        lost: the caption files that are not as they were edited here, since somebody asked the last time.
    """

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.lost: dict[str, None] = {}
        self._following = False

    def look(self) -> None:
        opening = self.screen.opening
        opening.keep_place()
        if opening.again and not opening.in_use:
            opening.again = False
            self.screen.workspace_changed(frozenset({"scan"}))
        if self.screen.editor is not None and not self.screen.busy and not self._following:
            self._following = True
            start_job(self.screen, self._look_at_others, "follow", alone=False)

    async def _look_at_others(self) -> None:
        screen, editor = self.screen, self.screen.editor
        try:
            if editor is None:
                return
            self.report(editor)
            records = await self._follow(editor)
            if editor is not screen.editor or not screen.query("#files"):
                return  # another folder was opened meanwhile, or the app is being left
            screen.reviews.follow()
            if screen.is_current:
                changed = await in_thread(editor.foreign, screen.panes.on_screen())
                if changed and editor is screen.editor and not screen.busy and editor.idle:
                    editor.corpus.refresh(changed)
            if screen.is_current and editor.idle and editor.asking.linter.is_behind:
                with contextlib.suppress(RuntimeError):  # captions changed meanwhile: the next look sees to it
                    await in_thread(editor.asking.linter.seek)
                    screen.panes.refresh_tags()
            behind = screen.is_current and screen.panes.revision != editor.corpus.revision and not screen.busy
            if records or behind:
                screen.panes.refresh_tags()
            if records:
                screen.conflicts.learn()
            if records and screen.is_current:
                newest = records[-1]
                screen.tell(
                    _("{author} changed captions: {operation}").format(
                        author=plain(newest.author, limit=20), operation=plain(newest.operation, limit=40)
                    ),
                    "muted",
                )
        except UserError as error:
            screen.tell(error_words(error), "error")
        finally:
            self._following = False

    async def _follow(self, editor: Editor) -> tuple[Record, ...]:
        """Read what others did in a thread, and take it in between keys."""
        news = await in_thread(editor.session.look)
        if editor is not self.screen.editor or self.screen.busy:
            return ()  # the next look finds it
        for _some in editor.session.take(news):
            await asyncio.sleep(0)
            while self.screen.busy:  # captions are being changed in a thread
                await asyncio.sleep(WAIT_SECONDS)
            if editor is not self.screen.editor:
                break
        return news.records

    def report(self, editor: Editor) -> None:
        """Say what could not be written."""
        lost = [one for one in editor.session.poll() if one.lost]
        for one in lost:
            self.lost |= dict.fromkeys(one.lost)
            if one.error is not None:
                self.screen.shell.notify_plain(error_words(one.error), "error")
            if one.conflicts:
                text = ngettext(
                    "{name}: another program changed it meanwhile; it was left as it is, and the edit waits: {key}",
                    "{name} and others, {count} in all: another program changed them; they were left as they are, "
                    "and the edits wait: {key}",
                    len(one.conflicts),
                )
                name, key = plain(one.conflicts[0], limit=60), self.screen.shell.keymap.shown("tags.conflicts")
                words = text.format(name=name, count=count(len(one.conflicts)), key=key)
                self.screen.shell.notify_plain(words, "warning")
            for name, reason in list(one.failures.items())[:3]:
                words = plain(name, limit=60) + ": " + _("it cannot be written: {reason}.").format(reason=plain(reason))
                self.screen.shell.notify_plain(words, "error")
        if lost:
            self.screen.conflicts.learn()
            self.screen.panes.refresh_tags()
