"""A new grid: a form of what varies and what stays, and below it what drawing that takes, worked out as it is filled.

Nothing is loaded and nothing written before it is begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from textual import on
from textual.app import ComposeResult

from lora_tui.config.samplers import A1111
from lora_tui.errors import UserError
from lora_tui.grids.ask import USUAL, Asked, Wanted
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.outlook import Outlook, lines
from lora_tui.grids.suggest import Known, known_of
from lora_tui.runs.folder import RunFolder
from lora_tui.text import N_, _, plain
from lora_tui.tui.actions import MAKING
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.screens.grids_grow import REST_SECONDS, foretold, made_and_begun, offers_of
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.acting_dialog import ActingDialog
from lora_tui.tui.widgets.dialog import AskPath, Choice, Choose, Confirm
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words

COLUMNS = (Column(16), Column(24, share=2, cut="middle"), Column(10, share=1, since=70))
NUMBERS = ("steps", "seed", "guidance")


@dataclass(frozen=True)
class Field:
    """A line of the form. ``kind`` is ``source``, ``axis``, ``text``, ``number``, ``sampler`` or ``yes``."""

    name: str
    title: str
    kind: str
    note: str = ""


FIELDS = (
    Field("source", N_("compares"), "source", N_("a run's files, or a configuration")),
    Field("x", N_("across"), "axis", N_("what varies from left to right")),
    Field("y", N_("down"), "axis", N_("what varies from top to bottom")),
    Field("z", N_("pages"), "axis", N_("what varies from page to page")),
    Field("page", N_("further pages"), "axis", N_("one more axis of pages")),
    Field("prompt", N_("prompt"), "text", N_("else the sample prompts")),
    Field("negative", N_("negative prompt"), "text", N_("else as the samples")),
    Field("baseline", N_("baseline"), "yes", N_("a first column without any LoRA")),
    Field("lora", N_("LoRA file"), "text", N_("FILE=0.8, where no run is compared")),
    Field("sampler", N_("sampler"), "sampler", N_("else as the samples")),
    Field("steps", N_("steps"), "number", N_("else as the samples")),
    Field("guidance", N_("guidance"), "number", N_("else as the samples")),
    Field("seed", N_("seed"), "number", N_("else as the samples")),
    Field("size", N_("size"), "text", N_("such as 512x768")),
    Field("title", N_("name"), "text", N_("of its folder")),
)


class NewGrid(ActingDialog[GridFolder]):
    """Dismissed with the folder of the grid that is being drawn."""

    ALSO = MAKING
    DEFAULT_CSS = """
    NewGrid > #box { height: 90%; }
    NewGrid VirtualList { height: 1fr; max-height: 100%; }
    NewGrid #outcome { height: 5; margin-top: 1; }
    NewGrid.-low #outcome { height: 4; margin-top: 0; }
    NewGrid Prompt { dock: none; }
    """

    def __init__(self, run: RunFolder | None = None) -> None:
        super().__init__(_("New grid"))
        self._values = {one.name: "" for one in FIELDS}
        self._run = run
        self._found: tuple[Asked, Outlook] | None = None
        self._outcome: tuple[str, ...] = ()
        self._editing: Field | None = None
        self._known = Known()
        self._beginning = False
        self.accept_words = _("change")

    def compose_body(self) -> ComposeResult:
        yield VirtualList(COLUMNS, self._row, count=len(FIELDS))
        yield Lines(id="outcome")
        yield Lines(id="told")
        yield Prompt(id="prompt")

    def on_mount(self) -> None:
        super().on_mount()
        work = self.shell.workspace
        runs = [status.run for status in work.runs or ()]
        run = self._run or work.run or (runs[0] if runs else None)
        if run is not None:
            self._values |= {"source": str(run.root), "x": USUAL[0], "y": USUAL[1]}
        elif work.config_path is not None:
            self._values["source"] = str(work.config_path)
        self.set_focus(self._list)
        self._list.cursor = 1
        self._changed()
        start_job(self, self._learn, "learn")

    @property
    def _list(self) -> VirtualList:
        return self.query_one("#box > VirtualList", VirtualList)

    @property
    def takes_keys(self) -> bool:
        return super().takes_keys and not self.query_one(Prompt).deciding

    # -- showing

    def _row(self, index: int) -> list[Cell]:
        one = FIELDS[index]
        value = self._values[one.name]
        words = plain(value)
        if one.kind == "yes":
            words = _("yes") if value else _("no")
        elif one.name == "source" and value:
            words = plain(Path(value).name)
        return [Cell(_(one.title), "muted"), Cell(words or "-"), Cell(_(one.note) if one.note else "", "muted")]

    def hints(self) -> list[KeyHint]:
        if not self.is_mounted:
            return super().hints()
        if self.query_one(Prompt).is_open:
            return self.query_one(Prompt).hints()
        names = {"making.write": _("draw it")}
        return [replace(hint, title=names.get(hint.action, hint.title)) for hint in super().hints()]

    def _show(self, words: Sequence[str], tone: str = "") -> None:
        self._outcome = tuple(words)
        shown = self.query_one("#outcome", Lines)
        width, height = max(shown.size.width, 20), max(shown.size.height, 1)
        rows = [part for line in words for part in wrap(plain(line), width)]
        shown.show([(Cell(part, tone),) for part in rows[:height]])
        self.show_keys()

    def _changed(self) -> None:
        """A value is another: what it comes to is worked out again."""
        self._list.reload()
        self._found = None
        self._say_note()
        if not self._values["source"]:
            self._show([_("Choose a run or a configuration first.")], "muted")
            return
        start_job(self, partial(self._foretell, self._wanted()), "foretell")

    async def _foretell(self, wanted: Wanted) -> None:
        await asyncio.sleep(REST_SECONDS)
        try:
            found = await in_thread(foretold, wanted)
        except UserError as error:
            self._show([error_words(error)], "error")
            return
        self._found = found
        self._show(lines(found[1]))

    def _wanted(self) -> Wanted:
        values = {name: text.strip() for name, text in self._values.items()}
        titles = {one.name: _(one.title) for one in FIELDS}
        axes = tuple((titles[name], values[name]) for name in ("x", "y", "z", "page") if values[name])
        return Wanted(
            target=values["source"],
            here=self.shell.workspace.root,
            axes=axes,
            prompts=(values["prompt"],) if values["prompt"] else (),
            negative=values["negative"] or None,
            steps=int(values["steps"]) if values["steps"] else None,
            seed=int(values["seed"]) if values["seed"] else None,
            guidance=float(values["guidance"]) if values["guidance"] else None,
            sampler=values["sampler"] or None,
            size=values["size"] or None,
            loras=(values["lora"],) if values["lora"] else (),
            baseline=bool(values["baseline"]),
        )

    # -- changing

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if name == "write" and (self._found is None or self._beginning):
            return _("It cannot be drawn like this; the lines above say why.")
        if name in ("curve", "stop"):
            return _("There is no curve for this.") if name == "curve" else _("Nothing is running.")
        if name == "read" and not self._outcome:
            return _("There is nothing to read here.")
        return ""

    def action_accept(self) -> None:
        place = self._list.cursor
        if not 0 <= place < len(FIELDS):
            return
        one = FIELDS[place]
        doing: dict[str, Callable[[], None]] = {"source": self._choose_source, "sampler": self._choose_sampler}
        if one.kind == "yes":
            self._put(one.name, "" if self._values[one.name] else "yes")
        elif one.kind in doing:
            doing[one.kind]()
        else:
            self._edit(one)

    def _put(self, name: str, value: str | None) -> None:
        if value is not None:
            self._values[name] = value
            self._changed()

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self._say_note()

    def _say_note(self) -> None:
        """What the field under the cursor means: the column of that is seen in wide terminals only."""
        place = self._list.cursor
        self.tell(_(FIELDS[place].note) if 0 <= place < len(FIELDS) else "", "muted")

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_accept()

    def _choose_source(self) -> None:
        work = self.shell.workspace
        choices = [
            Choice(str(one.run.root), plain(one.run.name), _("run {number}").format(number=one.number))
            for one in work.runs or ()
        ]
        if work.config_path is not None:
            choices.append(Choice(str(work.config_path), plain(work.config_path.name), _("configuration")))
        choices.append(Choice("", _("another file"), _("a configuration")))

        def chosen(value: str | None) -> None:
            if value:
                self._put_source(value)
            elif value is not None:
                start = work.root / "configs" if (work.root / "configs").is_dir() else work.root
                dialog = AskPath(_("Which configuration?"), start, suffixes=(".toml",), accept=_("take it"))
                self.app.push_screen(dialog, lambda path: self._put_source(str(path)) if path is not None else None)

        self.app.push_screen(Choose(_("What is compared?"), choices, current=self._values["source"]), chosen)

    def _put_source(self, value: str) -> None:
        """Axes that only a run has go with it, and come with it."""
        of_run = not value.endswith(".toml")
        for name, usual in zip(("x", "y"), USUAL, strict=True):
            if of_run and not self._values[name]:
                self._values[name] = usual
            elif not of_run and self._values[name] in USUAL:
                self._values[name] = ""
        self._put("source", value)
        start_job(self, self._learn, "learn")

    def _choose_sampler(self) -> None:
        choices = [Choice("", _("as the samples")), *(Choice(name, name) for name in A1111.values())]
        dialog = Choose(_("sampler"), choices, current=self._values["sampler"])
        self.app.push_screen(dialog, lambda value: self._put("sampler", value))

    async def _learn(self) -> None:
        """What axes can be completed with."""
        source = Path(self._values["source"]) if self._values["source"] else None
        run = RunFolder(source) if source is not None and source.suffix != ".toml" else None
        folders = [*([run.checkpoints_dir] if run is not None else []), self.shell.workspace.root / "loras"]
        self._known = await in_thread(known_of, run, folders)

    def _edit(self, one: Field) -> None:
        """Type a value in the line below; axes with completion."""
        self._editing = one
        offers = offers_of(lambda: self._known) if one.kind == "axis" else None
        self.query_one(Prompt).ask(_(one.title), value=self._values[one.name], offers=offers, selected=False)
        self.show_keys()

    @on(Prompt.Typed)
    def _typed(self, event: Prompt.Typed) -> None:
        """What the form would come to with this value."""
        event.stop()
        one = self._editing
        if one is None or self._flaw(one, event.text):
            return
        kept = self._values[one.name]
        self._values[one.name] = event.text
        wanted = self._wanted()
        self._values[one.name] = kept
        if self._values["source"]:
            start_job(self, partial(self._foretell, wanted), "foretell")

    @on(Prompt.Done)
    def _done(self, event: Prompt.Done) -> None:
        event.stop()
        one, prompt = self._editing, self.query_one(Prompt)
        if one is None:
            return
        if flaw := self._flaw(one, event.text):
            prompt.remark(flaw, "error")
            prompt.deciding = False
            self.shell.forget_keys()
            return
        self._leave_line()
        self._put(one.name, event.text.strip())

    @on(Prompt.Completed)
    def _completed(self, event: Prompt.Completed) -> None:
        event.stop()
        self.call_later(self.shell.give_keys)

    def _flaw(self, one: Field, text: str) -> str:
        """Why a value cannot be taken into the form; what an axis says is told by the plan."""
        if one.kind != "number" or not text.strip():
            return ""
        try:
            if one.name == "guidance":
                float(text)
            else:
                int(text)
        except ValueError:
            return _("It must be a number.")
        return ""

    def _leave_line(self) -> None:
        self._editing = None
        self.query_one(Prompt).close()
        self.set_focus(self._list)
        self.show_keys()

    def action_cancel(self) -> None:
        if self.query_one(Prompt).is_open:
            self._leave_line()
            self._changed()
        else:
            self.dismiss(None)

    def action_read(self) -> None:
        self.app.push_screen(TextView(_("New grid"), self._outcome))

    # -- drawing

    def action_write(self) -> None:
        if self._found is None:
            return
        found, seen = self._found
        if not seen.large:
            start_job(self, partial(self._begin, found), "begin")
            return

        def sure(yes: bool | None) -> None:
            if yes:
                start_job(self, partial(self._begin, found), "begin")

        self.app.push_screen(Confirm(_("Draw this large grid?"), seen.size_words(), yes=_("draw it")), sure)

    async def _begin(self, found: Asked) -> None:
        if self._beginning:
            return
        self._beginning = True
        try:
            folder, _task = await in_thread(made_and_begun, found, self._values["title"].strip())
        except UserError as error:
            self._beginning = False
            self.tell(error_words(error), "error")
            return
        self.dismiss(folder)
