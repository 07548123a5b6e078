"""The tag editor: files, tags, vocabulary and picture of one dataset folder; every edit is journalled and undone.

This file composes, reads and follows; what edits is in ``tags_edit``, what finds in ``tags_find``, what guides
(problems, prune assistant, sweep, history) in ``tags_guides``. The engine is ``lora_tui.captions``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from lora_tui.captions.profile import OURS
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.tags_edit import Edits
from lora_tui.tui.screens.tags_find import Finding
from lora_tui.tui.screens.tags_guides import Guides
from lora_tui.tui.screens.tags_look import Look
from lora_tui.tui.screens.tags_panes import TAG_COLUMNS, Panes
from lora_tui.tui.screens.tags_past import Past
from lora_tui.tui.tags.editor import Editor
from lora_tui.tui.threads import in_thread, keep_from_collection, start_job
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words
from lora_tui.tui.workspace import Change

FOLLOW_SECONDS = 1.0
"""How often the editor looks at what others wrote."""

FREE = frozenset(
    {"undo", "redo", "open", "view", "zoom", "save", "keymap", "scope", "pane-left", "pane-right", "next-pane"}
    | {"previous-pane", "next-image", "previous-image", "history"}
)
"""What can be done while an edit of very many captions is under way, or its preview waits for an answer."""

FILE_COLUMNS = (
    Column(1),
    Column(10, share=1, cut="middle"),
    Column(5, align="right"),
    Column(5, align="right", since=30),
    Column(4),
)
WORD_COLUMNS = (Column(12, share=1), Column(7, align="right"), Column(7, align="right"), Column(8, since=38))


class TagsScreen(BaseScreen):
    """Captions of one dataset folder."""

    ACTS = "tags"
    CSS_PATH = "tags.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.editor: Editor | None = None
        self.busy = ""
        self.root: Path | None = None
        self._wanted: str = ""
        self._stop = threading.Event()
        self._opening = False
        self._guiding: set[object] = set()
        self._problem = ""
        self._look_again = False
        self._following = False
        self._unsaid: list[UserError] = []
        self.panes = Panes(self)
        self.look = Look(self)
        self.finding = Finding(self)
        self.edits = Edits(self)
        self.guides = Guides(self)
        self.past = Past(self)

    @property
    def takes_keys(self) -> bool:
        known = self.workspace.config is not None or bool(self.workspace.trouble)
        return super().takes_keys and known and not self._opening and not self._guiding

    def doers(self) -> tuple[object, ...]:
        return self, self.edits, self.finding, self.guides, self.past

    # -- composing

    def compose_body(self) -> ComposeResult:
        panes = self.panes
        with Horizontal(id="upper"):
            with Vertical(id="files-pane"):
                yield Lines(id="files-title", classes="pane-title")
                yield VirtualList(FILE_COLUMNS, panes.file_cells, gap=1, id="files")
            with Vertical(id="tags-pane"):
                yield Lines(id="tags-title", classes="pane-title")
                yield VirtualList(TAG_COLUMNS, panes.tag_cells, gap=1, id="tags")
        with Horizontal(id="lower"):
            with Vertical(id="vocab-pane"):
                yield Lines(id="vocab-title", classes="pane-title")
                yield VirtualList(WORD_COLUMNS, panes.word_cells, gap=1, id="vocab")
            with Vertical(id="look-pane"):
                yield Lines(id="look-title", classes="pane-title")
                with Vertical(id="look"):
                    yield ImageView(id="picture")
                    yield Lines(id="facts")
                    yield VirtualList([Column(10, share=1)], self.look.cells, marker=False, quiet=True, id="caption")
        with Vertical(id="pending-pane"):
            yield Lines(id="pending-title", classes="pane-title")
            yield VirtualList(
                [Column(14, share=1, most=26, cut="middle"), Column(30, share=5)],
                self.edits.pending_cells,
                gap=1,
                quiet=True,
                id="pending",
            )
        yield Prompt(id="prompt")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#caption", VirtualList).can_focus = False
        self.set_interval(FOLLOW_SECONDS, self._follow)

    def on_unmount(self) -> None:
        self._stop.set()
        if self.editor is not None:
            self.editor.close()

    # -- opening

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if not self.query("#prompt"):
            return
        if changed & {"project", "config", "scan"}:
            roots = self.roots()
            wanted = self.root if self.root in roots else (roots[0] if roots else None)
            if wanted != self.root:
                self.open_folder(wanted)
            elif "scan" in changed and self.editor is not None:
                self.look.forget_facts()
                start_job(self, self._look_for_images, "images")
            self.look.show_facts()
        self.say()
        self.call_later(self.shell.give_keys)

    def roots(self) -> list[Path]:
        """The folders of the project's datasets."""
        config = self.workspace.config
        return [Path(entry.path) for entry in config.datasets if entry.path] if config is not None else []

    def open_folder(self, root: Path | None) -> None:
        """Edit the captions of another folder."""
        self.root = root
        self._opening = root is not None
        self._problem = ""
        start_job(self, partial(self._open, root), "open")

    async def _open(self, root: Path | None) -> None:
        old, self.editor = self.editor, None
        self._stop.set()
        stop = self._stop = threading.Event()
        kept = _Kept.of(old, self.panes.number) if old is not None and old.corpus.root == root else None
        self.panes.show_all()
        if old is not None:
            await in_thread(old.close)
        if root is None:
            return
        config, project = self.workspace.config, self.workspace.project
        profile, shuffle, limit, trigger = OURS, None, 75, project.trigger if project else ""
        if config is not None:
            from dataclasses import replace

            profile = replace(OURS, keep_tokens=config.captions.keep_tokens)
            shuffle = config.captions.shuffle
            trigger = config.saving.trigger or trigger

        def progress(found: int) -> None:
            self.app.call_later(self._progress, root, found)

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
            self._problem = error_words(error)
            self._opened()
            self.query_one("#files", VirtualList).set_count(0, empty=self._problem)
            self.say()
            self.tell(self._problem, "error")
            return
        if stop.is_set():
            editor.close()
            return
        keep_from_collection()
        self.editor = editor
        self.guides.load_quick()
        self._welcome(editor, kept)
        self._opened()

    def _opened(self) -> None:
        """What was typed while the captions were read is done now."""
        self._opening = False
        self.call_later(self.shell.give_keys)

    def _welcome(self, editor: Editor, kept: _Kept | None) -> None:
        """Show a folder that was opened, with what was chosen before it was read again."""
        if kept is not None:
            kept.give(editor)
        name = self._wanted or (kept.cursor if kept else "")
        self._wanted = ""
        self.panes.show_all(editor.corpus.number_of(name) if name else None)
        for error in editor.asking.problems:
            self.shell.notify_plain(error_words(error), "warning")
        finished = len(editor.session.recovery.records)
        if finished:
            text = ngettext(
                "{number} edit that was interrupted has been brought to its end.",
                "{number} edits that were interrupted have been brought to their end.",
                finished,
            )
            self.tell(text.format(number=count(finished)), "success")
        self.refresh_keys()

    def _progress(self, root: Path, found: int) -> None:
        if self.editor is None and root == self.root:
            self.query_one("#files", VirtualList).set_empty(
                _("Reading captions: {count} so far.").format(count=count(found))
            )

    async def _look_for_images(self) -> None:
        """Open the folder again when images came or went; captions alone are followed one by one."""
        editor, images = self.editor, self.workspace.images
        if editor is None or images is None or self._in_use:
            self._look_again = images is not None
            return
        root = editor.corpus.root

        def differ() -> bool:
            there = {str(image.path) for image in images.scan.images if image.path.is_relative_to(root)}
            known = {f"{root}/{entry.name}" for entry in editor.corpus.entries}
            return not there <= known or any(not Path(gone).exists() for gone in known - there)

        if await in_thread(differ) and editor is self.editor:
            if self._in_use:
                self._look_again = True
            else:
                self.open_folder(root)

    @property
    def _in_use(self) -> bool:
        """Whether something is under way that reading the folder again would break off."""
        return (
            bool(self.busy) or self.edits.pending is not None or self.query_one(Prompt).is_open or not self.is_current
        )

    def go_to(self, place: str) -> None:
        editor = self.editor
        if editor is None:
            self._wanted = place.rpartition("/")[2]
            return
        path = Path(place)
        name = path.relative_to(editor.corpus.root).as_posix() if path.is_relative_to(editor.corpus.root) else place
        number = editor.corpus.number_of(name)
        if number is not None:
            editor.show("", None)
            self.panes.show_all(number)

    # -- following others

    def _follow(self) -> None:
        if self._look_again and not self._in_use:
            self._look_again = False
            start_job(self, self._look_for_images, "images")
        if self.editor is not None and not self.busy and not self._following:
            self._following = True
            start_job(self, self._look_at_others, "follow", alone=False)

    async def _look_at_others(self) -> None:
        editor = self.editor
        try:
            if editor is None:
                return
            self.report(editor)
            records = editor.session.follow()
            if self.is_current:
                changed = await in_thread(editor.foreign, self.panes.on_screen())
                if changed and editor is self.editor and not self.busy and editor.idle:
                    editor.corpus.refresh(changed)
            if records or (self.is_current and self.panes.revision != editor.corpus.revision and not self.busy):
                self.panes.refresh_tags()
            if records and self.is_current:
                newest = records[-1]
                self.tell(
                    _("{author} changed captions: {operation}").format(
                        author=plain(newest.author, limit=20), operation=plain(newest.operation, limit=40)
                    ),
                    "muted",
                )
        except UserError as error:
            self.tell(error_words(error), "error")
        finally:
            self._following = False

    def report(self, editor: Editor) -> None:
        """Say what could not be written."""
        lost = [one for one in editor.session.poll() if one.lost]
        for one in lost:
            if one.error is not None:
                self.shell.notify_plain(error_words(one.error), "error")
            if one.conflicts:
                text = ngettext(
                    "{name}: another program changed it meanwhile; it was left as it is.",
                    "{name} and others, {count} in all: another program changed them; they were left as they are.",
                    len(one.conflicts),
                )
                name = plain(one.conflicts[0], limit=60)
                self.shell.notify_plain(text.format(name=name, count=count(len(one.conflicts))), "warning")
            for name, reason in list(one.failures.items())[:3]:
                words = plain(name, limit=60) + ": " + _("it cannot be written: {reason}.").format(reason=plain(reason))
                self.shell.notify_plain(words, "error")
        if lost:
            self.panes.refresh_tags()

    # -- status

    def say(self) -> None:
        """The status line: scope and filter."""
        editor = self.editor
        if editor is None:
            self.set_status(self._problem or (_("Reading captions.") if self.root else _("No images yet.")))
            return
        if self.busy:
            self.set_status(self.busy)
            return
        text = _("SCOPE {scope}").format(scope=editor.stretch(self.panes.number).spoken)
        text += "   " + _("FILTER {filter}").format(filter=plain(editor.filter, limit=60) or _("none"))
        right = []
        if editor.recorder.recording:
            right.append(_("recording {count}").format(count=len(editor.recorder.macro)))
        if editor.marks and editor.scope != "here":
            right.append(_("{count} marked").format(count=count(len(editor.marks))))
        self.set_status(text, "  ".join(right))

    def key_hints(self) -> list[KeyHint]:
        prompt = self.query_one(Prompt)
        if prompt.is_open:
            return prompt.hints()
        return self.edits.hints() if self.edits.pending is not None else super().key_hints()

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if self.editor is None:
            return "" if name in ("keymap", "folder") else self._problem or _("The captions are being read.")
        if name in FREE:
            return ""
        if self.busy:
            return _("Still at work on the last edit; Esc stops what has not begun.")
        if self.edits.pending is not None:
            return _("Enter applies what is shown here, Esc leaves it.")
        return self.edits.refusal(name)

    def go_back(self) -> bool:
        prompt = self.query_one(Prompt)
        if prompt.is_open:
            self.finding.leave_prompt()
        elif self.busy or self._guiding:
            self.edits.stop()
            self.workers.cancel_group(self, "guide")
            self._guiding.clear()  # one that had not begun never ends
        elif self.edits.pending is not None:
            self.edits.discard()
        elif self.has_class("-zoom"):
            self.finding.action_zoom()
        elif self.panes.words:
            self.panes.find("")
        elif self.editor is not None and self.editor.filter:
            self.finding.take_filter("", None)
        elif self.editor is not None and self.editor.marks:
            self.finding.action_mark_none()
        else:
            return False
        return True

    # -- from the widgets

    @on(VirtualList.Moved, "#files")
    def _file_moved(self) -> None:
        self.panes.file_moved()

    @on(VirtualList.Moved, "#tags")
    def _tag_moved(self, event: VirtualList.Moved) -> None:
        self.panes.tag_moved(event.index)

    @on(VirtualList.Chosen)
    async def _chosen(self) -> None:
        await self.action_act("tags.open")

    @on(Prompt.Typed)
    def _typed(self, event: Prompt.Typed) -> None:
        event.stop()
        self.finding.typed(event.text)

    @on(Prompt.Done)
    async def _done(self, event: Prompt.Done) -> None:
        event.stop()
        await self.finding.done(event.text)

    @on(Lines.Resized, "#facts")
    def _resized_facts(self) -> None:
        self.look.show_facts()

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        self.panes.show_titles()

    def guide(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a job that ends in a dialog or a preview; what is typed before that is there waits for it."""

        async def guided() -> None:
            try:
                await job()
            finally:
                self._guiding.discard(guided)
                self.call_later(self.shell.give_keys)

        self._guiding.add(guided)
        start_job(self, guided, "guide", alone=False)

    def later(self, function: Callable[..., object], *given: object) -> None:
        """Call a function on the event loop."""
        self.app.call_later(function, *given)

    def words(self, *cells: Cell | str) -> list[Cell]:
        """A line of cells."""
        return [cell if isinstance(cell, Cell) else Cell(cell) for cell in cells]


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
