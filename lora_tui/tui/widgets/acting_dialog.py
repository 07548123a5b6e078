"""A dialog with actions of its own beside those of every dialog; it says above its keys why one cannot be done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from lora_tui.text import _
from lora_tui.tui.acting import hints_of
from lora_tui.tui.cells import Cell
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.footer import KeyHint, Keys
from lora_tui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from lora_tui.tui.app import LoraTuiApp

T = TypeVar("T")


class ActingDialog(Dialog[T]):
    """Set ``ALSO`` to the name of its actions, and put ``Lines(id="told")`` at the end of its body."""

    DEFAULT_CSS = """
    ActingDialog > #box { width: 96%; max-width: 120; }
    ActingDialog #told { height: 1; }
    """
    LEAVE: ClassVar[str] = ""
    """The word for Esc, a message id; the action's own when empty."""

    @property
    def shell(self) -> LoraTuiApp:
        """The app, with its own type."""
        return cast("LoraTuiApp", self.app)

    def hints(self) -> list[KeyHint]:
        """The keys that work now."""
        leave = {"dialog.cancel": _(self.LEAVE)} if self.LEAVE else {}
        found = [replace(hint, title=leave.get(hint.action, hint.title)) for hint in super().hints()]
        if self.is_mounted:
            found[1:1] = [hint for hint in hints_of(self.app, self.ALSO) if not self.refusal(hint.action)]
        return found

    def show_keys(self) -> None:
        """Draw the line of keys again: what can be done has changed."""
        self.query_one(Keys).show(self.hints())

    def tell(self, text: str, tone: str = "") -> None:
        """Say something above the keys."""
        self.query_one("#told", Lines).show([[Cell(text, tone)]] if text else [])

    async def action_act(self, action_id: str) -> None:
        why = self.refusal(action_id)
        self.tell(why, "warning")
        if not why:
            await super().action_act(action_id)
