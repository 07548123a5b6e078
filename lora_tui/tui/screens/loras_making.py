"""LoRA files made of others: a form over the list, what it would come to, then the work with its progress.

The work is a task in the background: it goes on when the form, or the app, is left. What is made and what is previewed
is said by the same command that does it in a shell, in a process of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult

from lora_tui.errors import UserError
from lora_tui.loras import recipes
from lora_tui.loras.apart import said_apart
from lora_tui.loras.files import LoraFile
from lora_tui.loras.recipes import OUT, Field, Recipe
from lora_tui.places import is_file
from lora_tui.tasks.start import ask_task, start_task
from lora_tui.text import _, plain
from lora_tui.tui.acting import hints_of
from lora_tui.tui.actions import MAKING
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.threads import in_stoppable_thread, in_thread, start_job
from lora_tui.tui.widgets.dialog import AskPath, AskText, Choice, Choose, Confirm, Dialog
from lora_tui.tui.widgets.footer import KeyHint, Keys
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.task_progress import TaskProgress
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.app import LoraTuiApp

COLUMNS = (Column(16, cut="middle"), Column(20, share=2, cut="middle"), Column(10, share=1, since=70))
CURVE_COLUMNS = 12
"""Cells of the screen that are not the curve's: margins and the list around it."""


class MakeLora(Dialog[list[Path]]):
    """Fields to change; dismissed with the file that was written."""

    recipe: ClassVar[Recipe]
    ALSO = MAKING
    DEFAULT_CSS = """
    MakeLora > #box { width: 96%; max-width: 120; height: 90%; }
    MakeLora VirtualList { height: 1fr; max-height: 100%; }
    MakeLora #outcome { height: 7; margin-top: 1; }
    MakeLora.-low #outcome { height: 5; margin-top: 0; }
    MakeLora TaskProgress { display: none; margin-top: 1; }
    MakeLora #told { height: 1; }
    """

    def __init__(self, files: Sequence[LoraFile]) -> None:
        super().__init__(_(self.recipe.title))
        self._files = [file.path for file in files] if self._takes_files else []
        self._fields = self._all_fields()
        self._values = {one.name: one.start for one in self._fields}
        self._outcome: list[str] = []
        self._tone = ""
        self._working = False
        self.accept_words = _("change")

    @property
    def _takes_files(self) -> bool:
        return self.recipe is not recipes.EXTRACT

    def _all_fields(self) -> tuple[Field, ...]:
        own = self.recipe.fields
        return (*own[:1], *recipes.strength_fields(self._files), *own[1:]) if self.recipe.strengths else own

    def compose_body(self) -> ComposeResult:
        yield VirtualList(COLUMNS, self._row)
        yield Lines(id="outcome")
        yield TaskProgress()
        yield Lines(id="told")

    def on_mount(self) -> None:
        super().on_mount()
        shell = self._shell
        self._values[OUT] = recipes.out_start(self.recipe, self._files, shell.workspace.root)
        config = shell.workspace.config
        if config is not None and "base" in self._values and config.model.base:
            self._values["base"] = config.model.base
        self.set_focus(self._list)
        self._changed()

    @property
    def _shell(self) -> LoraTuiApp:
        return cast("LoraTuiApp", self.app)

    @property
    def _list(self) -> VirtualList:
        return self.query_one(VirtualList)

    @property
    def _shown(self) -> list[Field]:
        return [one for one in self._fields if one.shown(self._values)]

    @property
    def _here(self) -> Field | None:
        place = self._list.cursor
        return self._shown[place] if 0 <= place < len(self._shown) else None

    # -- showing

    def _row(self, index: int) -> list[Cell]:
        one = self._shown[index]
        value = self._values.get(one.name, "")
        words = dict(one.choices).get(value, value)
        if one.kind == "choice":
            words = _(words)
        elif one.kind == "yes":
            words = _("yes") if value else _("no")
        else:
            words = plain(value)
        title = plain(one.title) if one.name.startswith(recipes.STRENGTH) else _(one.title)
        missing = one.needed and not value
        return [
            Cell(title, "muted"),
            Cell(words or ("?" if missing else "-"), "warning" if missing else ""),
            Cell(_(one.note), "muted"),
        ]

    def hints(self) -> list[KeyHint]:
        found = super().hints()
        if self.is_mounted:
            found[1:1] = [hint for hint in hints_of(self.app, MAKING) if not self.refusal(hint.action)]
        if not self._working:
            return found
        leave = {"dialog.cancel": _("leave it at work")}
        return [replace(one, title=leave.get(one.action, one.title)) for one in found if one.action != "dialog.accept"]

    def tell(self, text: str, tone: str = "") -> None:
        """Say something above the keys."""
        self.query_one("#told", Lines).show([[Cell(text, tone)]] if text else [])

    def _show_outcome(self, lines: Sequence[str], tone: str = "") -> None:
        self._outcome, self._tone = list(lines), tone
        shown = self.query_one("#outcome", Lines)
        width, height = max(shown.size.width, 20), max(shown.size.height, 1)
        rows = [part for line in lines for part in wrap(plain(line), width)]
        shown.show([(Cell(part, tone),) for part in rows[:height]])
        self.query_one(Keys).show(self.hints())

    @on(Lines.Resized, "#outcome")
    def _resized(self, event: Lines.Resized) -> None:
        event.stop()
        self._show_outcome(self._outcome, self._tone)

    def _changed(self, cursor: int | None = None) -> None:
        """A value is another: the form follows, and what it would come to is asked again."""
        self._list.set_count(len(self._shown), cursor=cursor)
        self._list.reload()
        self.tell("")
        lacking = self.recipe.lacking(self._values)
        if lacking:
            self._show_outcome([_("{field} is missing.").format(field=_(lacking))], "muted")
        elif self.recipe.preview is None:
            self._show_outcome(
                [" ".join(["lora-tui", *self.recipe.command(self._values, self._files, writes=True)])], "muted"
            )
        else:
            self._show_outcome([_("looking at what it would come to")], "muted")
            start_job(self, self._preview, "preview")

    async def _preview(self) -> None:
        words = self.recipe.command(self._values, self._files, *(self.recipe.preview or ()), *self._force())
        try:
            lines = await in_stoppable_thread(said_apart, words[1:])
        except UserError as error:
            self._show_outcome([error_words(error)], "error")
            return
        self._show_outcome(lines)

    def _force(self) -> list[str]:
        return ["--force"] if is_file(Path(self._values[OUT])) else []

    # -- changing

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if self._working and name not in ("stop", "cancel"):
            return _("The file is being made.")
        if name == "stop" and not self._working:
            return _("Nothing is at work.")
        if name == "curve" and self.recipe.curve is None:
            return _("There is no curve for this.")
        if name == "write" and (lacking := self.recipe.lacking(self._values)):
            return _("{field} is missing.").format(field=_(lacking))
        if name == "read" and not self._outcome:
            return _("There is nothing to read here.")
        return ""

    async def action_act(self, action_id: str) -> None:
        why = self.refusal(action_id)
        self.tell(why, "warning")
        if not why:
            await super().action_act(action_id)

    def action_accept(self) -> None:
        one = self._here
        if one is None:
            return
        value = self._values.get(one.name, "")
        ask: dict[str, Callable[[Field, str], None]] = {
            "choice": self._choose, "model": self._ask_path, "new": self._ask_path,
        }  # fmt: skip
        if one.kind == "yes":
            self._put(one, "" if value else "yes")
        else:
            ask.get(one.kind, self._ask_text)(one, value)

    def _put(self, one: Field, value: str | None) -> None:
        if value is None:
            return
        self._values[one.name] = value
        if one.name == "rule":
            self._values["value"] = self.recipe.starts.get(value, "")
        self._changed()

    def _choose(self, one: Field, value: str) -> None:
        choices = [Choice(name, _(words)) for name, words in one.choices]
        self.app.push_screen(Choose(_(one.title), choices, current=value), partial(self._put, one))

    def _ask_text(self, one: Field, value: str) -> None:
        title = plain(one.title, limit=60) if one.name.startswith(recipes.STRENGTH) else _(one.title)
        check = _no_number if one.kind == "number" else None
        self.app.push_screen(AskText(title, value, detail=_(one.note), check=check), partial(self._put, one))

    def _ask_path(self, one: Field, value: str) -> None:
        new = one.kind == "new"

        def chosen(path: Path | None) -> None:
            self._put(one, None if path is None else str(path))

        start = Path(value).parent if value else self._shell.workspace.root
        dialog = AskPath(
            _(one.title), start, detail=_(one.note), must_exist=not new, value=Path(value) if value else None,
            suffixes=(".safetensors",), accept=_("take it"),
        )  # fmt: skip
        self.app.push_screen(dialog, chosen)

    def action_read(self) -> None:
        self.app.push_screen(TextView(_(self.recipe.title), self._outcome))

    def action_curve(self) -> None:
        start_job(self, self._curve, "curve")

    async def _curve(self) -> None:
        self.tell(_("drawing the curve"))
        words = self.recipe.command(self._values, self._files, *(self.recipe.curve or ()), *self._force())
        try:
            lines = await in_stoppable_thread(
                partial(said_apart, columns=self.app.size.width - CURVE_COLUMNS), words[1:]
            )
        except UserError as error:
            self.tell(error_words(error), "error")
            return
        self.tell("")
        self.app.push_screen(TextView(_("What files of each size would keep"), lines))

    # -- making

    def action_write(self) -> None:
        target = Path(self._values[OUT])
        if not self._force():
            start_job(self, partial(self._write, target), "write")
            return

        def sure(yes: bool | None) -> None:
            if yes:
                start_job(self, partial(self._write, target), "write")

        self.app.push_screen(Confirm(_("Write over the file that is there?"), plain(str(target)), yes=_("write")), sure)

    async def _write(self, target: Path) -> None:
        words = self.recipe.command(self._values, self._files, *self._force(), writes=True)
        root = self._shell.workspace.root
        options = {"command": words, "folder": str(root)}
        try:
            task = await in_thread(partial(start_task, root, "command", f"{self.recipe.action} {target.name}", options))
        except UserError as error:
            self.tell(error_words(error), "error")
            return
        self._working = True
        progress = self.query_one(TaskProgress)
        progress.display = True
        self.query_one("#outcome").display = False
        progress.follow(task)
        self.query_one(Keys).show(self.hints())
        self._shell.poll_runs()

    def action_stop(self) -> None:
        task = self.query_one(TaskProgress).followed
        if task is not None:
            start_job(self._shell, partial(in_thread, ask_task, task, "stop"), "ask", alone=False)

    @on(TaskProgress.Ended)
    def _ended(self, event: TaskProgress.Ended) -> None:
        event.stop()
        self._working = False
        self._shell.poll_runs()
        if event.status.state == "finished":
            self._shell.call_later(
                self._shell.tell, _("Written: {file}").format(file=plain(Path(self._values[OUT]).name)), "success"
            )
            self.dismiss([Path(self._values[OUT])])
            return
        self.query_one(TaskProgress).display = False
        self.query_one("#outcome").display = True
        self._show_outcome([event.status.message or _("It was stopped.")], "error")

    def action_cancel(self) -> None:
        if self._working:
            self._shell.call_later(self._shell.tell, _("It goes on in the background; the list of tasks shows it."))
        self.dismiss(None)


def _no_number(text: str) -> str:
    if not text.strip():
        return ""
    try:
        return "" if math.isfinite(float(text)) else _("It must be a number.")
    except ValueError:
        return _("It must be a number.")


class Merge(MakeLora):
    recipe = recipes.MERGE


class Resize(MakeLora):
    recipe = recipes.RESIZE


class ConvertFile(MakeLora):
    recipe = recipes.CONVERT


class Blocks(MakeLora):
    recipe = recipes.BLOCKS


class Extract(MakeLora):
    recipe = recipes.EXTRACT


class Bake(MakeLora):
    recipe = recipes.BAKE
