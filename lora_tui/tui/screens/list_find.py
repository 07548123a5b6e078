"""Which rows a screen's list shows and in what order: filter, sorting, marks. A screen derives its own from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lora_tui.records.query import FilterError, Language, Test
from lora_tui.text import _, count, plain
from lora_tui.tui.tags.kept import History
from lora_tui.tui.tags.offers import Offer
from lora_tui.tui.widgets.dialog import Choice, Choose
from lora_tui.tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from lora_tui.tui.screens.list_screen import FindScreen

MOST_OFFERED = 20


class ListFind(ABC):
    """What of all rows is shown.

    Attributes:
        sorts: fields to sort by, and what a person reads; ``order_title`` stands over them.
        hint: an example of a filter.
    """

    language: ClassVar[Language]
    sorts: ClassVar[tuple[tuple[str, str], ...]]
    order_title: ClassVar[str]
    hint: ClassVar[str]
    kept_as: ClassVar[str]

    def __init__(self, screen: Any) -> None:
        self._screen: FindScreen[Any] = screen
        self.text = ""
        self.sort = ""
        self.marks: set[Any] = set()
        self._history = History(self.kept_as)
        self._before = ""

    # -- a list's own

    @abstractmethod
    def parse(self, text: str) -> Test:
        """The filter as a test of a row; raises FilterError."""

    @abstractmethod
    def ordered(self, rows: Iterable[Any]) -> list[Any]:
        """The rows in the order of :attr:`sort`."""

    @abstractmethod
    def key_of(self, row: Any) -> Any:
        """What marks a row."""

    @abstractmethod
    def counted(self, number: int) -> str:
        """So many rows, in words."""

    def values(self, field: str) -> list[str]:
        """What rows have in a field, for completion."""
        if field in ("is", "has"):
            return list(self.language.kinds)
        get: Callable[[Any], Any] | None = self.language.fields.get(field)
        found: set[str] = set()
        for row in self._screen.rows if get is not None else ():
            value = get(row) if get is not None else None
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, str) and one and " " not in one:
                    found.add(plain(one.casefold(), limit=60))
        return sorted(found)

    # -- what is shown

    @property
    def _prompt(self) -> Prompt:
        return self._screen.query_one(Prompt)

    def shown(self, rows: Sequence[Any]) -> list[Any]:
        """The rows that the filter leaves, in their order; a filter that is not finished leaves all."""
        try:
            test = self.parse(self.text)
        except FilterError:
            return self.ordered(rows)
        return self.ordered([row for row in rows if test(row)])

    def spoken(self) -> list[str]:
        """What is shown and how, for the status line."""
        parts = []
        if self.marks:
            parts.append(_("{count} marked").format(count=count(len(self.marks))))
        if self.text:
            parts.append(_("filter: {words}").format(words=plain(self.text, limit=40)))
        if self.sort:
            parts.append(_("by {fact}").format(fact=_(dict(self.sorts).get(self.sort, self.sort))))
        return parts

    # -- filter

    def action_filter(self) -> None:
        self._before = self.text
        self._prompt.ask(_("filter"), value=self.text, offers=self._offers, before=self._history.lines)
        self._remark_empty()
        self._screen.refresh_keys()

    def _remark_empty(self) -> None:
        self._prompt.remark(_(self.hint))

    def _offers(self, text: str) -> Sequence[Offer]:
        """Fields, and what there is of them in these rows, for the last word."""
        head, word = text[: len(text) - len(text.split(" ")[-1])], text.split(" ")[-1]
        sign = "-" if word.startswith("-") else ""
        word = word.removeprefix("-")
        if not word:
            return []
        field, colon, value = word.partition(":")
        if not colon:
            names = [f"{name}:" for name in self.language.fields if name.startswith(word)]
            names += [f"is:{name}" for name in self.language.kinds if name.startswith(word)]
        else:
            names = [f"{field}:{one}" for one in self.values(field) if one.startswith(value.casefold())]
        return [Offer(head + sign + name, name) for name in names[:MOST_OFFERED] if name != word]

    def typed(self, text: str) -> None:
        """Another letter: the list follows."""
        if not self._prompt.is_open:
            return
        try:
            self.parse(text)
        except FilterError as error:
            words = error.message if not error.remedy else f"{error.message} {error.remedy}"
            self._prompt.remark(plain(words), "warning", error.column)
            return
        self.text = text.strip()
        self._screen.select(stay=False)
        if not self.text:
            self._remark_empty()
        else:
            self._prompt.remark(self.counted(len(self._screen.shown)))

    def done(self, text: str) -> None:
        """Enter."""
        self._prompt.deciding = False
        try:
            self.parse(text)
        except FilterError:
            self.typed(text)  # says what is wrong; the line stays
            self._screen.shell.forget_keys()
        else:
            self.text = text.strip()
            self._history.add(self.text)
            self._leave()
        self._screen.resume_keys()

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
        """Show all rows, then take the marks away; false when neither was to do."""
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

        choices = [Choice(field, _(title)) for field, title in self.sorts]
        self._screen.app.push_screen(Choose(_(self.order_title), choices, current=self.sort), chosen)

    def action_mark(self) -> None:
        here = self._screen.row_here
        if here is not None:
            self.marks ^= {self.key_of(here)}
            self._screen.select(step=1)

    def action_mark_all(self) -> None:
        there = {self.key_of(row) for row in self._screen.shown}
        self.marks = self.marks - there if there <= self.marks else self.marks | there
        self._screen.select()

    def meant(self) -> list[Any]:
        """The marked rows in the order of the list, else the one under the cursor."""
        marked = [row for row in self._screen.rows if self.key_of(row) in self.marks]
        here = self._screen.row_here
        return marked or ([here] if here is not None else [])
