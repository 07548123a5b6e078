"""Operations in the tag editor: computing them, showing what they would change, doing it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.cells import cell_len

from lora_tui.captions.transaction import Preview
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.tags.editor import AT_ONCE, Scope, Stretch
from lora_tui.tui.tags.rows import diff
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.virtual_list import VirtualList
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.captions.journal.writer import Transaction
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

PATTERNS = "/*?"
"""What regular expressions and wildcards are written with: they may take seconds on a single caption."""

SAMPLES = 300
"""Changed captions that a preview shows."""


class Edits:
    """Operations on captions, and the preview that waits for an answer.

    Attributes:
        pending: what the preview shows; none where none waits.
        scope: what it is about, for a person; empty where none waits.
    """

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.pending: Preview | None = None
        self.scope = ""
        self._rows: list[tuple[Cell, ...]] = []
        self._notes: tuple[str, ...] = ()
        self._then: Callable[[], object] | None = None
        self._focus = "tags"
        self._stop = threading.Event()

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    # -- doing

    def run(
        self,
        operation: str,
        *,
        scope: Scope | None = None,
        ask: bool | None = None,
        notes: Sequence[str] = (),
        then: Callable[[], object] | None = None,
    ) -> None:
        """Do an operation on a scope; with more than one image it is shown first, unless ``ask`` says otherwise.

        Args:
            notes: what to consider, said above the preview.
            then: called once it is done, or where everything is so already.
        """
        editor = self._editor
        stretch = editor.stretch(self.screen.panes.number, scope)
        if not stretch.numbers:
            self.screen.tell(_("There is no image to edit."), "warning")
            return
        wanted = len(stretch.numbers) > 1 if ask is None else ask
        self._notes, self._then = tuple(notes), then
        slow = any(mark in operation for mark in PATTERNS)
        self.consider(partial(editor.prepare, operation, stretch), stretch, ask=wanted, slow=slow)

    def consider(
        self,
        prepare: Callable[..., Preview],
        stretch: Stretch,
        *,
        ask: bool,
        repeatable: bool = True,
        slow: bool = False,
    ) -> None:
        """Compute an edit, at once or in a thread, then show or do it; ``slow`` is what may take long on few, too."""
        if slow or len(stretch.numbers) > AT_ONCE:
            self.screen.guide(partial(self._consider_long, prepare, stretch, ask, repeatable))
            return
        try:
            found = prepare()
            found.occurrences.bit_length()
        except Exception as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
            return
        self._take(found, stretch, ask, repeatable)

    async def _consider_long(self, prepare: Callable[..., Preview], stretch: Stretch, ask: bool, again: bool) -> None:
        stop = self._stop = threading.Event()
        self.screen.work(_("Looking at {scope}.").format(scope=stretch.spoken))

        def work() -> Preview:
            found = prepare(should_stop=stop.is_set)
            if not stop.is_set():
                found.occurrences.bit_length()  # counted here, where nobody waits
            return found

        try:
            found = await in_thread(work)
        except Exception as error:
            if not stop.is_set():
                self.screen.tell(failure_words(self.screen.shell, error), "error")
            return
        finally:
            self.screen.work("")
        if not stop.is_set():
            self._take(found, stretch, ask, again)

    def stop(self) -> None:
        """Esc: an edit that is only being computed is given up."""
        self._stop.set()

    def _take(self, found: Preview, stretch: Stretch, ask: bool, repeatable: bool) -> None:
        if not found.changes:
            if found.refused:
                self.screen.tell(error_words(found.refused[0][1]), "error")
            else:
                if repeatable:  # elsewhere it may change something
                    self._editor.recorder.note(found.operation_text)
                self.screen.tell(_("Nothing changes by: {operation}").format(operation=_shown(found)), "muted")
                self.screen.prose.suggest(found.operation_text, stretch)
                self._go_on()
        elif ask:
            self._show(found, stretch)
        else:
            self._do(found, repeatable)

    def _do(self, found: Preview, repeatable: bool = True) -> None:
        """Do what was computed: at once, so that the next key finds it done; very many captions in a thread."""
        if len(found.changes) > AT_ONCE:
            self.screen.work(_("Changing {count} captions.").format(count=count(len(found.changes))))
            start_job(self.screen, partial(self._do_long, found, repeatable), "apply", alone=False)
        else:
            self._done(found, self._editor.apply(found, repeatable=repeatable))

    async def _do_long(self, found: Preview, repeatable: bool) -> None:
        try:
            transaction = await in_thread(partial(self._editor.apply, found, repeatable=repeatable))
        finally:
            self.screen.work("")
        self._done(found, transaction)

    def _go_on(self) -> None:
        """Do what was to follow the edit."""
        then, self._then = self._then, None
        if then is not None:
            then()

    def _done(self, found: Preview, transaction: Transaction) -> None:
        self.screen.panes.refresh_tags()
        images = found.images - len(transaction.conflicts)
        text = ngettext("{operation}: {count} image", "{operation}: {count} images", images)
        words = text.format(operation=_shown(found), count=count(images))
        if found.refused:
            words += _(", ") + _("{count} could not be changed").format(count=count(len(found.refused)))
        key = self.screen.shell.keymap.shown("tags.undo")
        self.screen.tell(_("{done}   {key} undo").format(done=words, key=key), "success")
        self.screen.refresh_keys()
        self._go_on()

    # -- the preview

    def _show(self, found: Preview, stretch: Stretch) -> None:
        width = max(self.screen.size.width - 6, 20)
        notes: list[tuple[Cell, ...]] = [(Cell(line, "warning"),) for one in self._notes for line in wrap(one, width)]
        try:
            self._rows = [*notes, *_rows_of(found)]
        except Exception as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
            return
        self.pending, self.scope = found, plain(stretch.spoken, limit=40)
        self.screen.say()
        self._focus = self.screen.panes.focus
        self._notes = ()
        keymap = self.screen.shell.keymap
        images = ngettext("{count} image", "{count} images", found.images).format(count=count(found.images))
        places = ngettext("{count} tag", "{count} tags", found.occurrences).format(count=count(found.occurrences))
        about = f"{images}  {places}"
        if stretch.spoken not in found.operation_text:
            about = _("{scope}: {change}").format(scope=plain(stretch.spoken, limit=24), change=about)
        head = [Cell(f"   {about}   "), Cell(keymap.shown("tags.open"), "accent")]
        head += [Cell(" " + _("apply") + "  "), Cell(keymap.shown("app.back"), "accent"), Cell(" " + _("cancel"))]
        room = self.screen.size.width - sum(cell_len(cell.text) for cell in head)
        head.insert(0, Cell(_shown(found, min(max(room, 20), 48)), "strong"))
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
            KeyHint("app.back", shown("app.back"), _("cancel")),
            KeyHint("", f"{shown('list.up')} {shown('list.down')}", _("more")),
            KeyHint("app.keys", shown("app.keys"), _("keys"), kept=True),
        ]

    def pending_cells(self, index: int) -> tuple[Cell, ...]:
        """A row of the preview."""
        return self._rows[index] if index < len(self._rows) else (Cell(""),)

    def discard(self) -> None:
        """Leave the preview; nothing changes."""
        self.pending, self.scope, self._then, self._rows = None, "", None, []
        self.screen.remove_class("-pending")
        pane = self._focus if self._focus != "pending" else "files"
        self.screen.set_focus(self.screen.query_one(f"#{pane}", VirtualList))
        self.screen.refresh_keys()

    def accept(self) -> None:
        """Do what is shown."""
        found, then = self.pending, self._then
        self.discard()
        if found is not None:
            self._then = then
            self._do(found)

    def action_save(self) -> None:
        start_job(self.screen, self._flush, "save", alone=False)

    async def _flush(self) -> None:
        editor = self._editor
        await in_thread(editor.settle)
        following = self.screen.following
        following.report(editor)
        lost, following.lost = list(following.lost), {}
        if not lost:
            self.screen.tell(_("Every change is on disk."), "success")
            return
        text = ngettext(
            "{name} is not as you edited it: it was refused. Everything else is on disk.",
            "{name} and others, {count} in all, are not as you edited them. Everything else is on disk.",
            len(lost),
        )
        self.screen.tell(text.format(name=plain(lost[0].rpartition("/")[2], limit=24), count=count(len(lost))), "error")


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
