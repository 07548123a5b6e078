"""Pictures of a base model and LoRA files: a form over the list, what will be drawn, then the pictures as they come.

The work is a task in the background: it goes on when the form, or the app, is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from textual import on
from textual.app import ComposeResult

from lora_tui.errors import UserError
from lora_tui.generate.ask import Order, ordered
from lora_tui.generate.form import GENERATE, request_of
from lora_tui.generate.start import KIND, options_of
from lora_tui.generate.words import folder_text, lines
from lora_tui.loras.files import LoraFile
from lora_tui.loras.recipes import Field
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.start import start_task
from lora_tui.text import N_, _, count, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.screens.loras_making import MakeLora
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Confirm
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.row_list import RowList
from lora_tui.tui.widgets.task_progress import TaskProgress
from lora_tui.tui.wording import error_words

PICTURE = "picture file"
"""The kind of the rows that are pictures."""


class Generate(MakeLora):
    """The form; its rows become the pictures once they are being drawn."""

    recipe = GENERATE
    LEAVE = N_("back")
    DEFAULT_CSS = """
    Generate ImageView { display: none; height: 2fr; }
    Generate.-drawing RowList { height: 1fr; min-height: 3; }
    Generate.-drawing ImageView { display: block; }
    Generate.-drawing TaskProgress { margin-top: 0; }
    """

    def compose_body(self) -> ComposeResult:
        yield from super().compose_body()
        yield ImageView(align="center")

    def __init__(self, files: Sequence[LoraFile]) -> None:
        self._order: Order | None = None
        self._asked: list[Path] = []
        self._made: list[Path] = []
        self._drawing = False
        super().__init__(files)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#box").move_child(self.query_one(ImageView), after=self._list)

    # -- the form

    async def _preview(self) -> None:
        self._order = None
        try:
            self._order = await in_thread(_foretold, dict(self._values), list(self._files), self.shell.workspace.root)
        except UserError as error:
            self._refused = True
            self._show_outcome([error_words(error)], "error")
            return
        self._show_outcome(await in_thread(_said, self._order))

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if self._drawing and name in ("write", "read", "accept"):
            return _("The pictures are being drawn.") if self._working else _("They are drawn; Esc goes back.")
        if name == "curve":
            return _("There is no curve for this.")
        if name == "stop":
            return "" if self._working else _("Nothing is running.")
        if name == "write" and (self._refused or self._order is None):
            return _("It cannot be drawn like this; the lines above say why.")
        return "" if name in ("write", "cancel") else super().refusal(action_id)

    def hints(self) -> list[KeyHint]:
        names = {"making.write": _("draw")}
        return [
            replace(hint, title=names.get(hint.action, hint.title))
            for hint in super().hints()
            if not (self._drawing and hint.action == "dialog.accept")
        ]

    # -- drawing

    def action_write(self) -> None:
        order = self._order
        if order is None:
            return
        seen = order.outlook()
        if not seen.large:
            start_job(self, partial(self._draw, order), "write")
            return

        def sure(yes: bool | None) -> None:
            if yes:
                start_job(self, partial(self._draw, order), "write")

        self.app.push_screen(Confirm(_("Draw so many pictures?"), seen.size_words(), yes=_("draw them")), sure)

    async def _draw(self, order: Order) -> None:
        if self._drawing:
            return
        self._drawing = True
        try:
            task, files = await in_thread(_begun, order)
        except UserError as error:
            self._drawing = False
            self.tell(error_words(error), "error")
            return
        self._working = True
        self.add_class("-drawing")
        self._asked = files
        self.query_one("#outcome").display = False
        progress = self.query_one(TaskProgress)
        progress.display = True
        progress.follow(task)
        self._look()
        self.show_keys()
        self.shell.poll_runs()

    def _look(self) -> None:
        """List the pictures that are there; the newest is shown where the cursor stood on the newest."""
        before, there = len(self._made), [path for path in self._asked if path.exists()]
        at_newest = self._list.cursor >= before - 1
        self._made = there
        self._list.take([_row_of(path) for path in there], empty=_("The pictures come here one by one."))
        if there and at_newest:
            self._list.cursor = len(there) - 1
        self._show_picture()

    def _show_picture(self) -> None:
        here = self._list.here
        if here is not None and here.kind == PICTURE:
            self.query_one(ImageView).show(Path(here.name))

    def _row(self, one: Field) -> list[Cell]:
        if one.kind != PICTURE:
            return super()._row(one)
        return [Cell(plain(one.title)), Cell(plain(one.note), "muted"), Cell("")]

    def _say_note(self) -> None:
        if not self._drawing:
            super()._say_note()

    @on(RowList.Moved)
    def _moved_on(self, event: RowList.Moved) -> None:
        self._show_picture()

    @on(TaskProgress.Changed)
    def _goes_on(self, event: TaskProgress.Changed) -> None:
        event.stop()
        if self._drawing:
            self._look()

    @on(TaskProgress.Ended)
    def _ended(self, event: TaskProgress.Ended) -> None:
        event.stop()
        event.prevent_default()  # the form of one file would close itself
        self._working = False
        self.shell.poll_runs()
        self._look()
        made = len(self._made)
        said = ngettext("{count} picture in {folder}", "{count} pictures in {folder}", made)
        words = said.format(
            count=count(made), folder=plain(folder_text(self._order) if self._order is not None else "")
        )
        failed = event.status.state not in ("finished", "stopped")
        self.tell(event.status.message if failed else words, "error" if failed else "success")
        self.show_keys()

    def action_accept(self) -> None:
        if not self._drawing:
            super().action_accept()


def _foretold(values: dict[str, str], files: list[Path], here: Path) -> Order:
    return ordered(request_of(values, files, here))


def _said(order: Order) -> list[str]:
    return lines(order, order.outlook())


def _begun(order: Order) -> tuple[TaskFolder, list[Path]]:
    """The task that draws it, and the files that it will write."""
    options = options_of(order)
    task = start_task(order.folder, KIND, order.title, options, about=(order.project,))
    return task, [order.folder / str(one["file"]) for one in options["pictures"]]


def _row_of(path: Path) -> Field:
    """Its number and its seed: what its name ends with."""
    number, _dash, seed = path.stem.rpartition("-")
    return Field(str(path), PICTURE, f"{number.rpartition('-')[2]}  #{seed}", path.name)  # type: ignore[arg-type]
