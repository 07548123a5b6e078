"""All keys, drawn from the table of actions: what works here first, searchable, and doable from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from lora_tui.settings import settings_file
from lora_tui.text import N_, _, plain
from lora_tui.tui.acting import hints_of
from lora_tui.tui.actions import (
    ALIKE,
    APP,
    ASKING,
    CONFLICTS,
    CROP,
    DIALOG,
    HELP,
    LIST,
    OVER,
    PRUNE,
    SHEET,
    SWEEP,
    TAGGING,
    TASKS,
    TUNING,
    WRITING,
    Action,
)
from lora_tui.tui.cells import Cell
from lora_tui.tui.keymap import Keymap
from lora_tui.tui.screens import SCREENS, entry_of
from lora_tui.tui.screens.dataset_prepare_actions import PREPARE
from lora_tui.tui.screens.rebinding import AskKey
from lora_tui.tui.widgets.finder import Finder, Found
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

if TYPE_CHECKING:
    from lora_tui.tui.app import LoraTuiApp

CONTEXTS = {
    APP: N_("Everywhere"),
    LIST: N_("In lists"),
    DIALOG: N_("In dialogs"),
    PRUNE: N_("In the prune assistant"),
    CONFLICTS: N_("Among edits that wait"),
    SWEEP: N_("In the review sweep"),
    SHEET: N_("In the contact sheet"),
    WRITING: N_("While a caption is written"),
    ALIKE: N_("Among images that are alike"),
    CROP: N_("While a part of an image is chosen"),
    TASKS: N_("Among work in the background"),
    PREPARE: N_("While images are prepared"),
    TAGGING: N_("In the form of a tagging"),
    ASKING: N_("While models are asked"),
    TUNING: N_("Among thresholds of taggers"),
    HELP: N_("In this list of keys"),
}


@dataclass(frozen=True)
class Line:
    """One line: a heading, a problem with the keys of the settings, or an action."""

    heading: str = ""
    problem: str = ""
    action: Action | None = None


class HelpScreen(Finder):
    """Dismissed with the id of an action to do, or None."""

    ALSO = HELP
    CSS_PATH = "help.tcss"

    def __init__(self, keymap: Keymap, here: str, *, ascii_only: bool = False) -> None:
        """``here`` is the context of the screen below."""
        self._keymap, self._here, self._ascii_only = keymap, here, ascii_only
        self._lines: list[Line] = []
        super().__init__(
            _("Keys"),
            self._found,
            (Column(12), Column(21), Column(20, share=1)),
            detail=_(
                "{key} gives the action under the cursor another key; they are kept in {file}, below [keys]."
            ).format(key=keymap.shown("help.rebind", ascii_only=ascii_only), file=plain(str(settings_file()))),
            hint=_("search keys and commands"),
            empty=_("No key or command has these words."),
        )

    def _found(self, text: str) -> list[Found]:
        self._lines = lines_for(self._keymap, self._here, text)
        return [self._row(line) for line in self._lines]

    def _row(self, line: Line) -> Found:
        action = line.action
        if action is None:
            return Found((Cell(line.problem or line.heading, "warning" if line.problem else "strong"),), line.problem)
        keys = self._keymap.all_shown(action.id, ascii_only=self._ascii_only)
        cells = Cell(keys, "accent"), Cell(_(action.title)), Cell(_(action.help), "muted")
        # the id is what the settings file calls it
        about = f"{_(action.help)}  {action.id}"
        doable = (self._here,) if self._here in OVER else (self._here, APP)
        return Found(cells, about, action.id if action.context in doable else "")

    def hints(self) -> list[KeyHint]:
        found = super().hints()
        found[1:1] = hints_of(self.app, HELP)
        return found

    # -- other keys

    def action_rebind(self) -> None:
        """Ask for another key of the action under the cursor."""
        index = self.query_one(VirtualList).cursor
        action = self._lines[index].action if 0 <= index < len(self._lines) else None
        if action is None:
            return
        title = _("Another key for: {title}").format(title=_(action.title))
        now = self._keymap.all_shown(action.id, ascii_only=self._ascii_only)
        self.app.push_screen(AskKey(title, now, partial(self._flaw, action.id)), partial(self._rebind, action.id))

    def _flaw(self, action_id: str, keys: tuple[str, ...]) -> str:
        """Why an action cannot have these keys; empty when it can."""
        own = {**self._shell.settings.keys, action_id: keys}
        found = Keymap(self._keymap.actions, own).problems
        return next((problem.message for problem in found if problem.action == action_id), "")

    def _rebind(self, action_id: str, keys: tuple[str, ...] | None) -> None:
        if keys is None:
            return
        shell = self._shell
        others = {name: own for name, own in shell.settings.keys.items() if name != action_id}
        shell.keep(keys={**others, action_id: keys} if keys else others)
        shell.take_keymap()
        self._keymap = shell.keymap
        self.find_again()

    @property
    def _shell(self) -> LoraTuiApp:
        return cast("LoraTuiApp", self.app)


def lines_for(keymap: Keymap, here: str, text: str) -> list[Line]:
    """The lines that have every word of ``text``: problems, this screen, everywhere, lists, the other screens."""
    words = text.casefold().split()
    others = [entry.name for entry in SCREENS if entry.name != here]
    problems = [f"{problem.action}: {problem.message}" for problem in keymap.problems]
    found = [Line(problem=text) for text in problems if all(word in text.casefold() for word in words)]
    for context in dict.fromkeys((here, *OVER.get(here, ()), APP, LIST, *others, *CONTEXTS)):
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
