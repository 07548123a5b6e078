"""Opening a folder in the tag editor, again when images came or went, with what was chosen kept by its name."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.captions.profile import OURS
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext
from lora_tui.tui.tags.editor import Editor
from lora_tui.tui.threads import in_thread, keep_from_collection, start_job
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.virtual_list import VirtualList
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen


class Opening:
    """Which folder is open.

    Attributes:
        root: the folder; none when the project has no dataset.
        reading: whether its captions are being read.
        problem: why it could not be opened.
        wanted: the image to go to once it is open.
        again: whether images came or went while something was under way.
    """

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.root: Path | None = None
        self.reading = False
        self.problem = ""
        self.wanted = ""
        self.again = False
        self._stop = threading.Event()

    def close(self) -> None:
        """Give up what is being read; leave what is open."""
        self._stop.set()
        if self.screen.editor is not None:
            self.screen.editor.close()

    def open_folder(self, root: Path | None) -> None:
        """Edit the captions of another folder."""
        self.root = root
        self.reading = root is not None
        self.problem = ""
        start_job(self.screen, partial(self._open, root), "open")

    async def _open(self, root: Path | None) -> None:
        old, self.screen.editor = self.screen.editor, None
        self._stop.set()
        stop = self._stop = threading.Event()
        kept = _Kept.of(old, self.screen.panes.number) if old is not None and old.corpus.root == root else None
        self.screen.panes.show_all()
        if old is not None:
            await in_thread(old.close)
        if root is None:
            return
        config, project = self.screen.workspace.config, self.screen.workspace.project
        profile, shuffle, limit, trigger = OURS, None, 75, project.trigger if project else ""
        if config is not None:
            from dataclasses import replace

            profile = replace(OURS, keep_tokens=config.captions.keep_tokens)
            shuffle = config.captions.shuffle
            trigger = config.saving.trigger or trigger

        def progress(found: int) -> None:
            self.screen.app.call_later(self._progress, root, found)

        def work() -> Editor:
            return Editor.open(
                root,
                profile=profile,
                trigger=trigger,
                shuffle=shuffle,
                limit=limit,
                data=config.data if config is not None else None,
                on_progress=progress,
                should_stop=stop.is_set,
            )

        try:
            editor = await in_thread(work)
        except UserError as error:
            self.problem = error_words(error)
            self._opened()
            self.screen.query_one("#files", VirtualList).set_count(0, empty=self.problem)
            self.screen.say()
            self.screen.tell(self.problem, "error")
            return
        if stop.is_set():
            editor.close()
            return
        keep_from_collection()
        self.screen.editor = editor
        self.screen.again.load_quick()
        self._welcome(editor, kept)
        self._opened()

    def _opened(self) -> None:
        """What was typed while the captions were read is done now."""
        self.reading = False
        self.screen.call_later(self.screen.shell.give_keys)

    def _welcome(self, editor: Editor, kept: _Kept | None) -> None:
        """Show a folder that was opened, with what was chosen before it was read again."""
        if kept is not None:
            kept.give(editor)
        name = self.wanted or (kept.cursor if kept else "")
        self.wanted = ""
        self.screen.panes.show_all(editor.corpus.number_of(name) if name else None)
        for error in editor.asking.problems:
            self.screen.shell.notify_plain(error_words(error), "warning")
        finished = len(editor.session.recovery.records)
        if finished:
            text = ngettext(
                "{number} edit that was interrupted has been brought to its end.",
                "{number} edits that were interrupted have been brought to their end.",
                finished,
            )
            self.screen.tell(text.format(number=count(finished)), "success")
        self.screen.refresh_keys()

    def _progress(self, root: Path, found: int) -> None:
        if self.screen.editor is None and root == self.root:
            self.screen.query_one("#files", VirtualList).set_empty(
                _("Reading captions: {count} so far.").format(count=count(found))
            )

    async def look_for_images(self) -> None:
        """Open the folder again when images came or went; captions alone are followed one by one."""
        editor, images = self.screen.editor, self.screen.workspace.images
        if editor is None or images is None or self.in_use:
            self.again = images is not None
            return
        root = editor.corpus.root

        def differ() -> bool:
            there = {str(image.path) for image in images.scan.images if image.path.is_relative_to(root)}
            known = {f"{root}/{entry.name}" for entry in editor.corpus.entries}
            return not there <= known or any(not Path(gone).exists() for gone in known - there)

        if await in_thread(differ) and editor is self.screen.editor:
            if self.in_use:
                self.again = True
            else:
                self.open_folder(root)

    @property
    def in_use(self) -> bool:
        """Whether something is under way that reading the folder again would break off."""
        screen = self.screen
        waits = bool(screen.busy) or screen.edits.pending is not None
        return waits or screen.query_one(Prompt).is_open or not screen.is_current


class _Kept:
    """What was chosen, by names, while a folder is read again."""

    def __init__(self, marks: frozenset[str], text: str, cursor: str) -> None:
        self.marks, self.filter, self.cursor = marks, text, cursor

    @classmethod
    def of(cls, editor: Editor, cursor: int) -> _Kept:
        marks = frozenset(editor.entry(number).name for number in editor.marks)
        return cls(marks, editor.filter, editor.entry(cursor).name if cursor >= 0 else "")

    def give(self, editor: Editor) -> None:
        """Choose the same in another editor of the folder."""
        found = (editor.corpus.number_of(name) for name in self.marks)
        editor.marks = {number for number in found if number is not None}
        try:
            editor.show(self.filter, editor.select(self.filter))
        except UserError:
            editor.show("", None)
