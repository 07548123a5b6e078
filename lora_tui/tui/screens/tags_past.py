"""What looks back in the tag editor: the history, taking parts of it back, and what is different on disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import localtime, strftime
from typing import TYPE_CHECKING

from lora_tui.captions.history import revert, revert_file, story
from lora_tui.captions.journal.writer import Transaction
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.tags.past import differing, in_words, undo_tag
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Choice, Choose
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

LISTED = 2000
"""Transactions and files that are listed at most."""


class Past:
    """The journal and the disk, compared with what is shown."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    # -- history

    def action_history(self) -> None:
        self.screen.guide(self._history)

    async def _history(self) -> None:
        editor = self._editor
        await in_thread(editor.settle)
        records = await in_thread(editor.session.journal.records)
        if not records:
            self.screen.tell(_("Nothing was done to these captions yet."), "muted")
            return
        choices = []
        for record in reversed(records[-LISTED:]):
            when = strftime("%m-%d %H:%M", localtime(record.time))
            label = f"{record.number} {when} {plain(record.author, limit=12)}"
            files = ngettext("{count} file", "{count} files", record.files).format(count=count(record.files))
            words = plain(story(editor.session.journal, record), limit=80)
            choices.append(Choice(record.number, label, f"{files}  {words}"))
        detail = _("Enter undoes that one transaction and leaves what came later.")
        number = await self.screen.app.push_screen_wait(
            Choose(_("History"), choices, detail=detail, accept=_("undo it"))
        )
        if number is not None:
            self.revert(number)

    def revert(self, number: int) -> None:
        """Take one transaction back, whatever came after it."""
        editor = self._editor
        self._start(partial(revert, editor.session, number, editor.author))

    def action_undo_file(self) -> None:
        """Take back the last change of the caption under the cursor alone."""
        editor, number = self._editor, self.screen.panes.number
        if number >= 0:
            name = editor.session.journal_name(editor.entry(number).caption_name)
            self._start(partial(revert_file, editor.session, name, editor.author))

    def action_undo_tag(self) -> None:
        self.undo_tag(self.screen.panes.tag)

    def undo_tag(self, tag: str) -> None:
        """Take back what was done with a tag since the folder was opened; when that is nothing, what was done last."""
        editor = self._editor
        self._start(partial(undo_tag, editor, tag))

    def _start(self, function: Callable[[], Transaction]) -> None:
        if not self.screen.busy:
            self.screen.work(_("undoing"), quiet=True)
            start_job(self.screen, partial(self._take_back, function), "take-back", alone=False)

    async def _take_back(self, function: Callable[[], Transaction]) -> None:
        """Take something back, in a thread: it waits for the disk."""
        editor = self._editor
        try:
            done = await in_thread(function)
        except UserError as error:
            self.screen.tell(error_words(error), "warning")
            return
        finally:
            self.screen.work("")
        editor.under_way.append(done)
        self.screen.panes.refresh_tags()
        files = ngettext("{count} file", "{count} files", len(done.changes)).format(count=count(len(done.changes)))
        what = plain(str(done.head.get("operation", "")), limit=60)
        words = _("{operation}: {files}").format(operation=what, files=files)
        if done.conflicts:
            words += _(", ") + _("{count} could not be changed").format(count=count(len(done.conflicts)))
        key = self.screen.shell.keymap.shown("tags.undo")
        self.screen.tell(_("{done}   {key} undo").format(done=words, key=key), "success")

    # -- the disk

    def action_diff(self) -> None:
        self.screen.guide(self._diff)

    async def _diff(self) -> None:
        editor = self._editor
        self.screen.tell(_("Comparing with the files on disk."), "muted")
        found = await in_thread(differing, editor)
        if not found:
            self.screen.tell(_("Every caption on disk is as it is shown here."), "success")
            return
        choices = [
            Choice(number, plain(editor.entry(number).caption_name, limit=40), in_words(editor.entry(number).raw, raw))
            for number, raw in list(found.items())[:LISTED]
        ]
        title = ngettext("{count} caption differs on disk", "{count} captions differ on disk", len(found))
        detail = _("Another program wrote them: - is shown here, + is on disk. Enter reads them all again.")
        number = await self.screen.app.push_screen_wait(
            Choose(title.format(count=count(len(found))), choices, detail=detail, accept=_("read again"))
        )
        if number is not None and editor is self.screen.editor and editor.idle:
            editor.corpus.refresh(found)
            self.screen.panes.show_all(number if editor.place_of(number) >= 0 else None)
