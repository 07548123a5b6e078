"""The review sweep: one tag, image after image; y has it, n has it not, s goes on, u takes the last answer back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from lora_tui.captions.quoting import quoted
from lora_tui.errors import UserError
from lora_tui.text import _, count, plain
from lora_tui.tui.acting import Acting, hints_of
from lora_tui.tui.actions import SWEEP
from lora_tui.tui.cells import Cell
from lora_tui.tui.tags.editor import Editor, Stretch
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.captions.journal.writer import Transaction


@dataclass(frozen=True)
class Swept:
    """How many images were changed, and where in the list the sweep ended."""

    images: int
    place: int


class Sweep(Acting, ModalScreen[Swept], inherit_bindings=False):
    """Dismissed with :class:`Swept`; every answer is in the journal at once."""

    ACTS = SWEEP
    DEFAULT_CSS = """
    Sweep { background: $background; }
    Sweep #head { height: 2; padding: 0 1; }
    Sweep ImageView { height: 1fr; }
    """

    def __init__(self, editor: Editor, tag: str, place: int) -> None:
        super().__init__()
        self._editor, self._tag, self._place = editor, tag, place
        self._visible = tuple(editor.visible)
        self._answers: list[tuple[int, Transaction | None]] = []
        self._problem = ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Lines(id="head")
            yield ImageView(align="center", id="swept")
            yield Keys()

    def on_mount(self) -> None:
        self.take_keys()
        self.query_one(Keys).show(hints_of(self.app, SWEEP))
        self._show()

    def _show(self) -> None:
        entry = self._editor.entry(self._visible[self._place])
        has = self._tag in entry.tags
        state = _("the caption has it") if has else _("the caption has it not")
        place = _("{number} of {total}").format(number=count(self._place + 1), total=count(len(self._visible)))
        self.query_one("#head", Lines).show(
            [
                [Cell(plain(self._tag) + " ? ", "accent"), Cell(f"  {state}", "success" if has else "muted")],
                [Cell(f"{place}  {plain(entry.name)}", "muted"), Cell("  " + self._problem, "error")],
            ]
        )
        self.query_one(ImageView).show(self._editor.corpus.root / entry.name)

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        await self.action_act(event.action)

    def action_yes(self) -> None:
        self._answer("yes")

    def action_no(self) -> None:
        self._answer("no")

    def action_skip(self) -> None:
        self._answer("skip")

    def _answer(self, answer: Literal["yes", "no", "skip"]) -> None:
        """The tag is on this image, is not, or nobody says."""
        number = self._visible[self._place]
        entry = self._editor.entry(number)
        self._problem = ""
        changed: Transaction | None = None
        if answer != "skip":
            verb = "add" if answer == "yes" else "remove"
            stretch = Stretch((number,), entry.name, f"image {entry.name}")
            try:
                found = self._editor.prepare(f"{verb} {quoted(self._tag)}", stretch)
                if found.refused:
                    raise found.refused[0][1]
            except UserError as error:
                self._problem = error_words(error)
                self._show()
                return
            if found.changes:
                changed = self._editor.apply(found, repeatable=False)
        self._answers.append((self._place, changed))
        if self._place + 1 >= len(self._visible):
            self.action_leave()
            return
        self._place += 1
        self._show()

    async def action_before(self) -> None:
        """To the image before, with the answer taken back; what others did to its caption since stays."""
        if not self._answers:
            return
        self._place, changed = self._answers.pop()
        self._problem = ""
        if changed is not None:
            await in_thread(changed.finished.wait)
            if self._editor.take_back(changed).conflicts:
                self._problem = _("another program changed it meanwhile; it was left as it is.")
        self._show()

    def action_leave(self) -> None:
        """Esc: the answers stay."""
        self.dismiss(Swept(sum(changed is not None for _place, changed in self._answers), self._place))
