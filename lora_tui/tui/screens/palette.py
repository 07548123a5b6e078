"""Everything by its name: a field, and the actions that apply here, best match first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from lora_tui.text import _
from lora_tui.tui.actions import Action
from lora_tui.tui.cells import Cell
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.virtual_list import Column, VirtualList


@dataclass(frozen=True)
class Entry:
    """An action with its key as shown, and why it cannot be done now (empty when it can)."""

    action: Action
    key: str
    refusal: str = ""


class Palette(Dialog[str]):
    """Dismissed with the id of the action to do."""

    CSS_PATH = "palette.tcss"

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(_("Commands"))
        self.accept_words = _("do it")
        self._entries = tuple(entries)
        self._shown = list(self._entries)

    def compose_body(self) -> ComposeResult:
        columns = (Column(22, share=1, most=28), Column(10, share=3), Column(7, align="right"))
        rows = VirtualList(columns, self._row, count=len(self._shown), empty=_("No command has these words."))
        rows.driven = True
        yield TextField(placeholder=_("what do you want to do"), list=rows)
        yield rows
        yield Static("", id="about", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(TextField).focus()

    def _row(self, index: int) -> tuple[Cell, Cell, Cell]:
        entry = self._shown[index]
        tone = "muted" if entry.refusal else ""
        return (
            Cell(_(entry.action.title), tone),
            Cell(entry.refusal or _(entry.action.help), "muted"),
            Cell(entry.key, "accent"),
        )

    def _about(self, index: int) -> str:
        if not 0 <= index < len(self._shown):
            return ""
        entry = self._shown[index]
        return entry.refusal or _(entry.action.help)

    @on(TextField.Changed)
    def _typed(self, event: TextField.Changed) -> None:
        event.stop()
        self._shown = search(self._entries, event.value)
        rows = self.query_one(VirtualList)
        rows.set_count(len(self._shown), cursor=0)
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

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        index = self.query_one(VirtualList).cursor
        if 0 <= index < len(self._shown):
            self.dismiss(self._shown[index].action.id)


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
