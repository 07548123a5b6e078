"""Every operation and command of the tag editor's command line, searchable; what is chosen comes into the line."""

from __future__ import annotations

from lora_tui.captions.verbs import VERBS
from lora_tui.text import _
from lora_tui.tui.cells import Cell
from lora_tui.tui.tags.offers import COMMANDS
from lora_tui.tui.widgets.finder import Finder, Found
from lora_tui.tui.widgets.virtual_list import Column

AROUND = 13
"""Lines of the dialog that are no rows: frame, title, what the signs mean, field, the whole row, keys."""


class OperationsHelp(Finder):
    """Dismissed with the name of an operation or a command, or None."""

    def __init__(self) -> None:
        super().__init__(
            _("Operations and commands"),
            rows_for,
            (Column(13), Column(20, share=1)),
            detail=_("Words in capitals are yours; what stands in brackets may be left out; | is or."),
            hint=_("search operations and commands"),
            empty=_("No operation or command has these words."),
        )
        self.accept_words = _("into the line")

    def room(self, height: int) -> int:
        return max(height * 9 // 10 - AROUND, 3)


def rows_for(text: str) -> list[Found]:
    """The operations, then the commands, that have every word of ``text``; first those whose names begin with it."""
    words = text.casefold().split()
    found: list[Found] = []
    operations = {name: said for name, (_build, said) in VERBS.items()}
    for heading, known in ((_("Operations"), operations), (_("Commands of the editor"), COMMANDS)):
        rows = []
        for name, said in sorted(known.items(), key=lambda row: not row[0].startswith(words[0] if words else "")):
            shown = _(said)
            if all(word in f"{shown} {said}".casefold() for word in words):
                how = shown.removeprefix(name).lstrip(" :：")
                rows.append(Found((Cell(name, "accent"), Cell(how, "muted")), shown, name))
        if rows:
            found += [*([Found((Cell(""),))] if found else []), Found((Cell(heading, "strong"),)), *rows]
    return found
