"""The prune assistant: which tags the LoRA absorbs, with what each choice means. Removes nothing by itself."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from lora_tui.captions.prune import MEANINGS, Plan
from lora_tui.captions.traits import GROUPS
from lora_tui.text import _, count, ngettext, percent, plain
from lora_tui.tui.acting import hints_of
from lora_tui.tui.actions import PRUNE
from lora_tui.tui.cells import Cell
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

ADVICE = {"absorb": "accent", "perhaps": "warning", "keep": "muted"}


class PruneDialog(Dialog[list[str]]):
    """Dismissed with the tags to remove."""

    ALSO = PRUNE
    DEFAULT_CSS = """
    PruneDialog > #box { width: 96%; height: 92%; }
    PruneDialog VirtualList { height: 1fr; max-height: 100%; }
    PruneDialog #meaning { height: 2; color: $muted; text-style: $muted-style; }
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            _("Prune assistant"), _("Marked tags will be removed, so that the trigger word stands for them.")
        )
        self._plan = plan
        self._chosen = set(plan.chosen())
        self.accept_words = _("show what changes")

    def compose_body(self) -> ComposeResult:
        columns = [
            Column(1),
            Column(14, share=2),
            Column(7, align="right"),
            Column(5, align="right"),
            Column(10, share=1),
        ]
        yield VirtualList(
            columns, self._row, count=len(self._plan.candidates), empty=_("No tags yet."), id="candidates"
        )
        yield Static("", id="meaning", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(VirtualList).focus()
        self._say()

    def hints(self) -> list[KeyHint]:
        found = super().hints()
        found[1:1] = hints_of(self.app, PRUNE)
        return found

    def _row(self, index: int) -> list[Cell]:
        one = self._plan.candidates[index]
        marked = one.tag in self._chosen
        return [
            Cell("x" if marked else "?" if one.advice == "perhaps" else " ", "error" if marked else "warning"),
            Cell(plain(one.tag), "strong" if marked else ""),
            Cell(count(one.captions), "muted"),
            Cell(percent(one.captions, max(self._plan.captions, 1)), "muted"),
            Cell(_(GROUPS[one.group]), ADVICE[one.advice]),
        ]

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self._say()

    def _say(self) -> None:
        index = self.query_one(VirtualList).cursor
        if not 0 <= index < len(self._plan.candidates):
            return
        one = self._plan.candidates[index]
        chosen = ngettext("{count} tag marked", "{count} tags marked", len(self._chosen))
        text = _("Advice: {meaning}").format(meaning=_(MEANINGS[one.advice]))
        self.query_one("#meaning", Static).update(text + "  " + chosen.format(count=count(len(self._chosen))))

    def action_flip(self) -> None:
        """Space: remove the tag, or keep it."""
        rows = self.query_one(VirtualList)
        if 0 <= rows.cursor < len(self._plan.candidates):
            self._chosen ^= {self._plan.candidates[rows.cursor].tag}
            rows.reload_row(rows.cursor)
            self._say()

    @on(VirtualList.Chosen)
    def _clicked(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_flip()

    def action_accept(self) -> None:
        self.dismiss([one.tag for one in self._plan.candidates if one.tag in self._chosen])
