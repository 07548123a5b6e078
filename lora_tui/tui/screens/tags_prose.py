"""Phrases in the vocabulary of the tag editor, for captions that are written in sentences."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.captions.document import decoded
from lora_tui.captions.phrase_book import PhraseBook
from lora_tui.captions.prose import expression as phrase_expression
from lora_tui.captions.prose import phrase_text
from lora_tui.captions.quoting import quoted
from lora_tui.captions.view import view
from lora_tui.captions.vocabulary import Row
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.tags.offers import list_offers
from lora_tui.tui.tags.rows import ORDERS
from lora_tui.tui.threads import in_thread, start_job

if TYPE_CHECKING:
    from pathlib import Path

    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor, Scope, Stretch

SAMPLED = 200
"""Captions that are looked at to tell whether most are sentences."""

REST, LONGEST_REST = 0.5, 5.0
"""Seconds without an edit before all phrases are counted again; more where a count takes long."""

_TAG_VERBS = re.compile(r"(?P<verb>rename|remove) (?:\"(?P<what>[^\"*?/]+)\"|(?P<bare>[^\"*?/,;]+?))(?: to .*)?")
"""An operation on one tag, which could be one on a phrase."""

FOR_TAGS = frozenset(
    {"toggle-tag", "to-front", "to-back", "move-up", "move-down", "copy", "quick-set", "undo-tag", "sweep"}
)
"""What is done to tags and has no sense for a phrase."""


class Prose:
    """The phrases of the captions, in the place of the tags of the vocabulary."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.on = False
        self._counted: tuple[object, ...] = ()
        self._wanted: tuple[object, ...] = ()
        self._rows: list[Row] = []
        self._book: PhraseBook | None = None
        self._seconds = 0.0
        self._stop = threading.Event()
        self._chosen: dict[tuple[Path, str], bool] = {}

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    @property
    def phrase(self) -> str:
        """The phrase under the cursor of the vocabulary; empty when there is none, or tags are listed."""
        return self.screen.panes.tag if self.on and self.screen.panes.focus == "vocab" else ""

    def refusal(self, name: str) -> str:
        """Why something cannot be done with a phrase."""
        if name in FOR_TAGS and self.phrase:
            key = self.screen.shell.keymap.shown("tags.phrases")
            return _("That is done with tags; {key} lists them in the place of phrases.").format(key=key)
        return ""

    # -- tags or phrases

    def learn(self) -> None:
        """List phrases where most captions of a folder that was opened are sentences."""
        self._stop.set()
        self._book, self._rows, self._counted, self._wanted, self._seconds = None, [], (), (), 0.0
        start_job(self.screen, self._learn, "prose")

    async def _learn(self) -> None:
        editor = self.screen.editor
        if editor is None:
            return
        chosen = self._chosen.get(self._about(editor))
        prose = await in_thread(_is_prose, editor) if chosen is None else chosen
        if editor is self.screen.editor and (prose or self.on):
            self.on = prose
            self.screen.panes.find(self.screen.panes.words)

    def action_phrases(self) -> None:
        """Phrases in the vocabulary, or tags again."""
        self.on = self._chosen[self._about(self._editor)] = not self.on
        self.screen.panes.find("")
        self.screen.tell(_("The vocabulary lists phrases.") if self.on else _("The vocabulary lists tags."))

    def _about(self, editor: Editor) -> tuple[Path, str]:
        """What a choice between tags and phrases is about: a folder and an ending."""
        return editor.corpus.root, editor.variant.ending

    def title(self) -> tuple[str, str]:
        """The title of the vocabulary, and a remark."""
        if not self.on:
            return _("VOCABULARY"), ""
        return _("PHRASES"), "  " + _("counting") if self._counted != self._wanted else ""

    # -- counting

    def show(self) -> None:
        """Show the phrases that are known, and count again what has changed."""
        editor, panes = self._editor, self.screen.panes
        wanted = (id(editor), editor.corpus.revision, editor.filter, len(editor.visible))
        if wanted != self._wanted:
            self._wanted = wanted
            self._stop.set()
            start_job(self.screen, partial(self._count, editor, wanted), "phrases")
        words, order = panes.words.casefold().split(), ORDERS[panes.order][0]
        rows = [row for row in self._rows if all(word in row.tag for word in words)]
        if order == "name":
            rows.sort(key=lambda row: row.tag)
        elif order == "length":
            rows.sort(key=lambda row: (-len(row.tag), row.tag))
        empty = _("No phrase has these words.") if words else _("No phrase stands in two captions.")
        panes.put_vocabulary(rows, empty if self._counted else _("Counting the phrases."))

    async def _count(self, editor: Editor, wanted: tuple[object, ...]) -> None:
        """First what is known of the phrases after an edit, at once; then all of them, once edits rest."""
        stop = self._stop = threading.Event()
        book, shown = self._book, editor.shown
        if book is None or book.corpus is not editor.corpus:
            book = self._book = PhraseBook(editor.corpus)
        try:
            if book.totals:
                if await in_thread(book.adjust):
                    self._take(await in_thread(_rows_of, book, shown))
                await asyncio.sleep(min(REST + self._seconds / 2, LONGEST_REST))
            before = time.monotonic()
            whole = await in_thread(book.count, stop.is_set)
            found = await in_thread(_rows_of, book, shown)
        except asyncio.CancelledError:
            stop.set()
            raise
        if whole and wanted == self._wanted:
            self._seconds = time.monotonic() - before
            self._counted = wanted
            self._take(found)

    def _take(self, rows: list[Row]) -> None:
        self._rows = rows
        if self.on and self.screen.editor is not None:
            self.show()

    # -- edits

    def remove(self, scope: Scope | None) -> None:
        """Take the phrase under the cursor away in a scope."""
        self.screen.edits.run(f"phrase remove {quoted(self.phrase)}", scope=scope)

    def rename(self, scope: Scope | None) -> None:
        """Ask for another phrase in the place of the one under the cursor."""
        phrase = self.phrase

        def make(text: str) -> str:
            new = text.strip()
            return f"phrase rename {quoted(phrase)} to {quoted(new)}" if new and new != phrase else ""

        def done(text: str) -> None:
            if operation := make(text):
                self.screen.edits.run(operation, scope=scope)

        def would(text: str) -> tuple[str, Stretch]:
            return make(text), self._editor.stretch(self.screen.panes.number, scope)

        spoken = self._editor.stretch(self.screen.panes.number, scope).spoken
        label = _("rename {tag} to").format(tag=plain(phrase, limit=24)) + f" ({spoken})"
        offers = list_offers(row.tag for row in self._rows)
        self.screen.finding.ask(label, done, offers=offers, value=phrase, kind="tags", final=True, would=would)

    def suggest(self, operation: str, stretch: Stretch) -> None:
        """Say where the tag is of an operation that changed nothing, or how it is done in sentences with its words."""
        found = _TAG_VERBS.fullmatch(operation)
        if found is not None:
            start_job(
                self.screen, partial(self._suggest, stretch, found["verb"], found["what"] or found["bare"]), "suggest"
            )

    async def _suggest(self, stretch: Stretch, verb: str, what: str) -> None:
        editor = self._editor
        tagged = [entry.number for entry in editor.corpus.entries if what in entry.tags]
        if not set(tagged).isdisjoint(stretch.numbers):
            return
        if tagged:
            text = ngettext(
                "Not in {scope}, but in {count} other caption: {key} takes in more images.",
                "Not in {scope}, but in {count} other captions: {key} takes in more images.",
                len(tagged),
            )
            key = self.screen.shell.keymap.shown("tags.scope")
            self.screen.tell(text.format(scope=stretch.spoken, count=count(len(tagged)), key=key), "warning")
            return
        expression = re.compile(phrase_expression(what), re.IGNORECASE)
        raws = [entry.raw for entry in editor.corpus.entries if entry.raw is not None]
        number = await in_thread(lambda: sum(1 for raw in raws if expression.search(decoded(raw))))
        if number and editor is self.screen.editor:
            text = ngettext(
                "No such tag; {count} caption has it in sentences: {command}",
                "No such tag; {count} captions have it in sentences: {command}",
                number,
            )
            command = f"phrase {verb} {what}"
            self.screen.tell(text.format(count=count(number), command=plain(command, limit=40)), "warning")

    def filter(self) -> str:
        """The filter for the phrase under the cursor."""
        return f"phrase:{quoted(self.phrase)}"


def _is_prose(editor: Editor) -> bool:
    """Whether most captions are sentences, by a sample of them."""
    entries = [entry for entry in editor.corpus.entries if entry.tags]
    sample = entries[:: max(len(entries) // SAMPLED, 1)]
    profile = editor.corpus.profile
    prose = sum(1 for entry in sample if entry.document and view(entry.document.text, profile).is_prose)
    return 2 * prose > len(sample)


def _rows_of(book: PhraseBook, shown: frozenset[int] | None) -> list[Row]:
    """The lines of the vocabulary; in a thread."""
    scope = None if shown is None else book.in_scope(shown)
    return [Row(phrase_text(words), in_scope, total) for words, in_scope, total in book.rows(scope)]
