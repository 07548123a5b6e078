"""Which runs the list shows and in what order: filter, sorting, marks. Part of the list of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.records.fields import FIELDS, KINDS
from lora_tui.records.order import ordered
from lora_tui.records.query import FilterError, parse
from lora_tui.records.rows import Row
from lora_tui.runs.status import STATES
from lora_tui.text import N_, _, count, ngettext, plain
from lora_tui.tui.tags.kept import History
from lora_tui.tui.tags.offers import Offer
from lora_tui.tui.widgets.dialog import Choice, Choose
from lora_tui.tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from lora_tui.tui.screens.runs import RunsScreen

SORTS: tuple[tuple[str, str], ...] = (
    ("", N_("when it began, the newest first")),
    ("loss", N_("loss")),
    ("validation", N_("lowest validation loss")),
    ("-rating", N_("rating, the best first")),
    ("name", N_("name")),
    ("state", N_("state")),
    ("-step", N_("steps, the most first")),
    ("-took", N_("time it took, the longest first")),
    ("adapter", N_("adapter")),
    ("-rank", N_("rank, the highest first")),
    ("lr", N_("learning rate")),
    ("family", N_("model family")),
)


class RunsFind:
    """What of all runs is shown."""

    def __init__(self, screen: RunsScreen) -> None:
        self._screen = screen
        self.text = ""
        self.sort = ""
        self.marks: set[Path] = set()
        self._history = History("runs-filter")
        self._before = ""

    @property
    def _prompt(self) -> Prompt:
        return self._screen.query_one(Prompt)

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that the filter leaves, in their order; a filter that is not finished leaves all."""
        try:
            test = parse(self.text)
        except FilterError:
            return ordered(rows, self.sort)
        return ordered([row for row in rows if test(row)], self.sort)

    def spoken(self) -> list[str]:
        """What is shown and how, for the status line."""
        parts = []
        if self.marks:
            parts.append(_("{count} marked").format(count=count(len(self.marks))))
        if self.text:
            parts.append(_("filter: {words}").format(words=plain(self.text, limit=40)))
        if self.sort:
            parts.append(_("by {fact}").format(fact=_(dict(SORTS).get(self.sort, self.sort))))
        return parts

    # -- filter

    def action_filter(self) -> None:
        self._before = self.text
        self._prompt.ask(_("filter"), value=self.text, offers=self._offers, before=self._history.lines)
        self._remark_empty()
        self._screen.refresh_keys()

    def _remark_empty(self) -> None:
        self._prompt.remark(_("Words in names, notes and tags, or such as: family:flux lr<1e-4 tag:good rating>=4"))

    def _offers(self, text: str) -> Sequence[Offer]:
        """Fields, and what there is of them in these runs, for the last word."""
        head, word = text[: len(text) - len(text.split(" ")[-1])], text.split(" ")[-1]
        sign = "-" if word.startswith("-") else ""
        word = word.removeprefix("-")
        if not word:
            return []
        field, colon, value = word.partition(":")
        if not colon:
            names = [f"{name}:" for name in FIELDS if name.startswith(word)]
            names += [f"is:{name}" for name in KINDS if name.startswith(word)]
        else:
            names = [f"{field}:{one}" for one in self._values(field) if one.startswith(value.casefold())]
        return [Offer(head + sign + name, name) for name in names[:20] if name != word]

    def _values(self, field: str) -> list[str]:
        if field in ("is", "has"):
            return list(KINDS)
        if field == "state":
            return list(STATES)
        get = FIELDS.get(field)
        found: set[str] = set()
        for row in self._screen.rows if get is not None else ():
            value = get(row) if get is not None else None
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, str) and one and " " not in one:
                    found.add(plain(one.casefold(), limit=60))
        return sorted(found)

    def typed(self, text: str) -> None:
        """Another letter: the list follows."""
        if not self._prompt.is_open:
            return
        try:
            parse(text)
        except FilterError as error:
            words = error.message if not error.remedy else f"{error.message} {error.remedy}"
            self._prompt.remark(plain(words), "warning", error.column)
            return
        self.text = text.strip()
        self._screen.select()
        if not self.text:
            self._remark_empty()
        else:
            shown = len(self._screen.shown)
            self._prompt.remark(ngettext("{count} run", "{count} runs", shown).format(count=count(shown)))

    def done(self, text: str) -> None:
        """Enter."""
        self._prompt.deciding = False
        try:
            parse(text)
        except FilterError:
            self.typed(text)  # says what is wrong; the line stays
            self._screen.shell.forget_keys()
        else:
            self.text = text.strip()
            self._history.add(self.text)
            self._leave()
        self._screen.call_later(self._screen.shell.give_keys)

    def leave_prompt(self) -> None:
        """Esc: the filter is what it was before."""
        self._leave()
        self.text = self._before
        self._screen.select()

    def _leave(self) -> None:
        self._prompt.close()
        self._screen.select()
        self._screen.refresh_keys()
        self._screen.set_focus(self._screen.listed)

    def clear(self) -> bool:
        """Show all runs, then take the marks away; false when neither was to do."""
        if self.text:
            self.text = ""
        elif self.marks:
            self.marks.clear()
        else:
            return False
        self._screen.select()
        return True

    # -- order and marks

    def action_sort(self) -> None:
        def chosen(field: str | None) -> None:
            if field is not None:
                self.sort = field
                self._screen.select()

        choices = [Choice(field, _(title)) for field, title in SORTS]
        self._screen.app.push_screen(Choose(_("Order of the runs"), choices, current=self.sort), chosen)

    def action_mark(self) -> None:
        status = self._screen.chosen
        if status is not None:
            self.marks ^= {status.run.root}
            self._screen.select(step=1)

    def action_mark_all(self) -> None:
        there = {row.run.root for row in self._screen.shown}
        self.marks = self.marks - there if there <= self.marks else self.marks | there
        self._screen.select()

    def meant(self) -> list[Row]:
        """The marked runs in the order of the list, else the one under the cursor."""
        marked = [row for row in self._screen.rows if row.run.root in self.marks]
        here = self._screen.row_here
        return marked or ([here] if here is not None else [])
