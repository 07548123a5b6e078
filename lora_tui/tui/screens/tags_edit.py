"""What changes captions in the tag editor: operations with their preview, undo, repeat, quick tags, macros."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from lora_tui.captions.quoting import quoted
from lora_tui.captions.transaction import Preview
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.tags.editor import AT_ONCE, Scope, Stretch
from lora_tui.tui.tags.offers import list_offers, tag_offers
from lora_tui.tui.tags.rows import diff
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.virtual_list import VirtualList
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

SAMPLES = 300
"""Changed captions that a preview shows."""

MOST_TURNS = 10_000
"""Transactions that one command takes back or brings back at most."""

NEEDS_TAG = frozenset(
    {"rename", "rename-shown", "move-up", "move-down", "to-front", "to-back", "quick-set", "undo-tag"}
)


class Edits:
    """Operations on captions, and the preview that waits for an answer."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.pending: Preview | None = None
        self._rows: list[tuple[Cell, ...]] = []
        self._notes: tuple[str, ...] = ()
        self._focus = "tags"
        self._stop = threading.Event()
        self._turns: list[Literal["undo", "redo"]] = []
        self._turning = False
        self._copied: tuple[str, ...] = ()

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    def refusal(self, name: str) -> str:
        """Why an edit has nothing to work on."""
        panes = self.screen.panes
        if name in NEEDS_TAG and not panes.tag:
            return _("There is no tag under the cursor.")
        if name in ("move-up", "move-down") and (self._editor.marks or panes.focus == "vocab"):
            return _("A tag is moved by one place in one image; take the marks away first.")
        if name == "repeat" and not self._editor.recorder.last:
            return _("Nothing was done yet that could be repeated.")
        if name == "replay" and (not self._editor.recorder.macro or self._editor.recorder.recording):
            return _("There is no macro yet; record one first.")
        if name in ("paste", "paste-over") and not self._copied:
            return _("Nothing was copied yet.")
        if name.startswith("quick-") and name != "quick-set" and name[-1] not in self.screen.guides.quick:
            key = self.screen.shell.keymap.shown("tags.quick-set")
            return _("No tag is on this digit; {key} puts one there.").format(key=key)
        return ""

    # -- doing

    def run(
        self, operation: str, *, scope: Scope | None = None, ask: bool | None = None, notes: Sequence[str] = ()
    ) -> None:
        """Do an operation on a scope; with more than one image it is shown first, unless ``ask`` says otherwise.

        ``notes`` is what to consider, said above the preview.
        """
        editor = self._editor
        stretch = editor.stretch(self.screen.panes.number, scope)
        if not stretch.numbers:
            self.screen.tell(_("There is no image to edit."), "warning")
            return
        wanted = len(stretch.numbers) > 1 if ask is None else ask
        self._notes = tuple(notes)
        self.consider(partial(editor.prepare, operation, stretch), stretch, ask=wanted)

    def consider(
        self, prepare: Callable[..., Preview], stretch: Stretch, *, ask: bool, repeatable: bool = True
    ) -> None:
        """Compute an edit, at once or in a thread, then show or do it."""
        if len(stretch.numbers) > AT_ONCE:
            self.screen.guide(partial(self._consider_long, prepare, stretch, ask, repeatable))
            return
        try:
            found = prepare()
        except UserError as error:
            self.screen.tell(error_words(error), "error")
            return
        self._take(found, ask, repeatable)

    async def _consider_long(self, prepare: Callable[..., Preview], stretch: Stretch, ask: bool, again: bool) -> None:
        stop = self._stop = threading.Event()
        self._work(_("Looking at {scope}.").format(scope=stretch.spoken))

        def work() -> Preview:
            found = prepare(should_stop=stop.is_set)
            if not stop.is_set():
                found.occurrences.bit_length()  # counted here, where nobody waits
            return found

        try:
            found = await in_thread(work)
        except UserError as error:
            self.screen.tell(error_words(error), "error")
            return
        finally:
            self._work("")
        if not stop.is_set():
            self._take(found, ask, again)

    def stop(self) -> None:
        """Esc: an edit that is only being computed is given up."""
        self._stop.set()

    def _work(self, words: str) -> None:
        self.screen.busy = words
        self.screen.say()
        self.screen.refresh_keys()

    def _take(self, found: Preview, ask: bool, repeatable: bool) -> None:
        if not found.changes:
            if found.refused:
                self.screen.tell(error_words(found.refused[0][1]), "error")
            else:
                if repeatable:  # elsewhere it may change something
                    self._editor.recorder.note(found.operation_text)
                self.screen.tell(_("Nothing changes by: {operation}").format(operation=_shown(found)), "muted")
        elif ask:
            self._show(found)
        else:
            start_job(self.screen, partial(self._apply, found, repeatable), "apply", alone=False)

    async def _apply(self, found: Preview, repeatable: bool = True) -> None:
        editor = self._editor
        if len(found.changes) > AT_ONCE:
            self._work(_("Changing {count} captions.").format(count=count(len(found.changes))))
            try:
                transaction = await in_thread(partial(editor.apply, found, repeatable=repeatable))
            finally:
                self._work("")
        else:
            transaction = editor.apply(found, repeatable=repeatable)
        self.screen.panes.refresh_tags()
        images = found.images - len(transaction.conflicts)
        text = ngettext("{operation}: {count} image", "{operation}: {count} images", images)
        words = text.format(operation=_shown(found), count=count(images))
        if found.refused:
            words += _(", ") + _("{count} could not be changed").format(count=count(len(found.refused)))
        key = self.screen.shell.keymap.shown("tags.undo")
        self.screen.tell(_("{done}   {key} undo").format(done=words, key=key), "success")
        self.screen.refresh_keys()

    # -- the preview

    def _show(self, found: Preview) -> None:
        self.pending = found
        self._focus = self.screen.panes.focus
        width = max(self.screen.size.width - 6, 20)
        self._rows = [(Cell(line, "warning"),) for note in self._notes for line in wrap(note, width)]
        self._rows += _rows_of(found)
        self._notes = ()
        keymap = self.screen.shell.keymap
        images = ngettext("{count} image", "{count} images", found.images).format(count=count(found.images))
        places = ngettext("{count} tag", "{count} tags", found.occurrences).format(count=count(found.occurrences))
        head = [
            Cell(_shown(found, 34), "strong"),
            Cell(f"   {images}  {places}   "),
            Cell(keymap.shown("tags.open"), "accent"),
        ]
        head += [Cell(" " + _("apply") + "  "), Cell(keymap.shown("app.back"), "accent"), Cell(" " + _("leave it"))]
        if found.refused:
            text = ngettext("  {count} cannot be changed", "  {count} cannot be changed", len(found.refused))
            head.append(Cell(text.format(count=count(len(found.refused))), "warning"))
        self.screen.query_one("#pending-title", Lines).show([head])
        self.screen.add_class("-pending")
        rows = self.screen.query_one("#pending", VirtualList)
        rows.set_count(len(self._rows), cursor=0)
        rows.reload()
        self.screen.set_focus(rows)
        self.screen.refresh_keys()

    def hints(self) -> list[KeyHint]:
        """The keys that work while a preview waits for an answer."""
        shown = partial(self.screen.shell.keymap.shown, ascii_only=self.screen.shell.ascii_only)
        return [
            KeyHint("tags.open", shown("tags.open"), _("apply")),
            KeyHint("app.back", shown("app.back"), _("leave it")),
            KeyHint("", f"{shown('list.up')} {shown('list.down')}", _("more")),
            KeyHint("app.keys", shown("app.keys"), _("keys"), kept=True),
        ]

    def pending_cells(self, index: int) -> tuple[Cell, ...]:
        """A row of the preview."""
        return self._rows[index] if index < len(self._rows) else (Cell(""),)

    def discard(self) -> None:
        """Leave the preview; nothing changes."""
        self.pending, self._rows = None, []
        self.screen.remove_class("-pending")
        pane = self._focus if self._focus != "pending" else "files"
        self.screen.set_focus(self.screen.query_one(f"#{pane}", VirtualList))
        self.screen.refresh_keys()

    def accept(self) -> None:
        """Do what is shown."""
        found = self.pending
        self.discard()
        if found is not None:
            start_job(self.screen, partial(self._apply, found), "apply", alone=False)

    # -- undo and redo

    def action_undo(self) -> None:
        self.turn("undo")

    def action_redo(self) -> None:
        self.turn("redo")

    def turn(self, way: Literal["undo", "redo"], steps: int = 1) -> None:
        """Take transactions back or bring them back, one after the other; keys pressed meanwhile wait in line."""
        if self.pending is not None:
            self.discard()
            return
        self._turns += [way] * min(steps, MOST_TURNS)
        if not self._turning and not self.screen.busy:
            self._turning = True
            start_job(self.screen, self._turn, "turn", alone=False)

    async def turn_all(self, way: Literal["undo", "redo"]) -> None:
        """Take back all that was done since the folder was opened, or bring back all that was undone."""
        steps = await in_thread(self._editor.turns, way)
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
                self.screen.busy = _("undoing") if way == "undo" else _("bringing back")
                record = await in_thread(self._editor.turn, way)
                operation = plain(record.operation, limit=40) if record else ""
                number = record.files if record else 0
                if way == "undo":
                    text = ngettext(
                        "undone in {files} file: {operation}", "undone in {files} files: {operation}", number
                    )
                else:
                    text = ngettext("again in {files} file: {operation}", "again in {files} files: {operation}", number)
                said = text.format(files=count(number), operation=operation)
        except UserError as error:
            self._turns.clear()
            said, tone = said or error_words(error), tone if said else "warning"
        finally:
            self._turning = False
            self._work("")
        self.screen.panes.refresh_tags()
        self.screen.tell(said, tone)

    # -- actions on tags

    def _ask(
        self, label: str, make: Callable[[str], str], scope: Scope | None, value: str = "", known: bool = False
    ) -> None:
        """Ask for tags and do what ``make`` says of them."""
        completer = self._editor.asking.completer
        offers = list_offers(self.screen.panes.tags) if known else tag_offers(completer)
        spoken = self._editor.stretch(self.screen.panes.number, scope).spoken

        def done(text: str) -> None:
            operation = make(text)
            if operation:
                self.run(operation, scope=scope)

        def would(text: str) -> tuple[str, Stretch]:
            return make(text), self._editor.stretch(self.screen.panes.number, scope)

        label = f"{label} ({spoken})"
        self.screen.finding.ask(label, done, offers=offers, value=value, kind="tags", final=True, would=would)

    def action_add(self) -> None:
        self._ask(_("add"), partial(_listed, "add"), None)

    def action_add_front(self) -> None:
        self._ask(_("add in front"), partial(_listed, "add", end=" front"), None)

    def action_add_shown(self) -> None:
        self._ask(_("add"), partial(_listed, "add"), "shown")

    def action_remove(self) -> None:
        self._on_tag(_("remove"), "remove", None)

    def action_remove_shown(self) -> None:
        self._on_tag(_("remove"), "remove", "shown")

    def action_toggle_tag(self) -> None:
        panes = self.screen.panes
        if panes.focus == "files" or not panes.tag:
            self._ask(_("toggle"), self._toggled, None)
            return
        self.run(self._toggled(panes.tag), ask=False if self._editor.scope == "here" else None)

    def _toggled(self, tag: str) -> str:
        """Away where every caption of the scope has it, else to those that lack it."""
        tag = tag.strip().strip(",")
        if not tag:
            return ""
        editor = self._editor
        numbers = editor.stretch(self.screen.panes.number).numbers
        holders = editor.corpus.index.postings(tag)
        return ("remove " if all(number in holders for number in numbers) else "add ") + quoted(tag)

    def _on_tag(self, label: str, verb: str, scope: Scope | None) -> None:
        panes = self.screen.panes
        if panes.focus == "files" or not panes.tag:
            self._ask(label, partial(_listed, verb), scope, known=scope is None)
        else:
            self.run(f"{verb} {quoted(panes.tag)}", scope=scope)

    def action_rename(self) -> None:
        self._rename(None)

    def action_rename_shown(self) -> None:
        self._rename("shown")

    def _rename(self, scope: Scope | None) -> None:
        tag = self.screen.panes.tag
        label = _("rename {tag} to").format(tag=plain(tag, limit=24))

        def make(text: str) -> str:
            new = text.strip()
            return f"rename {quoted(tag)} to {quoted(new)}" if new and new != tag else ""

        self._ask(label, make, scope, value=tag)

    def action_move_up(self) -> None:
        self._move(-1)

    def action_move_down(self) -> None:
        self._move(1)

    def _move(self, step: int) -> None:
        panes = self.screen.panes
        row, tags = panes.tag_row, panes.tags
        if row is None or row.place < 0 or not 0 <= row.place + step < len(tags):
            return
        side = "before" if step < 0 else "after"
        self.run(f"move {quoted(row.tag)} {side} {quoted(tags[row.place + step])}", scope="here", ask=False)
        self.screen.call_later(panes.put_cursor, row.tag)

    def action_to_front(self) -> None:
        self.run(f"move {quoted(self.screen.panes.tag)} front")

    def action_to_back(self) -> None:
        self.run(f"move {quoted(self.screen.panes.tag)} back")

    def action_copy(self) -> None:
        panes = self.screen.panes
        if panes.focus == "files" and panes.number >= 0:
            self._copied = tuple(self._editor.entry(panes.number).tags)
        else:
            self._copied = (panes.tag,) if panes.tag else ()
        text = ngettext("{count} tag copied", "{count} tags copied", len(self._copied))
        self.screen.tell(text.format(count=count(len(self._copied))))

    def action_paste(self) -> None:
        self.run("add " + ", ".join(map(quoted, self._copied)))

    def action_paste_over(self) -> None:
        self.run("set " + quoted(", ".join(self._copied)))

    def action_repeat(self) -> None:
        self.run(self._editor.recorder.last)

    def action_record(self) -> None:
        recorder = self._editor.recorder
        recorder.recording = not recorder.recording
        if recorder.recording:
            recorder.macro.clear()
            self.screen.tell(_("Recording: what is done to captions now becomes the macro."))
        else:
            key = self.screen.shell.keymap.shown("tags.replay")
            self.screen.tell(
                _("{key} does it again: {macro}").format(key=key, macro=plain("; ".join(recorder.macro), limit=60))
            )
        self.screen.say()

    def action_replay(self) -> None:
        self.run("; ".join(self._editor.recorder.macro))

    def quick(self, digit: str) -> None:
        """Toggle the tag on a digit in the scope."""
        self.run(self._toggled(self.screen.guides.quick[digit]), ask=False if self._editor.scope == "here" else None)

    def action_quick_1(self) -> None:
        self.quick("1")

    def action_quick_2(self) -> None:
        self.quick("2")

    def action_quick_3(self) -> None:
        self.quick("3")

    def action_quick_4(self) -> None:
        self.quick("4")

    def action_quick_5(self) -> None:
        self.quick("5")

    def action_quick_6(self) -> None:
        self.quick("6")

    def action_quick_7(self) -> None:
        self.quick("7")

    def action_quick_8(self) -> None:
        self.quick("8")

    def action_quick_9(self) -> None:
        self.quick("9")

    def action_save(self) -> None:
        start_job(self.screen, self._flush, "save", alone=False)

    async def _flush(self) -> None:
        editor = self._editor

        def wait() -> None:
            for one in list(editor.under_way):
                one.finished.wait()

        await in_thread(wait)
        self.screen.report(editor)
        self.screen.tell(_("Every change is on disk."), "success")


def _listed(verb: str, text: str, end: str = "") -> str:
    """An operation on the tags of a typed line."""
    tags = [part.strip() for part in text.split(",") if part.strip()]
    return f"{verb} {', '.join(map(quoted, tags))}{end}" if tags else ""


def _shown(found: Preview, limit: int = 48) -> str:
    """An operation for a person's eyes: quotes only where they say something."""
    text = found.operation_text.replace('\\"', "\0").replace('"', "").replace("\0", '"')
    return plain(text, limit=limit)


def _rows_of(found: Preview) -> list[tuple[Cell, Cell]]:
    """The lines of a preview: what goes and what comes, image after image."""
    rows: list[tuple[Cell, Cell]] = []
    for sample in found.samples(SAMPLES):
        name = Cell(plain(sample.name.rpartition("/")[2]))
        pieces = [(sign, text) for sign, text in diff(sample.before, sample.after) if sign != "="]
        if sample.after is None:
            pieces = [("-", sample.before or "")]
        elif not pieces:
            pieces = [("-", sample.before or ""), ("+", sample.after)]
        for sign, text in pieces:
            rows.append((name, Cell(f"{sign} {plain(text)}", "error" if sign == "-" else "success")))
            name = Cell("")
    if len(found.changes) > SAMPLES:
        rest = ngettext("and {count} more", "and {count} more", len(found.changes) - SAMPLES)
        rows.append((Cell(""), Cell(rest.format(count=count(len(found.changes) - SAMPLES)), "muted")))
    rows += [
        (Cell(plain(error.place.rpartition("/")[2]), "warning"), Cell(plain(error.message), "warning"))
        for _n, error in found.refused[:50]
    ]
    return rows
