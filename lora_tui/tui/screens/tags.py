"""The tag editor: files, tags, vocabulary and picture of one dataset folder; every edit is journalled and undone.

This file composes and routes. Of its parts ``tags_open`` and ``tags_follow`` read, ``tags_panes`` and ``tags_look``
show, ``tags_find`` filters and marks, ``tags_commands`` takes the command line, ``tags_edit`` previews and applies,
``tags_verbs`` and ``tags_again`` are the keys that change tags, ``tags_turns`` undoes, ``tags_guides`` and
``tags_past`` lead through several steps, ``tags_variants`` turns to other captions of the same images,
``tags_conflicts`` to edits that wait, ``tags_prose`` lists phrases, ``tags_write`` is the field for a caption as text,
``tags_reviews`` marks what was found right, ``tags_tagging`` has models tag, ``tags_scores`` shows what they thought.
The engine is ``lora_tui.captions``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from lora_tui.config.entries import dataset_at, settings_of
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.actions import LIST_ACTIONS
from lora_tui.tui.covering import CoveringCompositor
from lora_tui.tui.keymap import key_text
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.tags_again import Again
from lora_tui.tui.screens.tags_commands import Commands
from lora_tui.tui.screens.tags_conflicts import Conflicts
from lora_tui.tui.screens.tags_edit import Edits
from lora_tui.tui.screens.tags_find import Finding
from lora_tui.tui.screens.tags_follow import FOLLOW_SECONDS, Following
from lora_tui.tui.screens.tags_guides import Guides
from lora_tui.tui.screens.tags_look import Look
from lora_tui.tui.screens.tags_open import Opening
from lora_tui.tui.screens.tags_panes import TAG_COLUMNS, Panes, file_columns, word_columns
from lora_tui.tui.screens.tags_past import Past
from lora_tui.tui.screens.tags_prose import Prose
from lora_tui.tui.screens.tags_reviews import Reviews
from lora_tui.tui.screens.tags_scores import SCORE_COLUMNS, Scores
from lora_tui.tui.screens.tags_tagging import Tagging
from lora_tui.tui.screens.tags_trigger import TriggerWord
from lora_tui.tui.screens.tags_turns import Turns
from lora_tui.tui.screens.tags_use import InUse
from lora_tui.tui.screens.tags_variants import Variants
from lora_tui.tui.screens.tags_verbs import Verbs
from lora_tui.tui.screens.tags_write import Writing
from lora_tui.tui.tags.editor import Editor
from lora_tui.tui.threads import start_job
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.workspace import Change

LOOKS = frozenset({"view", "zoom", "scope", "pane-left", "pane-right", "next-pane", "previous-pane"})
LOOKS |= {"next-image", "previous-image"}
"""What can be done while captions are being changed; other keys wait until that has ended."""

FREE = LOOKS | {"undo", "redo", "open", "save", "keymap", "history"}
"""What can be done while a preview waits for an answer."""

FIRST_KEYS = {
    "files": ("tags.add", "tags.remove", "tags.mark", "tags.filter", "tags.scope", "tags.command"),
    "tags": ("tags.add", "tags.remove", "tags.rename", "tags.toggle-tag", "tags.scope", "tags.command"),
}
"""What the line of keys names first among files and among tags; what does not fit is dropped from its end."""


class TagsScreen(BaseScreen):
    """Captions of one dataset folder."""

    ACTS = "tags"
    CSS_PATH = "tags.tcss"
    FREE = frozenset({"keymap", "folder"})

    def __init__(self) -> None:
        super().__init__()
        self._compositor = CoveringCompositor()  # the line that is asked lies over the panes
        self.editor: Editor | None = None
        self.busy = ""
        self.opening = Opening(self)
        self.following = Following(self)
        self.panes = Panes(self)
        self.look = Look(self)
        self.finding = Finding(self)
        self.commands = Commands(self)
        self.edits = Edits(self)
        self.verbs = Verbs(self)
        self.writing = Writing(self)
        self.again = Again(self)
        self.turns = Turns(self)
        self.guides = Guides(self)
        self.past = Past(self)
        self.variants = Variants(self)
        self.conflicts = Conflicts(self)
        self.prose = Prose(self)
        self.in_use = InUse(self)
        self.trigger_word = TriggerWord(self)
        self.reviews = Reviews(self)
        self.scores = Scores(self)
        self.tagging = Tagging(self)

    @property
    def takes_keys(self) -> bool:
        return super().takes_keys and not self.query_one(Prompt).deciding

    def awaited(self) -> str:
        if self.workspace.config is None and not self.workspace.trouble:
            return _("Reading the project.")
        return _("Reading captions.") if self.opening.reading else ""

    def reading_words(self) -> str:
        """An edit that is being computed says so itself; it is no reading."""
        return self.busy if self.busy and not self.awaited() else super().reading_words()

    def waits_for(self, key: str) -> bool:
        """While captions are being changed: whatever is not only looked at, and what is behind it in the line."""
        if super().waits_for(key):
            return True
        if not self.busy or self.query_one(Prompt).is_open:
            return False
        keymap = self.shell.keymap
        if isinstance(self.focused, VirtualList) and any(key in keymap.keys(move.id) for move in LIST_ACTIONS):
            return self.panes.focus != "files"  # the tags may be others in a moment
        return any(
            key == bound.partition(" ")[0] and (" " in bound or action.id.partition(".")[2] not in self._free_now)
            for action in keymap.actions.of(self.ACTS)
            for bound in keymap.keys(action.id)
        )

    @property
    def _free_now(self) -> frozenset[str]:
        """What can be done while captions are being changed; of undo and redo any number, one after the other."""
        return LOOKS | {"undo", "redo"} if self.turns.turning else LOOKS

    def keys_wait(self) -> None:
        super().keys_wait()
        if self.busy:
            self.say()

    def doers(self) -> tuple[object, ...]:
        editing = self.edits, self.verbs, self.writing, self.again, self.turns
        others = self.finding, self.commands, self.guides, self.past, self.variants, self.conflicts, self.prose
        return self, *editing, *others, self.reviews, self.trigger_word, self.scores, self.tagging

    # -- composing

    def compose_body(self) -> ComposeResult:
        panes = self.panes
        with Horizontal(id="upper"):
            with Vertical(id="files-pane"):
                yield Lines(id="files-title", classes="pane-title")
                yield VirtualList(file_columns(), panes.file_cells, gap=1, id="files")
            with Vertical(id="tags-pane"):
                yield Lines(id="tags-title", classes="pane-title")
                yield VirtualList(TAG_COLUMNS, panes.tag_cells, gap=1, id="tags")
                yield Lines(id="quick")
        with Horizontal(id="lower"):
            with Vertical(id="vocab-pane"):
                yield Lines(id="vocab-title", classes="pane-title")
                yield VirtualList(word_columns(), panes.word_cells, gap=1, id="vocab")
            with Vertical(id="look-pane"):
                yield Lines(id="look-title", classes="pane-title")
                with Vertical(id="look"):
                    yield ImageView(id="picture")
                    yield Lines(id="facts")
                    yield VirtualList([Column(10, share=1)], self.look.cells, marker=False, quiet=True, id="caption")
                    yield VirtualList(SCORE_COLUMNS, self.scores.cells, gap=1, id="scores")
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
        self.set_interval(FOLLOW_SECONDS, self.following.look)

    def on_unmount(self) -> None:
        self.scores.close()
        self.opening.close()

    # -- opening

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if not self.query("#prompt"):
            return
        known = self.workspace.config is not None or bool(self.workspace.trouble)
        if known and changed & {"project", "config", "scan"}:  # while a project is read again, nobody knows its folders
            roots = self.roots()
            now = self.opening.root
            wanted = now if now in roots else (roots[0] if roots else None)
            config = self.workspace.config
            endings = self.opening.extensions
            if config is not None:
                endings = tuple(settings_of(config, dataset_at(config, wanted or "")).captions.extensions)
            if wanted != now or endings != self.opening.extensions:
                if self.opening.in_use:
                    self.opening.again = True  # a preview or a dialog is about the folder that is open
                else:
                    self.opening.open_folder(wanted)
            elif "scan" in changed and self.editor is not None:
                self.look.forget_facts()
                self.panes.show_picture()
                start_job(self, self.opening.look_for_images, "images")
            self.look.show_facts()
        if "scan" in changed and (files := self.query_one_optional("#files", VirtualList)) is not None:
            files.reload()  # other files may be in use now
            self.panes.show_titles()
        self.say()
        self.resume_keys()

    def roots(self) -> list[Path]:
        """The folders of the project's datasets."""
        config = self.workspace.config
        return [Path(entry.path) for entry in config.datasets if entry.path] if config is not None else []

    def go_to(self, place: str) -> None:
        editor = self.editor
        if editor is None:
            self.opening.wanted = place.rpartition("/")[2]
            return
        path = Path(place)
        name = path.relative_to(editor.corpus.root).as_posix() if path.is_relative_to(editor.corpus.root) else place
        number = editor.corpus.number_of(name)
        if number is not None:
            editor.show("", None)
            self.panes.show_all(number)

    # -- status

    def work(self, words: str, *, quiet: bool = False) -> None:
        """Say what is under way that keeps captions from being edited; nothing once it is done.

        Args:
            quiet: it hardly ever lasts, and is said once a key waits for it.
        """
        self.busy = words
        if not quiet:
            self.say()
            self.refresh_keys()
        if not words:
            self.resume_keys()

    def say(self) -> None:
        """The status line: scope and filter."""
        editor = self.editor
        if editor is None:
            self.set_status(
                self.opening.problem or (_("Reading captions.") if self.opening.root else _("No images yet."))
            )
            return
        if self.busy:
            self.set_status(self.busy, self.awaiting.waiting())
            return
        text = _("SCOPE {scope}").format(scope=self.edits.scope or self.verbs.spoken_scope())
        text += "   " + _("FILTER {filter}").format(filter=plain(editor.filter, limit=60) or _("none"))
        right = []
        if editor.recorder.recording:
            right.append(_("recording {count}").format(count=len(editor.recorder.macro)))
        if editor.marks and editor.scope != "here":
            right.append(_("{count} marked").format(count=count(len(editor.marks))))
        if self.conflicts.number:
            waits = ngettext("{count} edit waits", "{count} edits wait", self.conflicts.number)
            key = self.shell.keymap.shown("tags.conflicts")
            right.append(waits.format(count=count(self.conflicts.number)) + f": {key}")
        used = self.in_use.words()
        if used and cell_len("  ".join([text, *right, used])) <= self.size.width - 2:  # the scope is never cut for it
            right.append(used)
        self.set_status(text, "  ".join(right))

    def key_hints(self) -> list[KeyHint]:
        prompt = self.query_one(Prompt)
        if prompt.is_open:
            return prompt.hints()
        if self.edits.pending is not None:
            return self.edits.hints()
        found = {hint.action: replace(hint, kept=hint.action == "app.keys") for hint in super().key_hints()}
        wanted = FIRST_KEYS["files" if self.panes.focus == "files" else "tags"]
        first = [found.pop(name) for name in wanted if name in found]
        if self.writing.is_prose:
            key = self.shell.keymap.shown("tags.write", ascii_only=self.shell.ascii_only)
            first.insert(0, KeyHint("tags.write", key, _("write")))
        return [*first, *self._ways(), *found.values()]

    def _ways(self) -> list[KeyHint]:
        """The keys that lead on: to another pane, and to what a second key does."""
        keymap, ascii_only = self.shell.keymap, self.shell.ascii_only
        hints = [KeyHint("tags.next-pane", keymap.shown("tags.next-pane", ascii_only=ascii_only), _("pane"))]
        prefix = next(iter(keymap.keys("tags.sheet")), "").partition(" ")
        if prefix[2]:
            hints.append(KeyHint("", key_text(prefix[0], ascii_only=ascii_only), _("more")))
        return hints

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if self.editor is None:
            return "" if name in ("keymap", "folder") else self.opening.problem or _("The captions are being read.")
        if name in (self._free_now if self.busy else FREE):
            return ""
        if self.busy:
            return _("Still busy with the last edit; Esc stops what has not begun.")
        if self.edits.pending is not None:
            return _("Enter applies what is shown here, Esc leaves it.")
        parts = self.prose, self.verbs, self.again, self.scores
        return next((why for part in parts if (why := part.refusal(name))), "")

    def step_back(self) -> bool:
        return self.go_back()  # a line that is asked goes with what is being looked up for it

    def go_back(self) -> bool:
        prompt = self.query_one(Prompt)
        if prompt.is_open:
            self._give_up()  # a filter that is being asked
            self.finding.leave_prompt()
        elif self.busy or self.is_guiding:
            self._give_up()
        elif self.edits.pending is not None:
            self.edits.discard()
        elif self.has_class("-zoom"):
            self.finding.action_zoom()
        elif self.panes.words:
            self.panes.find("")
        elif self.editor is None:
            return False
        elif self.editor.filter:
            self.finding.take_filter("", None)
        else:
            self._stay(self.editor)
        return True

    def _stay(self, editor: Editor) -> None:
        """Esc once more than there is to leave: a hand that is used to it must not end up where letters do other
        things, and marks are work."""
        keymap, marks = self.shell.keymap, len(editor.marks)
        words = _("{key} leads home.").format(key=keymap.shown("app.show-home"))
        if marks:
            text = ngettext(
                "{count} image stays marked; {key} takes the mark away.",
                "{count} images stay marked; {key} takes the marks away.",
                marks,
            )
            words = text.format(count=count(marks), key=keymap.shown("tags.mark-none")) + " " + words
        self.tell(words, "muted")

    def _give_up(self) -> None:
        """What is being computed is wanted no more."""
        self.edits.stop()
        self.turns.stop()
        self.give_up()

    # -- from the widgets

    @on(VirtualList.Moved, "#files")
    def _file_moved(self) -> None:
        self.opening.note_place()
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
    def _done(self, event: Prompt.Done) -> None:
        event.stop()
        self.finding.done(event.text)
        self.query_one(Prompt).deciding = False
        self.resume_keys()

    @on(Prompt.Completed)
    def _completed(self) -> None:
        self.resume_keys()

    @on(Lines.Resized, "#files-title")
    def _resized_titles(self) -> None:
        self.call_after_refresh(self.panes.show_titles)  # the lists below them have their sizes then
        self.say()

    @on(Lines.Resized, "#facts")
    def _resized_facts(self) -> None:
        self.look.show_facts()

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        self.panes.show_titles()
        if isinstance(self.focused, VirtualList):  # the vocabulary has a scope of its own, also while a line is asked
            self.say()
