"""A screen that is a list at one side and the thing under its cursor at the other, and its filter, order and marks.

A screen of its own names its columns, draws a row, and shows the thing under the cursor; it sets :attr:`rows` whenever
it knows more and calls :meth:`ListScreen.select`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Vertical

from lora_tui.text import _, count
from lora_tui.tui.cells import Cell
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.list_find import ListFind
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.row_list import RowList
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

T = TypeVar("T")

REST_SECONDS = 0.06
"""How long the cursor rests on a row before its files are read: a held key reads few."""


class ListScreen(BaseScreen, Generic[T]):
    """The list, and what is said of the row under the cursor; the list is read again without losing the cursor."""

    COLUMNS: ClassVar[tuple[Column, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[T] = []
        self.shown: Sequence[T] = ()
        self._wanted: object = None

    # -- a list's own

    @abstractmethod
    def cells(self, row: T) -> list[Cell]:
        """A row as it is drawn."""

    @abstractmethod
    def key_of(self, row: T) -> object:
        """What tells a row from the others, now and when all is read again."""

    @abstractmethod
    def empty_words(self) -> str:
        """What is said where there is no row."""

    @abstractmethod
    def told(self) -> str:
        """The status line."""

    @abstractmethod
    def show_here(self) -> None:
        """Show the thing under the cursor, or that there is none."""

    @abstractmethod
    def action_open(self) -> None:
        """A row was clicked twice."""

    def compose_right(self) -> ComposeResult:
        """The widgets below the facts."""
        return ()

    # -- the list

    def compose_body(self) -> ComposeResult:
        with Container(id="sides"):
            yield RowList(self.COLUMNS, self.cells, self.key_of, gap=1, id="list")
            with Vertical(id="right"):
                yield Lines(id="facts")
                yield from self.compose_right()

    @property
    def listed(self) -> RowList[T]:
        """The list."""
        return self.query_one("#list", RowList)

    @property
    def row_here(self) -> T | None:
        """The row under the cursor."""
        found = self.query_one_optional("#list", RowList)
        return found.here if found is not None else None

    def take_rows(self, rows: Iterable[T]) -> None:
        """There are these rows now; :meth:`select` shows them."""
        self.rows = list(rows)

    def wanted(self, row: object) -> None:
        """Put the cursor on the row with this key, now or once it is read."""
        self._wanted = row
        self.select()

    def select(self, step: int = 0, *, stay: bool = True) -> None:
        """Show the rows; the cursor stays on its own, or goes ``step`` rows on."""
        listed = self.query_one_optional("#list", RowList)
        if listed is None:
            return  # the app is being left
        self.shown = self.filtered()
        if listed.take(self.shown, wanted=self._wanted, step=step, stay=stay, empty=self.empty_words()):
            self._wanted = None
        self.set_status(self.told())
        self.show_here()
        self.refresh_keys()

    def filtered(self) -> Sequence[T]:
        """The rows that are shown, in their order."""
        return self.rows

    @on(VirtualList.Moved, "#list")
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self.show_here()
        self.refresh_keys()

    @on(VirtualList.Chosen, "#list")
    def _clicked(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_open()

    @on(Lines.Resized, "#facts")
    @on(events.Resize)
    def _size_changed(self) -> None:
        self.call_after_refresh(self.show_here)


class FindScreen(ListScreen[T]):
    """A list with a filter, an order and marks."""

    def __init__(self, find: ListFind) -> None:
        super().__init__()
        self.find = find

    def doers(self) -> tuple[object, ...]:
        return (self, self.find)

    def key_of(self, row: T) -> object:
        return self.find.key_of(row)

    @property
    def takes_keys(self) -> bool:
        return super().takes_keys and not self.query_one(Prompt).deciding

    def compose_body(self) -> ComposeResult:
        yield from super().compose_body()
        yield Prompt(id="prompt")

    def take_rows(self, rows: Iterable[T]) -> None:
        super().take_rows(rows)
        self.find.marks &= {self.key_of(row) for row in self.rows}

    def filtered(self) -> Sequence[T]:
        return self.find.shown(self.rows)

    def counted(self) -> str:
        """How many rows there are, and how many of them are shown."""
        text = self.find.counted(len(self.rows))
        if len(self.shown) == len(self.rows):
            return text
        return _("{shown} of {all}").format(shown=count(len(self.shown)), all=text)

    def go_back(self) -> bool:
        if self.query_one(Prompt).is_open:
            self.find.leave_prompt()
            return True
        return self.find.clear()

    def key_hints(self) -> list[KeyHint]:
        prompt = self.query_one_optional(Prompt)
        return prompt.hints() if prompt is not None and prompt.is_open else super().key_hints()

    @on(Prompt.Typed)
    def _typed(self, event: Prompt.Typed) -> None:
        event.stop()
        self.find.typed(event.text)

    @on(Prompt.Done)
    def _done(self, event: Prompt.Done) -> None:
        event.stop()
        self.find.done(event.text)

    @on(Prompt.Completed)
    def _completed(self, event: Prompt.Completed) -> None:
        event.stop()
        self.resume_keys()
