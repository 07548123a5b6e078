"""Writing a caption as text: a small field of several lines over the upper panes, the picture still in sight.

What is kept goes through the journal like every other edit. What is left with Esc changes nothing, and stands in the
field again when the same caption is opened once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import TextArea

from lora_tui.captions.view import line_spans, view
from lora_tui.captions.written import Written
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.acting import Acting, WithKeys, hints_of
from lora_tui.tui.actions import WRITING
from lora_tui.tui.cells import Cell
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_area import WrappedField
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.captions.document import CaptionDocument
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

LONGEST = 20_000
"""Characters of a caption that is written here at most: far more than any encoder reads, and typed without delay."""


@dataclass(frozen=True)
class Typed:
    """What was in the field when it was left, and what comes next."""

    text: str
    kept: bool
    next: bool = False


class WriteScreen(Acting, WithKeys, ModalScreen[Typed], inherit_bindings=False):
    """Dismissed with :class:`Typed`."""

    ACTS = WRITING
    CSS_PATH = "tags_write.tcss"

    def __init__(self, editor: Editor, number: int, written: Written, typed: str) -> None:
        """``typed`` is what somebody wrote before and did not keep; the field's own undo leads back from it."""
        super().__init__()
        self._editor, self._number, self._written, self._typed = editor, number, written, typed

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Lines(id="head")
            yield WrappedField(self._written.shown, symbols=self._written.symbols, id="text")
            yield Lines(id="about")
            yield Keys()

    def on_mount(self) -> None:
        self.take_keys()
        self.query_one(Keys).show(hints_of(self.app, WRITING))
        field = self.query_one(WrappedField)
        if self._typed != self._written.shown:
            field.replace(self._typed, (0, 0), field.document.end)
        field.move_cursor(self._place(field))
        field.focus()
        self._say()

    def _place(self, field: WrappedField) -> tuple[int, int]:
        """The end of what is edited: of the whole text, or of the line that is chosen in the tag editor."""
        wanted = self._editor.variant.line
        filled = [number for number, line in enumerate(field.document.lines) if line.strip()]
        if 0 < wanted <= len(filled):
            return filled[wanted - 1], len(field.document.get_line(filled[wanted - 1]))
        return field.document.end

    @property
    def _text(self) -> str:
        """What stands in the field."""
        return "\n".join(self.query_one(WrappedField).document.lines)

    @on(TextArea.Changed)
    def _say(self) -> None:
        """Whose caption it is, whether it was changed, and what the trainer makes of it."""
        editor, typed = self._editor, self._text
        state = _("changed") if typed != self._written.shown else ""
        name = plain(editor.entry(self._number).caption_name)
        self.query_one("#head", Lines).show([[Cell(name, "strong"), Cell("   " + state, "muted")]])
        text = self._written.text(typed)
        tokens, limit = editor.asking.most_tokens(text) if len(text) <= LONGEST else 0, editor.asking.token_limit
        words = ngettext("{count} token of {limit}", "{count} tokens of {limit}", tokens)
        about = [Cell(words.format(count=count(tokens), limit=count(limit)), "warning" if tokens > limit else "muted")]
        lines = sum(bool(text[start:end].strip()) for start, end in line_spans(text))
        if lines > 1 and editor.corpus.profile.lines == "first":
            about.append(Cell("   " + _("Of several lines only one is trained."), "warning"))
        self.query_one("#about", Lines).show([about])

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        await self.action_act(event.action)

    def action_save(self) -> None:
        self.dismiss(Typed(self._text, kept=True))

    def action_save_next(self) -> None:
        self.dismiss(Typed(self._text, kept=True, next=True))

    def action_leave(self) -> None:
        self.dismiss(Typed(self._text, kept=False))


class Writing:
    """The part of the tag editor that opens the field and takes what comes of it."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self._left: dict[str, tuple[bytes | None, str]] = {}

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    @property
    def is_prose(self) -> bool:
        """Whether the caption of the image under the cursor is sentences; one that is missing is as most others are."""
        editor, number = self.screen.editor, self.screen.panes.number
        if editor is None or number < 0 or editor.entry(number).problem is not None:
            return False
        document = editor.entry(number).document
        if self.screen.prose.on and len(editor.entry(number).tags) < 2:  # a short one tells little by itself
            return True
        if document is None or len(document.text) > LONGEST:
            return False
        return view(document.text, editor.corpus.profile).is_prose

    def action_write(self) -> None:
        editor, number = self._editor, self.screen.panes.number
        if number < 0:
            self.screen.tell(_("There is no image to edit."), "warning")
            return
        entry = editor.entry(number)
        if entry.problem is not None:
            self.screen.tell(error_words(entry.problem), "error")
            return
        document = entry.document
        if document is not None and len(document.text) > LONGEST:
            text = _("This caption has {count} characters, too many for a field; : changes it, or a program for texts.")
            self.screen.tell(text.format(count=count(len(document.text))), "warning")
            return
        written = Written.of(document)
        before, typed = self._left.pop(self._key(editor, number), (None, ""))
        if not typed or before != _raw(document):
            typed = written.shown
        then = partial(self._done, editor, number, document, written)
        self.screen.app.push_screen(WriteScreen(editor, number, written, typed), then)

    def _key(self, editor: Editor, number: int) -> str:
        return f"{editor.corpus.root}/{editor.entry(number).caption_name}"

    def _done(
        self, editor: Editor, number: int, document: CaptionDocument | None, written: Written, typed: Typed | None
    ) -> None:
        if typed is None or editor is not self.screen.editor:
            return
        name, now = plain(editor.entry(number).caption_name), _raw(editor.entry(number).document)
        changed = typed.text != written.shown
        if not typed.kept:
            if changed:
                self._keep(
                    editor, number, typed, _("{name} stays as it was; {key} brings back what you wrote."), "muted"
                )
            return
        if not changed:
            self.screen.tell(_("{name} is as it was.").format(name=name), "muted")
        elif now != _raw(document):
            words = _("{name} was changed meanwhile and is left so; {key} brings back what you wrote.")
            self._keep(editor, number, typed, words, "error")
            return
        elif not self._write(editor, number, written, typed):
            return
        if typed.next:
            self._go_on(number)

    def _keep(self, editor: Editor, number: int, typed: Typed, words: str, tone: str) -> None:
        """Remember what was typed for the next time, and say so."""
        self._left[self._key(editor, number)] = _raw(editor.entry(number).document), typed.text
        key = self.screen.shell.keymap.shown("tags.write", ascii_only=self.screen.shell.ascii_only)
        self.screen.tell(words.format(name=plain(editor.entry(number).caption_name), key=key), tone)

    def _write(self, editor: Editor, number: int, written: Written, typed: Typed) -> bool:
        """Make it the caption, through the journal; whether it could be done."""
        try:
            found = editor.prepare_text(number, written.text(typed.text))
        except UserError as error:
            self._keep(editor, number, typed, error_words(error).replace("{", "{{").replace("}", "}}"), "error")
            return False
        if found.changes:
            editor.apply(found, repeatable=False)
            self.screen.panes.refresh_tags()
            done = _("{name} written").format(name=plain(editor.entry(number).caption_name))
            key = self.screen.shell.keymap.shown("tags.undo")
            self.screen.tell(_("{done}   {key} undo").format(done=done, key=key), "success")
            self.screen.refresh_keys()
        return True

    def _go_on(self, number: int) -> None:
        """The next image of the list and its caption; at its end the field stays closed."""
        editor, files = self._editor, self.screen.panes.pane("files")
        place = editor.place_of(number) + 1
        if not 0 < place < len(editor.visible):
            self.screen.tell(_("That was the last image of the list."), "muted")
            return
        files.cursor = place
        self.screen.call_later(self.action_write)


def _raw(document: CaptionDocument | None) -> bytes | None:
    return None if document is None else document.raw
