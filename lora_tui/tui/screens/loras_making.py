"""LoRA files made of others: a form over the list, what it would come to, then the work with its progress.

The work is a task in the background: it goes on when the form, or the app, is left. What is made and what is previewed
is said by the same command that does it in a shell, in a process of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult

from lora_tui.errors import UserError
from lora_tui.loras import recipes
from lora_tui.loras.apart import said_apart
from lora_tui.loras.files import LoraFile
from lora_tui.loras.folders import OWN
from lora_tui.loras.recipes import OUT, Field, Recipe
from lora_tui.places import exists, expand, is_file
from lora_tui.tasks.start import ask_task, start_task
from lora_tui.text import _, duration, plain
from lora_tui.tui.actions import MAKING
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.threads import in_stoppable_thread, in_thread, start_job
from lora_tui.tui.widgets.acting_dialog import ActingDialog
from lora_tui.tui.widgets.dialog import LOW, AskPath, AskText, Choice, Choose, Confirm
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.row_list import RowList
from lora_tui.tui.widgets.task_progress import TaskProgress
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import Column
from lora_tui.tui.wording import error_words

COLUMNS = (Column(18, cut="middle"), Column(20, share=2, cut="middle"), Column(10, share=1, since=100))
MODELS = (".safetensors", ".ckpt")
EDGE = 12
"""Cells of the screen that are not a text's that is read over it: margins and the list around it."""


class MakeLora(ActingDialog[list[Path]]):
    """Fields to change; dismissed with the file that was written."""

    recipe: ClassVar[Recipe]
    ALSO = MAKING
    DEFAULT_CSS = """
    MakeLora > #box { height: 90%; }
    MakeLora RowList { height: 1fr; max-height: 100%; }
    MakeLora #outcome { height: 5; margin-top: 1; }
    MakeLora.-tall #outcome { height: 9; }
    MakeLora.-low #outcome { height: 4; margin-top: 0; }
    MakeLora.-says RowList { height: auto; max-height: 50%; }
    MakeLora.-says #outcome { height: 1fr; }
    MakeLora TaskProgress { display: none; margin-top: 1; }
    """
    VERTICAL_BREAKPOINTS = [(0, "-low"), (LOW, "-usual"), (34, "-tall")]

    def __init__(self, files: Sequence[LoraFile]) -> None:
        super().__init__(_(self.recipe.title))
        self._files = [file.path for file in files] if self.recipe is not recipes.EXTRACT else []
        own = self.recipe.fields
        named = recipes.strength_fields(self._files) if self.recipe.strengths else ()
        self._fields = (*own[:1], *named, *own[1:]) if self.recipe.makes else (*named, *own)
        self._values = {one.name: one.start for one in self._fields}
        self._outcome: list[str] = []
        self._tone = ""
        self._refused = False
        self._working = False
        self._named = ""  # the name that the new file was given here
        self._doing, self._since = "", 0.0
        self.accept_words = _("change")
        self.set_class(self.recipe.preview == (), "-says")

    def compose_body(self) -> ComposeResult:
        yield RowList(COLUMNS, self._row, lambda one: one.name)
        yield Lines(id="outcome")
        yield TaskProgress()
        yield Lines(id="told")

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self._list)
        self.set_interval(1.0, self._say_doing)
        self._list.take(self._shown_fields())
        start_job(self, self._begin, "name")

    async def _begin(self) -> None:
        """What is found on the disk, which may be slow: the project's base model, and a free name."""
        self._say_doing(_("reading"))
        config = self.shell.workspace.config
        needed = any(one.name == "base" and one.needed for one in self._fields)
        own = config.model.base if config is not None and needed else ""
        there = await in_thread(lambda: exists(expand(own))) if own else False
        if there and not self._values["base"]:
            self._values["base"] = own
        await self._give_name()

    async def _give_name(self) -> None:
        """Give the new file a name that follows from the other answers, then look at what it would come to."""
        named = await in_thread(self._out_start)
        if self._values.get(OUT, "") == self._named:  # no other was typed meanwhile
            self._values[OUT] = named
        self._named = named
        self._changed()

    @property
    def _list(self) -> RowList[Field]:
        return self.query_one(RowList)

    def _out_start(self) -> str:
        if not self.recipe.makes:
            return ""
        return recipes.out_start(self.recipe, self._files, self.shell.workspace.root / OWN, dict(self._values))

    def _shown_fields(self) -> list[Field]:
        return [one for one in self._fields if one.shown(self._values)]

    # -- showing

    def _row(self, one: Field) -> list[Cell]:
        value = self._values.get(one.name, "")
        words = dict(one.choices).get(value, value)
        if one.kind == "choice":
            words = _(words)
        elif one.kind == "yes":
            words = _("yes") if value else _("no")
        elif one.name.startswith(recipes.STRENGTH):
            words = _("strength {number}").format(number=plain(value) or "1")
        else:
            words = plain(value)
        missing = one.needed and not value
        return [
            Cell(_title(one), "muted"),
            Cell(words or ("?" if missing else "-"), "warning" if missing else ""),
            Cell(_(one.note), "muted"),
        ]

    def hints(self) -> list[KeyHint]:
        found = super().hints()
        if not self._working:
            return found
        leave = {"dialog.cancel": _("leave it running")}
        return [replace(one, title=leave.get(one.action, one.title)) for one in found if one.action != "dialog.accept"]

    @on(RowList.Moved)
    def _moved(self, event: RowList.Moved) -> None:
        event.stop()
        self._say_note()

    def _say_note(self) -> None:
        """What the field under the cursor means, as long as nothing else is to be told."""
        here = self._list.here if not self._working else None
        self.tell(_(here.note) if here is not None else "", "muted")

    def _show_outcome(self, lines: Sequence[str], tone: str = "") -> None:
        self._outcome, self._tone, self._doing = list(lines), tone, ""
        self._draw_outcome(lines, tone)
        self.show_keys()

    def _say_doing(self, words: str = "") -> None:
        """Say what is being done in the place of its outcome, and for how long; again each second."""
        if words:
            self._outcome, self._doing, self._since = [], words, time.monotonic()
            self.show_keys()
        if self._doing and self.is_mounted:
            seconds = time.monotonic() - self._since
            told = _("{reading}: {time}").format(reading=self._doing, time=duration(seconds))
            self._draw_outcome([told if seconds >= 1 else self._doing], "muted")

    def _draw_outcome(self, lines: Sequence[str], tone: str) -> None:
        shown = self.query_one("#outcome", Lines)
        width, height = max(shown.size.width, 20), max(shown.size.height, 1)
        rows = [part for line in lines for part in (wrap(plain(line), width) if line else [""])]
        if len(rows) > height:
            rows[height - 1 :] = [_("{key} reads all.").format(key=self.shell.keymap.shown("making.read"))]
        shown.show([(Cell(part, tone),) for part in rows])

    @on(Lines.Resized, "#outcome")
    def _resized(self, event: Lines.Resized) -> None:
        event.stop()
        if self._doing:
            self._say_doing()
        else:
            self._show_outcome(self._outcome, self._tone)

    def _changed(self) -> None:
        """A value is another: the form follows, and what it would come to is asked again."""
        self._list.take(self._shown_fields())
        self._refused = False
        self._say_note()
        lacking = self._lacking()
        if lacking:
            self._show_outcome([_("{field} is missing.").format(field=lacking)], "muted")
        else:
            self._say_doing(_("looking at what it would come to") if self.recipe.preview else _("measuring"))
            start_job(self, self._preview, "preview")

    def _lacking(self) -> str:
        """What has to be filled in first."""
        return _(self.recipe.lacking(self._values))

    async def _preview(self) -> None:
        try:
            lines = await self._said(*self.recipe.preview, *await in_thread(self._force))
        except UserError as error:
            self._refused = True
            self._show_outcome([error_words(error)], "error")
            return
        self._show_outcome(lines)

    async def _said(self, *extra: str) -> list[str]:
        """What the command says without writing anything."""
        words = self.recipe.command(self._values, self._files, *extra)
        return await in_stoppable_thread(partial(said_apart, columns=self.app.size.width - EDGE), words[1:])

    def _force(self) -> list[str]:
        return ["--force"] if self.recipe.preview and is_file(Path(self._values[OUT])) else []

    # -- changing

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if self._working and name not in ("stop", "cancel"):
            return _("The file is being made.")
        if name == "stop" and not self._working:
            return _("Nothing is running.")
        if name == "curve" and self.recipe.curve is None:
            return _("There is no curve for this.")
        if name == "write" and not self.recipe.makes:
            return _("Nothing is written here.")
        if name == "write" and (lacking := self._lacking()):
            return _("{field} is missing.").format(field=lacking)
        if name == "write" and self._refused:
            return _("It cannot be made so; what is wrong stands above.")
        if name == "read" and not self._outcome:
            return _("There is nothing to read here.")
        return ""

    def action_accept(self) -> None:
        one = self._list.here
        if one is None:
            return
        value = self._values.get(one.name, "")
        ask: dict[str, Callable[[Field, str], None]] = {
            "choice": self._choose, "model": self._ask_path, "file": self._ask_path, "new": self._ask_path,
        }  # fmt: skip
        if one.kind == "yes":
            self._put(one, "" if value else "yes")
        else:
            ask.get(one.kind, self._ask_text)(one, value)

    def _put(self, one: Field, value: str | None) -> None:
        if value is None:
            return
        self._values[one.name] = value
        self._values |= self.recipe.following(one.name, self._values)
        if self.recipe.makes and one.name != OUT and self._values.get(OUT, "") == self._named:
            self._list.take(self._shown_fields())
            start_job(self, self._give_name, "name")
        else:
            self._changed()

    def _choose(self, one: Field, value: str) -> None:
        choices = [Choice(name, _(words)) for name, words in one.choices]
        self.app.push_screen(Choose(_(one.title), choices, current=value), partial(self._put, one))

    def _ask_text(self, one: Field, value: str) -> None:
        check = _no_number if one.kind == "number" else None
        self.app.push_screen(AskText(_title(one), value, detail=_(one.note), check=check), partial(self._put, one))

    def _ask_path(self, one: Field, value: str) -> None:
        new = one.kind == "new"

        def chosen(path: Path | None) -> None:
            self._put(one, None if path is None else str(path))

        start = Path(value).parent if value else self.shell.workspace.root
        dialog = AskPath(
            _(one.title), start, detail=_(one.note), must_exist=not new, value=Path(value) if value else None,
            suffixes=() if one.kind == "file" else MODELS, accept=_("take it"),
        )  # fmt: skip
        self.app.push_screen(dialog, chosen)

    def action_read(self) -> None:
        self.app.push_screen(TextView(_(self.recipe.title), self._outcome))

    def action_curve(self) -> None:
        start_job(self, self._curve, "curve")

    async def _curve(self) -> None:
        self.tell(_("drawing the curve"))
        try:
            lines = await self._said(*(self.recipe.curve or ()), *await in_thread(self._force))
        except UserError as error:
            self.tell(error_words(error), "error")
            return
        self.tell("")
        self.app.push_screen(TextView(_("What files of each size would keep"), lines))

    # -- making

    def action_write(self) -> None:
        start_job(self, self._ask_write, "write")

    async def _ask_write(self) -> None:
        target, force = Path(self._values[OUT]), await in_thread(self._force)

        def sure(yes: bool | None) -> None:
            if yes:
                start_job(self, partial(self._write, target, force), "write")

        if not force:
            sure(True)
            return
        self.app.push_screen(Confirm(_("Write over the file that is there?"), plain(str(target)), yes=_("write")), sure)

    async def _write(self, target: Path, force: Sequence[str]) -> None:
        words = self.recipe.command(self._values, self._files, *force, writes=True)
        root = self.shell.workspace.root
        options = {"command": words, "folder": str(root)}
        try:
            await in_thread(_folder_for, target, root / OWN)
            task = await in_thread(partial(start_task, root, "command", f"{self.recipe.action} {target.name}", options))
        except UserError as error:
            self.tell(error_words(error), "error")
            return
        self._working = True
        progress = self.query_one(TaskProgress)
        progress.display = True
        self.query_one("#outcome").display = False
        progress.follow(task)
        self.show_keys()
        self.shell.poll_runs()

    def action_stop(self) -> None:
        task = self.query_one(TaskProgress).followed
        if task is not None:
            start_job(self.shell, partial(in_thread, ask_task, task, "stop"), "ask", alone=False)

    @on(TaskProgress.Ended)
    def _ended(self, event: TaskProgress.Ended) -> None:
        event.stop()
        self._working = False
        self.shell.poll_runs()
        if event.status.state == "finished":
            self.dismiss([Path(self._values[OUT])])
            return
        self.query_one(TaskProgress).display = False
        self.query_one("#outcome").display = True
        self._show_outcome([event.status.message or _("It was stopped.")], "error")

    def action_cancel(self) -> None:
        if self._working:
            words = _("It goes on in the background; “work in the background” in {key} shows it.")
            self.shell.call_later(self.shell.tell, words.format(key=self.shell.keymap.shown("app.palette")))
        self.dismiss(None)


def _title(one: Field) -> str:
    """Of a file its name, of others their words."""
    return plain(one.title) if one.name.startswith(recipes.STRENGTH) else _(one.title)


def _folder_for(target: Path, own: Path) -> None:
    """Make the project's folder of LoRA files where it is asked for and is not there yet; others are not made up."""
    if target.parent == own:
        with suppress(OSError):
            own.mkdir(exist_ok=True)


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


class Check(MakeLora):
    recipe = recipes.CHECK


class Compare(MakeLora):
    recipe = recipes.COMPARE

    async def _said(self, *extra: str) -> list[str]:
        """What it comes to first, then the table, which rarely fits."""
        lines = await super()._said(*extra)
        at = lines.index("") if "" in lines else 0
        return [*lines[at + 1 :], *lines[at : at + 1], *lines[:at]]
