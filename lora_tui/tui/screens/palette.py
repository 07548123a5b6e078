"""Everything by its name: a field, and the actions that apply here, best match first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lora_tui.text import _
from lora_tui.tui.actions import Action
from lora_tui.tui.cells import Cell
from lora_tui.tui.widgets.dialog import LOW
from lora_tui.tui.widgets.finder import Finder, Found
from lora_tui.tui.widgets.virtual_list import Column


@dataclass(frozen=True)
class Entry:
    """An action with its key as shown, and why it cannot be done now (empty when it can)."""

    action: Action
    key: str
    refusal: str = ""


class Palette(Finder):
    """Dismissed with the id of the action to do."""

    CSS_PATH = "palette.tcss"

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(
            _("Commands"),
            lambda text: [_found(entry) for entry in search(entries, text)],
            (Column(21), Column(10, share=1), Column(7, align="right")),
            hint=_("what do you want to do"),
            empty=_("No command has these words."),
        )

    def room(self, height: int) -> int:
        around = 11  # frame, title, field, what the row is, keys, and the gaps between them
        return height - around - 2 if height >= LOW else height - around + 4


def _found(entry: Entry) -> Found:
    words = entry.refusal or _(entry.action.help)
    title = Cell(_(entry.action.title), "muted" if entry.refusal else "")
    return Found((title, Cell(words, "muted"), Cell(entry.key, "accent")), words, entry.action.id)


def search(entries: Sequence[Entry], text: str) -> list[Entry]:
    """The entries that have every word, those first whose title begins with the text, then whose title has it.

    Words are found in the current language and in English, in the title, the help, the id and the key.
    """
    wanted = text.casefold().strip()
    words = wanted.split()

    def rank(entry: Entry) -> int:
        action = entry.action
        titles = (_(action.title).casefold(), action.title.casefold())
        if any(title.startswith(wanted) for title in titles):
            return 0
        if any(all(word in title for word in words) for title in titles):
            return 1
        everything = " ".join((*titles, _(action.help), action.help, action.id, entry.key)).casefold()
        return 2 if all(word in everything for word in words) else 3

    ranked = (
        [(rank(entry), number) for number, entry in enumerate(entries)]
        if wanted
        else [(0, number) for number in range(len(entries))]
    )
    return [entries[number] for place, number in sorted(ranked) if place < 3]
