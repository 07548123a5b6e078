"""What is done again in the tag editor: the last operation, macros, and tags on digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.tags.kept import load_quick, save_quick
from lora_tui.tui.tags.offers import tag_offers
from lora_tui.tui.tags.typed_tags import TypedTags
from lora_tui.tui.widgets.dialog import Choice, Choose
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor


OTHER = "="
"""What choosing a digit ends with where another tag is meant."""


class Again:
    """Repeating, recording, and quick tags."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.quick: dict[str, str] = {}

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    def refusal(self, name: str) -> str:
        """Why there is nothing to do again."""
        recorder = self._editor.recorder
        if name == "repeat" and not recorder.last:
            return _("Nothing was done yet that could be repeated.")
        if name == "replay" and (not recorder.macro or recorder.recording):
            return _("There is no macro yet; record one first.")
        if name.startswith("quick-") and name != "quick-set" and name[-1] not in self.quick:
            key = self.screen.shell.keymap.shown("tags.quick-set")
            return _("No tag is on this digit; {key} puts one there.").format(key=key)
        return ""

    def action_repeat(self) -> None:
        self.screen.edits.run(self._editor.recorder.last)

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
        self.screen.edits.run("; ".join(self._editor.recorder.macro))

    # -- quick tags

    def load_quick(self) -> None:
        """Read the tags on the digits of the folder that was opened."""
        self.quick = load_quick(self._editor.asking.folder)
        self._show_quick()

    def action_quick_set(self) -> None:
        """Choose a digit for the tag under the cursor; among files, or with the same key again, the tag is typed."""
        panes = self.screen.panes
        self._choose_digit("" if panes.focus == "files" else panes.tag)

    def _choose_digit(self, tag: str) -> None:
        choices = [Choice(digit, digit, plain(self.quick.get(digit, "")) or "–") for digit in "123456789"]
        own = next((digit for digit, other in self.quick.items() if tag and other == tag), "")
        free = own or next((digit for digit in "123456789" if digit not in self.quick), "1")
        title = _("On which digit is {tag}?").format(tag=plain(tag, limit=40)) if tag else _("Which digit gets a tag?")
        key = self.screen.shell.keymap.shown("tags.quick-set")
        detail = _("{key}: another tag, typed").format(key=key) if tag else ""

        def chosen(digit: str | None) -> None:
            if digit == OTHER:
                self.screen.call_later(self._choose_digit, "")
            elif digit is not None and tag:
                self.put(digit, tag)
            elif digit is not None:
                self._type_tag(digit)

        keys = self.screen.shell.keymap.keys("tags.quick-set") if tag else ()
        self.screen.app.push_screen(_Digit(title, choices, detail=detail, current=free, other=keys), chosen)

    def _type_tag(self, digit: str) -> None:
        completer = self._editor.asking.completer

        def done(text: str) -> None:
            self.put(digit, text.strip().strip(","))

        self.screen.finding.ask(
            _("tag on {digit}").format(digit=digit),
            done,
            kind="tags",
            value=self.quick.get(digit, ""),
            offers=tag_offers(completer, several=False),
            final=True,
            about=TypedTags(completer).remark,
        )

    def put(self, digit: str, tag: str) -> None:
        """Put a tag on a digit, in the place of any other; none frees it."""
        self.quick = {key: other for key, other in self.quick.items() if other != tag and key != digit}
        if tag:
            self.quick[digit] = tag
        try:
            save_quick(self._editor.asking.folder, self.quick)
        except UserError as error:
            self.screen.tell(error_words(error), "error")
        self._show_quick()
        self.screen.panes.refresh_tags()

    def _show_quick(self) -> None:
        """The digits in use, below the tags."""
        line = self.screen.query_one("#quick", Lines)
        line.display = bool(self.quick)
        cells = []
        for digit in sorted(self.quick):
            cells += [Cell(digit, "accent"), Cell(f" {plain(self.quick[digit], limit=20)}  ", "muted")]
        line.show([cells])

    def toggle_quick(self, digit: str) -> None:
        """Toggle the tag on a digit in the scope."""
        self.screen.edits.run(
            self.screen.verbs.toggled(self.quick[digit]), ask=False if self._editor.scope == "here" else None
        )

    def action_quick_1(self) -> None:
        self.toggle_quick("1")

    def action_quick_2(self) -> None:
        self.toggle_quick("2")

    def action_quick_3(self) -> None:
        self.toggle_quick("3")

    def action_quick_4(self) -> None:
        self.toggle_quick("4")

    def action_quick_5(self) -> None:
        self.toggle_quick("5")

    def action_quick_6(self) -> None:
        self.toggle_quick("6")

    def action_quick_7(self) -> None:
        self.toggle_quick("7")

    def action_quick_8(self) -> None:
        self.toggle_quick("8")

    def action_quick_9(self) -> None:
        self.toggle_quick("9")


class _Digit(Choose[str]):
    """A choice whose rows can be named by their digit; one more key asks for another tag."""

    BINDINGS = [(digit, f"digit('{digit}')") for digit in "123456789"]

    def __init__(
        self, title: str, choices: Sequence[Choice[str]], *, detail: str, current: str, other: Sequence[str]
    ) -> None:
        super().__init__(title, choices, detail=detail, current=current, accept=_("choose"))
        self._other = other[0].rpartition(" ")[2] if other else ""

    def on_key(self, event: events.Key) -> None:
        if event.key == self._other:
            event.stop()
            self.dismiss(OTHER)

    def action_digit(self, digit: str) -> None:
        """Choose the row of a digit."""
        self.dismiss(digit)
