"""All keys, drawn from the table of actions: what works here first, searchable, and doable from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lora_tui.settings import settings_file
from lora_tui.text import N_, _, plain
from lora_tui.tui.actions import APP, CONFLICTS, DIALOG, LIST, PRUNE, SHEET, SWEEP, Action
from lora_tui.tui.cells import Cell
from lora_tui.tui.keymap import Keymap
from lora_tui.tui.screens import SCREENS, entry_of
from lora_tui.tui.widgets.finder import Finder, Found
from lora_tui.tui.widgets.virtual_list import Column

CONTEXTS = {
    APP: N_("Everywhere"),
    LIST: N_("In lists"),
    DIALOG: N_("In dialogs"),
    PRUNE: N_("In the prune assistant"),
    CONFLICTS: N_("Among edits that wait"),
    SWEEP: N_("In the review sweep"),
    SHEET: N_("In the contact sheet"),
}


@dataclass(frozen=True)
class Line:
    """One line: a heading, a problem with the keys of the settings, or an action."""

    heading: str = ""
    problem: str = ""
    action: Action | None = None


class HelpScreen(Finder):
    """Dismissed with the id of an action to do, or None."""

    CSS_PATH = "help.tcss"

    def __init__(self, keymap: Keymap, here: str, *, ascii_only: bool = False) -> None:
        """``here`` is the context of the screen below."""

        def found(line: Line) -> Found:
            action = line.action
            if action is None:
                return Found(
                    (Cell(line.problem or line.heading, "warning" if line.problem else "strong"),), line.problem
                )
            keys = keymap.all_shown(action.id, ascii_only=ascii_only)
            cells = Cell(keys, "accent"), Cell(_(action.title)), Cell(_(action.help), "muted")
            # the id is what the settings file calls it
            about = f"{_(action.help)}  {action.id}"
            return Found(cells, about, action.id if action.context in (here, APP) else "")

        super().__init__(
            _("Keys"),
            lambda text: [found(line) for line in lines_for(keymap, here, text)],
            (Column(12), Column(21), Column(20, share=1)),
            detail=_('Keys of your own go into {file}, below a line [keys], such as: dataset.order = "o"').format(
                file=plain(str(settings_file()))
            ),
            hint=_("search keys and commands"),
            empty=_("No key or command has these words."),
        )


def lines_for(keymap: Keymap, here: str, text: str) -> list[Line]:
    """The lines that have every word of ``text``: problems, this screen, everywhere, lists, the other screens."""
    words = text.casefold().split()
    others = [entry.name for entry in SCREENS if entry.name != here]
    found = [Line(problem=f"{problem.action}: {problem.message}") for problem in keymap.problems if not words]
    for context in (here, APP, LIST, *others, DIALOG, PRUNE, CONFLICTS, SWEEP, SHEET):
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
