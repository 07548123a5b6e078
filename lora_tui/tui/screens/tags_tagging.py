"""Tagging from the tag editor: which of its images, and one edit of the captions that are open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.screens.tagging_flow import Parts, TaggingFlow
from lora_tui.tui.threads import in_thread

if TYPE_CHECKING:
    from lora_tui.captions.journal.writer import Transaction
    from lora_tui.tagging.kept import Kept
    from lora_tui.tui.screens.tagging_tune import Decision
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor


class Tagging:
    """Tagging on a screen of captions."""

    key = "tags.tag"

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self._flow = TaggingFlow(screen, self)

    def action_tag(self) -> None:
        self._flow.begin()

    # -- what the flow asks

    def _numbers(self, which: str) -> list[int]:
        editor = self.screen.editor
        if editor is None:
            return []
        if which == "marked":
            return sorted(editor.marks)
        if which == "shown":
            return list(editor.visible)
        entries = editor.corpus.entries
        return [one.number for one in entries if which == "all" or not one.tags]

    def numbers(self) -> Mapping[str, int]:
        editor = self.screen.editor
        found = {name: len(self._numbers(name)) for name in ("marked", "shown", "bare", "all")}
        return found if editor is not None and editor.shown is not None else found | {"shown": 0}

    def homes(self) -> Sequence[Path]:
        editor = self.screen.editor
        return [editor.session.home] if editor is not None else []

    async def open(self) -> Sequence[Editor]:
        return [self.screen.editor] if self.screen.editor is not None else []

    def chosen(self, which: str, editors: Sequence[Editor]) -> Parts:
        return [(editor, self._numbers(which)) for editor in editors]

    def scope(self, which: str) -> str:
        editor = self.screen.editor
        if which == "shown" and editor is not None:
            return f"where {editor.filter}"
        return {"marked": f"{len(self._numbers('marked'))} marked", "bare": "is:untagged"}.get(which, "all")

    async def write(self, kept: Kept, decision: Decision, author: str, scope: str) -> None:
        screen, editor = self.screen, self.screen.editor
        if editor is None or kept.corpora != (editor.corpus,):
            screen.tell(_("Another folder was opened meanwhile; the answers are kept."), "warning")
            return

        def act() -> tuple[int, int, Transaction | None]:
            editor.session.follow()
            editor.corpus.refresh([image.number for image in kept.images])
            for preview in kept.previews(decision.request, without=decision.without, scope=scope):
                return preview.images, len(preview.refused), editor.session.apply(preview, author)
            return 0, 0, None

        screen.work(_("Writing captions."))
        try:
            images, refused, transaction = await in_thread(act)
        finally:
            screen.work("")
        screen.panes.refresh_tags()
        if transaction is None:
            screen.tell(_("Every caption is as the models say already."), "muted")
            return
        editor.under_way.append(transaction)
        images -= len(transaction.conflicts)
        text = ngettext("{models}: {count} caption written", "{models}: {count} captions written", images)
        words = text.format(models=plain(author.partition(":")[2], limit=40), count=count(images))
        if refused:
            words += _(", ") + _("{count} could not be changed").format(count=count(refused))
        key = screen.shell.keymap.shown("tags.undo")
        screen.tell(_("{done}   {key} undo").format(done=words, key=key), "success")
        screen.refresh_keys()

    def close(self) -> None:
        """The captions stay open: they are the screen's."""
