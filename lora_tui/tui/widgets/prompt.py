"""One line at the bottom of a screen in which something is typed, with completions above it and a remark below.

Tab takes the completion under the cursor (the first one without a cursor), Enter takes what is typed, or the completion
that was moved to; one that is ``taken`` is under the cursor by itself. Up on no completion goes back through the lines
that were typed before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static
from textual.widgets.input import Selection

from lora_tui.text import _
from lora_tui.tui.acting import keymap_of
from lora_tui.tui.cells import Cell, fit
from lora_tui.tui.keymap import key_text
from lora_tui.tui.tags.offers import Offer
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

MOST_OFFERS = 7
"""Completions that are seen at once."""

_BESIDE = (Column(12, share=1), Column(8, share=1, align="right"))
"""Completions with their remarks at the right; remarks that are sentences follow the words instead."""


class PromptField(TextField):
    """The field of a prompt."""

    BINDINGS = [("up", "offer(-1)"), ("down", "offer(1)"), ("tab", "take"), ("shift+tab", "offer(-1)")]

    def __init__(self, prompt: Prompt) -> None:
        super().__init__(id="typed")
        self._prompt = prompt

    def action_offer(self, step: int) -> None:
        """To another completion, or to another line of before."""
        self._prompt.step(step)

    def action_take(self) -> None:
        """Put the completion into the line."""
        self._prompt.take()

    async def action_submit(self) -> None:
        """Enter: from this moment on keys are for what comes of the line."""
        self._prompt.deciding = True
        await super().action_submit()


class Prompt(Vertical):
    """Hidden until :meth:`ask`.

    Attributes:
        deciding: whether Enter was pressed and nobody has said yet what comes of it; keys wait so long.
    """

    DEFAULT_CSS = """
    Prompt { display: none; height: auto; dock: bottom; background: $surface; }
    Prompt #offers { height: auto; max-height: 7; background: $surface; }
    Prompt #line { height: 1; }
    Prompt #label { width: auto; height: 1; padding: 0 1; background: $panel; text-style: bold; }
    Prompt #typed { width: 1fr; }
    Prompt #remark { height: 1; background: $surface; }
    """

    class Typed(Message):
        """The line is another."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Prompt.Typed)

    class Done(Message):
        """Enter was pressed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Completed(Message):
        """Enter took a completion into the line, which can be typed on."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._offering: Callable[[str], Sequence[Offer]] | None = None
        self._offers: list[Offer] = []
        self._chosen = -1
        self._before: list[str] = []
        self._back = 0
        self._final = False
        self._label = ""
        self.deciding = False

    def compose(self) -> ComposeResult:
        rows = VirtualList(_BESIDE, self._row, marker=True, quiet=True, id="offers")
        rows.driven = True
        yield rows
        with Horizontal(id="line"):
            yield Static("", id="label", markup=False)
            yield PromptField(self)
        yield Lines(id="remark")

    @property
    def is_open(self) -> bool:
        """Whether something is being asked."""
        return bool(self.display)

    @property
    def value(self) -> str:
        """What is typed."""
        field = self.query_one_optional(PromptField)  # none any more while the app is being left
        return field.value if field is not None else ""

    def ask(
        self,
        label: str,
        *,
        value: str = "",
        offers: Callable[[str], Sequence[Offer]] | None = None,
        before: Sequence[str] = (),
        final: bool = False,
        selected: bool = True,
    ) -> None:
        """Ask for a line.

        Args:
            before: the lines of earlier, oldest first.
            final: Enter on a completion takes it and is done; else it only completes the line.
            selected: whether typing replaces ``value``; else it goes on behind it.
        """
        self._final = final
        self._offering, self._before, self._back = offers, list(before), len(before)
        self._label = label
        self.query_one("#label", Static).update(label)
        field = self.query_one(PromptField)
        with self.prevent(TextField.Changed):
            field.value = value
        field.selection = Selection(0 if selected else len(value), len(value))  # End or an arrow keeps what is selected
        self.display = True
        self.remark("")
        self._offer(None if value and selected else value)
        self.screen.set_focus(field)  # now: what is typed next is meant for the field
        if value:
            self.post_message(self.Typed(value))

    def close(self) -> None:
        """Ask no more."""
        self.deciding = False
        self.display = False
        self._offers = []

    def remark(self, text: str, tone: str = "muted", column: int = -1) -> None:
        """Say something below the line; with ``column`` a caret stands under that character of it.

        The words stand behind the caret, or in front of it where there is more room.
        """
        if (lines := self.query_one_optional("#remark", Lines)) is None:
            return  # the app is being left
        if column >= 0:
            text = self._with_caret(text, column)
        lines.show([[Cell(text, tone)]])

    def _with_caret(self, text: str, column: int) -> str:
        field = self.query_one(PromptField)
        before = cell_len(field.value[:column]) - field.scroll_offset.x
        place = cell_len(self._label) + 3 + before  # a blank before and behind the label, one before what is typed
        if before < 0 or place >= self.size.width:
            return _("column {number}").format(number=column + 1) + ": " + text
        behind, width = self.size.width - place - 2, cell_len(text)
        if width > behind and place > behind:
            return " " * (place - width - 1) + fit(text, min(width, place - 1)) + " ^"
        return " " * place + "^ " + text

    def hints(self) -> list[KeyHint]:
        """The keys that work while something is asked."""
        ascii_only = bool(getattr(self.app, "ascii_only", False))
        keymap = keymap_of(self.app)
        found = [KeyHint("", key_text("enter"), _("take it"))]
        if self._offering is not None:
            found.append(KeyHint("", key_text("tab"), _("complete")))
            up, down = (key_text(key, ascii_only=ascii_only) for key in ("up", "down"))
            found.append(KeyHint("", f"{up} {down}", _("choose")))
        if self._before:
            found.append(KeyHint("", key_text("up", ascii_only=ascii_only), _("typed before")))
        found.append(KeyHint("app.back", keymap.shown("app.back", ascii_only=ascii_only), _("cancel"), kept=True))
        return found

    def step(self, step: int) -> None:
        """To another completion; above the first one to the lines of before."""
        if self._back < len(self._before) and self._chosen < 0:
            self._go_back(step)
        elif step < 0 and self._chosen < 0:
            self._go_back(-1)
        elif self._offers:
            self._choose(min(self._chosen + step, len(self._offers) - 1))

    def take(self) -> None:
        """Put a completion into the line."""
        if self._offers:
            self._put(self._offers[max(self._chosen, 0)].text)

    def _go_back(self, step: int) -> None:
        place = min(max(self._back + step, 0), len(self._before))
        if place != self._back or place < len(self._before):
            self._back = place
            self._put(self._before[place] if place < len(self._before) else "", keep=True)

    def _put(self, text: str, *, keep: bool = False) -> None:
        field = self.query_one(PromptField)
        with self.prevent(TextField.Changed):
            field.value = text
        field.cursor_position = len(text)
        if not keep:
            self._back = len(self._before)
        self._offer(None if keep else text)
        self.post_message(self.Typed(text))

    def _choose(self, place: int) -> None:
        self._chosen = place
        rows = self.query_one("#offers", VirtualList)
        if place >= 0:
            rows.cursor = place
        self._draw_cursor(rows)

    def _draw_cursor(self, rows: VirtualList) -> None:
        """The cursor is there only where Enter takes its row."""
        rows.driven = self._chosen >= 0
        rows.can_focus = False
        rows.reload()

    def _offer(self, text: str | None) -> None:
        self._offers = list(self._offering(text)) if self._offering is not None and text is not None else []
        self._chosen = -1
        rows = self.query_one("#offers", VirtualList)
        if self._final and self._offers and self._offers[0].taken:
            self._chosen = 0
        label = max((cell_len(offer.label) for offer in self._offers), default=0)
        remark = max((cell_len(offer.remark) for offer in self._offers), default=0)
        columns = (Column(label), Column(8, share=1)) if remark > self.app.size.width // 2 > label else _BESIDE
        if columns != rows.columns:
            rows.set_columns(columns)
        rows.set_count(len(self._offers), cursor=0)
        self._draw_cursor(rows)
        rows.display = bool(self._offers)
        rows.styles.height = min(len(self._offers), MOST_OFFERS)

    def _row(self, index: int) -> tuple[Cell, Cell]:
        if index >= len(self._offers):
            return Cell(""), Cell("")  # closed: the list is about to be hidden
        offer = self._offers[index]
        return Cell(offer.label, "accent" if index == self._chosen else offer.tone), Cell(offer.remark, "muted")

    @on(TextField.Changed)
    def _typed(self, event: TextField.Changed) -> None:
        event.stop()
        self._back = len(self._before)
        self._offer(event.value)
        self.post_message(self.Typed(event.value))

    @on(TextField.Submitted)
    def _submitted(self, event: TextField.Submitted) -> None:
        event.stop()
        if self._chosen >= 0:
            text = self._offers[self._chosen].text
            self._put(text)
            if not self._final:
                self.deciding = False
                self.post_message(self.Completed())
                return
            event.value = text
        self.post_message(self.Done(event.value))
