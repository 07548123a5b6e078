"""All keys, drawn from the table of actions: what works here first, searchable, and doable from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from lora_tui.settings import settings_file
from lora_tui.text import N_, _, plain
from lora_tui.tui.actions import APP, DIALOG, LIST, Action
from lora_tui.tui.cells import Cell
from lora_tui.tui.keymap import Keymap
from lora_tui.tui.screens import SCREENS, entry_of
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

CONTEXTS = {APP: N_("Everywhere"), LIST: N_("In lists"), DIALOG: N_("In dialogs")}


@dataclass(frozen=True)
class Line:
    """One line: a heading, a problem with the keys of the settings, or an action."""

    heading: str = ""
    problem: str = ""
    action: Action | None = None


class HelpScreen(Dialog[str]):
    """Dismissed with the id of an action to do, or None."""

    CSS_PATH = "help.tcss"

    def __init__(self, keymap: Keymap, here: str, *, ascii_only: bool = False) -> None:
        """``here`` is the context of the screen below."""
        file = plain(str(settings_file()))
        super().__init__(_("Keys"), _("Your own go into {file}, table [keys].").format(file=file))
        self.accept_words = _("do it")
        self._keymap = keymap
        self._here = here
        self._ascii = ascii_only
        self._lines = lines_for(keymap, here, "")

    def compose_body(self) -> ComposeResult:
        columns = (Column(15), Column(18), Column(20, share=1))
        rows = VirtualList(columns, self._row, count=len(self._lines), empty=_("No key or command has these words."))
        rows.driven = True
        yield TextField(placeholder=_("search keys and commands"), list=rows)
        yield rows
        yield Static("", id="about", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(TextField).focus()
        self.query_one(VirtualList).cursor = next((n for n, line in enumerate(self._lines) if line.action), 0)

    def _row(self, index: int) -> tuple[Cell, ...]:
        line = self._lines[index]
        if line.action is None:
            return (Cell(line.problem, "warning") if line.problem else Cell(line.heading, "strong"),)
        keys = self._keymap.all_shown(line.action.id, ascii_only=self._ascii)
        return Cell(keys, "accent"), Cell(_(line.action.title)), Cell(_(line.action.help), "muted")

    def _about(self, index: int) -> str:
        line = self._lines[index] if 0 <= index < len(self._lines) else Line()
        if line.action is None:
            return line.problem
        # the id is what the settings file calls it
        return f"{_(line.action.help)}  {line.action.id}"

    @on(TextField.Changed)
    def _typed(self, event: TextField.Changed) -> None:
        event.stop()
        self._lines = lines_for(self._keymap, self._here, event.value)
        rows = self.query_one(VirtualList)
        first = next((number for number, line in enumerate(self._lines) if line.action), 0) if event.value else 0
        rows.set_count(len(self._lines), cursor=first)
        rows.reload()

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        """The whole sentence, which a narrow row cuts."""
        event.stop()
        self.query_one("#about", Static).update(self._about(event.index))

    @on(TextField.Submitted)
    def _submitted(self, event: TextField.Submitted) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        index = self.query_one(VirtualList).cursor
        action = self._lines[index].action if 0 <= index < len(self._lines) else None
        if action is not None and action.context in (self._here, APP):
            self.dismiss(action.id)


def lines_for(keymap: Keymap, here: str, text: str) -> list[Line]:
    """The lines that have every word of ``text``: problems, this screen, everywhere, lists, the other screens."""
    words = text.casefold().split()
    others = [entry.name for entry in SCREENS if entry.name != here]
    found = [Line(problem=f"{problem.action}: {problem.message}") for problem in keymap.problems if not words]
    for context in (here, APP, LIST, *others, DIALOG):
        actions = [action for action in keymap.actions.of(context) if _fits(action, keymap, words)]
        if actions:
            if found:
                found.append(Line())
            found.append(Line(heading=title_of(context)))
            found += [Line(action=action) for action in actions]
    return found


def title_of(context: str) -> str:
    """A context as a person reads it."""
    entry = entry_of(context)
    return _(entry.title) if entry is not None else _(CONTEXTS.get(context, context))


def _fits(action: Action, keymap: Keymap, words: Sequence[str]) -> bool:
    text = f"{_(action.title)} {action.title} {_(action.help)} {action.help} {keymap.all_shown(action.id)} {action.id}"
    return all(word in text.casefold() for word in words)
