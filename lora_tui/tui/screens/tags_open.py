"""Opening a folder in the tag editor, again when images came or went, with what was chosen kept by its name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.captions.as_trained import rules_for
from lora_tui.captions.corpus import CAPTION_EXTENSIONS
from lora_tui.captions.journal.log import HOME, home_of
from lora_tui.captions.profile import OURS
from lora_tui.captions.variants import Variant
from lora_tui.config.entries import dataset_at, settings_of
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext
from lora_tui.tui.tags.editor import Editor
from lora_tui.tui.tags.kept import load_ending, load_place, save_place
from lora_tui.tui.threads import in_thread, keep_from_collection, start_job
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.virtual_list import VirtualList
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen

STAYS = 20_000
"""Captions that stay in memory and on the screen while others of the same images are read."""


class Opening:
    """Which folder is open, and which of its captions.

    Attributes:
        root: the folder; none when the project has no dataset.
        variant: which of the captions of an image; none until the folder says with which it begins.
        extensions: the endings of captions that the trainer looks for.
        reading: whether its captions are being read.
        problem: why it could not be opened.
        wanted: the image to go to once it is open.
        again: whether images came or went, or another folder is meant, since something is under way.
    """

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.root: Path | None = None
        self.variant: Variant | None = None
        self.extensions: tuple[str, ...] = CAPTION_EXTENSIONS
        self.reading = False
        self.problem = ""
        self.wanted = ""
        self.again = False
        self._stop = threading.Event()
        self._place: tuple[Path, str] | None = None
        self._kept: tuple[Path, str] | None = None
        self._rests = False

    def close(self) -> None:
        """Give up what is being read; leave what is open."""
        self._stop.set()
        if self.screen.editor is not None:
            if self._place is not None:
                save_place(*self._place)
            self.screen.editor.close()

    def note_place(self) -> None:
        """The cursor is on another image: that is where the folder is opened again."""
        editor, number = self.screen.editor, self.screen.panes.number
        if editor is not None and number >= 0:
            self._place, self._rests = (editor.corpus.root, editor.entry(number).name), False

    def keep_place(self) -> None:
        """Write down where the cursor is once it rests: a terminal that breaks off leaves no time for it."""
        if self._place is not None and self._rests and self._place != self._kept:
            self._kept = self._place
            start_job(self.screen, partial(in_thread, save_place, *self._place), "place", alone=False)
        self._rests = True

    def open_folder(self, root: Path | None, variant: Variant | None = None) -> None:
        """Edit the captions of a folder: those of a variant, else those that were edited there last."""
        if variant is not None or root != self.root:
            self.variant = variant
        self.root = root
        self.reading = root is not None
        self.problem = ""
        start_job(self.screen, partial(self._open, root), "open")

    async def _open(self, root: Path | None) -> None:
        screen, old = self.screen, self.screen.editor
        self._stop.set()
        stop = self._stop = threading.Event()
        kept = Kept.of(old, screen.panes.number) if old is not None and old.corpus.root == root else None
        if old is not None and kept is not None and len(old.corpus.entries) <= STAYS:
            screen.work(_("Reading captions."))  # and what was read before stays on the screen
        else:
            screen.editor = None
            screen.panes.show_all()
        try:
            if old is not None:
                await in_thread(old.close)
            editor = await in_thread(self._reader(root, stop)) if root is not None else None
        except UserError as error:
            screen.editor = None
            self.problem = error_words(error)
            self._opened()
            screen.panes.show_all()
            screen.query_one("#files", VirtualList).set_count(0, empty=self.problem)
            screen.tell(self.problem, "error")
            return
        if editor is None:
            return
        if stop.is_set():
            editor.close()
            return
        keep_from_collection()
        if kept is not None:
            await in_thread(kept.give, editor)  # before anybody sees it: a filter may take its time
            if stop.is_set():
                editor.close()
                return
        screen.editor, self.variant = editor, editor.variant
        screen.again.load_quick()
        self._welcome(editor, kept)
        self._opened()
        screen.variants.learn()
        screen.prose.learn()
        screen.conflicts.learn()
        screen.reviews.learn()

    def _reader(self, root: Path, stop: threading.Event) -> Callable[[], Editor]:
        """What reads the captions of a folder, in a thread."""
        config, project = self.screen.workspace.config, self.screen.workspace.project
        profile, trigger, own = OURS, project.trigger if project else "", None
        if config is not None:
            dataset = dataset_at(config, root)
            own = settings_of(config, dataset)
            profile = rules_for(config, dataset).profile
            trigger = config.saving.trigger or trigger
            self.extensions = tuple(own.captions.extensions)
        wanted, extensions = self.variant, self.extensions

        def progress(found: int) -> None:
            self.screen.app.call_later(self._progress, root, found)

        def read(variant: Variant) -> Editor:
            return Editor.open(
                root,
                profile=profile,
                variant=variant,
                extensions=extensions,
                trigger=trigger,
                shuffle=own.captions.shuffle if own is not None else None,
                data=own.data if own is not None else None,
                on_progress=progress,
                should_stop=stop.is_set,
            )

        def work() -> Editor:
            if wanted is not None:
                return read(wanted)
            editor = read(Variant(load_ending(home_of(root) / HOME)))
            if editor.variant.ending and all(entry.raw is None for entry in editor.corpus.entries):
                editor.close()  # they were edited first once, and none is left
                return read(Variant())
            return editor

        return work

    def _opened(self) -> None:
        """What was typed while the captions were read is done now."""
        self.reading = False
        self.screen.work("")
        self.screen.resume_keys()

    def _welcome(self, editor: Editor, kept: Kept | None) -> None:
        """Show a folder that was opened, with what was chosen before it was read again."""
        name = self.wanted or (kept.cursor if kept else "") or load_place(editor.corpus.root)
        self.wanted = ""
        self.screen.panes.show_all(editor.corpus.number_of(name) if name else None)
        for error in (*editor.session.journal.faults(), *editor.asking.problems):
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
        waits = bool(screen.busy) or screen.edits.pending is not None or screen.is_guiding
        return waits or screen.query_one(Prompt).is_open or not screen.is_current


@dataclass(frozen=True)
class Kept:
    """What was chosen in a folder that is read again, by the names of its images; and what can be repeated."""

    editor: Editor
    marks: frozenset[str]
    shown: frozenset[str] | None
    cursor: str

    @classmethod
    def of(cls, editor: Editor, cursor: int) -> Kept:
        """What is chosen now, with the number of the image under the cursor."""
        names = [entry.name for entry in editor.corpus.entries]
        shown = None if editor.shown is None else frozenset(names[number] for number in editor.shown)
        return cls(editor, frozenset(names[n] for n in editor.marks), shown, names[cursor] if cursor >= 0 else "")

    def give(self, editor: Editor) -> None:
        """Choose the same in another editor of the folder, which nobody else has yet: asks the filter, so in a thread.

        The same images are shown, although a filter might find others in other captions of theirs.
        """
        old = self.editor
        found = (editor.corpus.number_of(name) for name in self.marks)
        editor.marks = {number for number in found if number is not None}
        editor.scope, editor.recorder = old.scope, old.recorder
        editor.opened, editor.opened_at = old.opened, old.opened_at
        if self.shown is not None and editor.variant != old.variant:
            numbers = (editor.corpus.number_of(name) for name in self.shown)
            editor.show(old.filter, [number for number in numbers if number is not None])
            return
        try:
            editor.show(old.filter, editor.select(old.filter))
        except Exception:  # a filter that cannot be asked any more shows everything
            editor.show("", None)
