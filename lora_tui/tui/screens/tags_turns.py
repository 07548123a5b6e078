"""Undo and redo in the tag editor: one transaction after the other, however fast the key is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lora_tui.captions.history import story
from lora_tui.errors import UserError
from lora_tui.text import N_, _, count, ngettext, plain
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor, Turned

MOST_TURNS = 10_000
"""Transactions that one command takes back or brings back at most."""

_WORDS = {"undo": N_("undoing"), "redo": N_("bringing back")}


class Turns:
    """Transactions taken back and brought back, in the order of the keys.

    Attributes:
        turning: whether one is under way; more of them wait in line here, and not among the keys.
    """

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self._turns: list[Literal["undo", "redo"]] = []
        self.turning = False

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    def action_undo(self) -> None:
        self.turn("undo")

    def action_redo(self) -> None:
        self.turn("redo")

    def turn(self, way: Literal["undo", "redo"], steps: int = 1) -> None:
        """Take transactions back or bring them back, one after the other; keys pressed meanwhile wait in line."""
        if self.screen.edits.pending is not None:
            self.screen.edits.discard()
            return
        self._turns += [way] * min(steps, MOST_TURNS)
        if not self.turning and not self.screen.busy:
            self.turning = True
            self.screen.work(_(_WORDS[way]), quiet=True)
            start_job(self.screen, self._turn, "turn", alone=False)

    def stop(self) -> None:
        """Esc: what has not begun stays as it is."""
        self._turns.clear()

    async def turn_all(self, way: Literal["undo", "redo"]) -> None:
        """Take back all that was done since the folder was opened, or bring back all that was undone."""
        try:
            steps = await in_thread(self._editor.turns, way)
        except UserError as error:
            self.screen.tell(error_words(error), "error")
            return
        if steps:
            self.turn(way, steps)
        else:
            none = _("There is nothing to undo.") if way == "undo" else _("There is nothing to redo.")
            self.screen.tell(none, "muted")

    async def _turn(self) -> None:
        said, tone = "", "success"
        try:
            while self._turns:
                way = self._turns.pop(0)
                self.screen.work(_(_WORDS[way]), quiet=True)
                turned = await in_thread(self._editor.turn, way)
                operation = ""
                if turned.record is not None:
                    operation = plain(story(self._editor.session.journal, turned.record), limit=40)
                files = ngettext("{count} file", "{count} files", turned.files).format(count=count(turned.files))
                if turned.elsewhere:  # nothing of it can be seen here
                    files += " (" + plain(" ".join(turned.elsewhere), limit=24) + ")"
                text = _("undone in {files}: {operation}") if way == "undo" else _("again in {files}: {operation}")
                said = text.format(files=files, operation=operation)
                if turned.left:
                    tone, said = "warning", said + _left_words(turned)
                if turned.why:  # the next one would try the same again
                    self._turns.clear()
        except UserError as error:
            self._turns.clear()
            said, tone = said or error_words(error), tone if said else "warning"
        finally:
            self.turning = False
            self.screen.work("")
        self.screen.panes.refresh_tags()
        self.screen.tell(said, tone)
        self.screen.conflicts.learn()


def _left_words(turned: Turned) -> str:
    """What was left as it was, and why."""
    left = ngettext("{count} file is left as it was", "{count} files are left as they were", turned.left)
    words = _(", ") + left.format(count=count(turned.left))
    if turned.why:
        words += _(": {reason}; the same key tries again").format(reason=turned.why)
    return words
