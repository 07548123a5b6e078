"""The grids of the project: their list, one of them as a table of pictures, and the pictures of cells in full.

A grid is drawn by a task of its own; this screen only looks at its folder, so leaving it, or the app, stops nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from lora_tui.grids.begin import task_of
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.looking import GridsReader, Stamp, Summary, pictures_in
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.status import TaskStatus
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.grid_text import COLUMNS, list_facts, list_row
from lora_tui.tui.screens.grids_acts import GridActs
from lora_tui.tui.screens.grids_cells import GridCells
from lora_tui.tui.screens.grids_grow import Growing
from lora_tui.tui.screens.list_screen import REST_SECONDS, ListScreen
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.cell_grid import CellGrid
from lora_tui.tui.widgets.chart import LineChart
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.task_progress import TaskProgress
from lora_tui.tui.widgets.virtual_list import VirtualList
from lora_tui.tui.wording import sentences
from lora_tui.tui.workspace import Change

VIEWS = ("list", "cells", "full")
IN_LIST = frozenset(("open", "new", "add", "sheet", "pause", "stop", "run", "tasks", "read", "score", "generate"))
"""What can be done on the list; the other actions are about cells."""


class GridsScreen(ListScreen[Summary]):
    """All grids, with a picture of the one under the cursor; or one of them."""

    ACTS = "grids"
    CSS_PATH = ["list_screen.tcss", "grids.tcss"]
    COLUMNS = COLUMNS
    AUTO_FOCUS = "#list"
    FREE = frozenset({"new", "generate", "tasks"})

    def __init__(self) -> None:
        super().__init__()
        self.view = "list"
        self.grid = GridCells(self)
        self.growing = Growing(self)
        self._acts = GridActs(self)
        self._reader = GridsReader()
        self._all_read = False
        self._reading = False
        self._again = False
        self._was_at_work = False

    def doers(self) -> tuple[object, ...]:
        return (self, self.grid, self.growing, self._acts)

    @property
    def takes_keys(self) -> bool:
        return super().takes_keys and not self.query_one(Prompt).deciding

    def awaited(self) -> str:
        if self.view != "list":
            return _("Reading the grid.") if self.grid.awaited else ""
        return _("Looking for grids.") if not self._all_read and not self.workspace.trouble else ""

    def compose_body(self) -> ComposeResult:
        with Vertical(id="grid-list-view"):
            yield from super().compose_body()
            yield TaskProgress(id="grid-task")
        with Vertical(id="grid-cells-view"):
            yield Lines(id="grid-line")
            with Horizontal(id="grid-table"):
                yield CellGrid(self.grid.tile, id="grid-cells")
                yield Lines(id="cell-facts")
            with Vertical(id="grid-curves"):
                yield Lines(id="curve-line")
                yield LineChart(id="curve-chart")
        with Vertical(id="grid-full-view"):
            yield Lines(id="full-line")
            with Horizontal(id="full-pictures"):
                for side in ("left", "right"):
                    with Vertical(id=f"full-{side}"):
                        yield Lines(id=f"full-{side}-line")
                        yield ImageView(align="center", id=f"full-{side}-image")
            yield Lines(id="full-text")
        yield Prompt(id="prompt")

    def compose_right(self) -> ComposeResult:
        yield ImageView(align="center", id="grid-picture")

    def on_mount(self) -> None:
        super().on_mount()
        self.show_view("list")

    # -- views

    def show_view(self, name: str) -> None:
        """Show the list, a grid's cells, or one cell in full."""
        self.view = name
        for one in VIEWS:
            self.query_one(f"#grid-{one}-view").display = one == name
        # arrows go over the cells of the table while one of them is seen in full, too
        self.set_focus(self.query_one("#list" if name == "list" else "#grid-cells"), scroll_visible=False)
        self.set_status(self.told())
        self.refresh_keys()

    def go_to(self, place: str) -> None:
        """Show the grid in this folder."""
        self.open_grid(GridFolder(Path(place)))

    def open_grid(self, folder: GridFolder) -> None:
        """Show a grid, from its first page on where it is another one."""
        self.wanted(folder.root)
        self.grid.open(folder)
        self.show_view("cells")
        start_job(self, partial(self._follow_newest, folder), "task")

    def go_back(self) -> bool:
        if self.query_one(Prompt).is_open:
            self.growing.leave()
            return True
        if self.grid.go_back():
            return True
        if self.view == "full":
            self.show_view("cells")
            return True
        if self.view == "cells":
            self.show_view("list")
            self.read_list()
            return True
        return False

    # -- the list

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if "project" in changed and self.grid.folder is not None:
            root = self.workspace.root
            if self.workspace.project is not None and not self.grid.folder.root.is_relative_to(root):
                self.grid.forget()
                self.show_view("list")
        if changed & {"project", "tasks", "runs"}:
            self.read_list()
            self._follow_new()
            if self.view != "list" and "project" in changed:
                self.grid.look(anew=True)

    @on(events.ScreenResume)
    def _seen_again(self) -> None:
        self.read_list()
        self.grid.look()

    def read_list(self) -> None:
        """Read which grids there are; only what is on screen is read."""
        if self.workspace.project is None or not self.is_attached:
            return
        if self._reading:
            self._again = True
            return
        self._reading = True
        start_job(self, self._read, "list", alone=False)

    async def _read(self) -> None:
        try:
            while True:
                self._again = False
                found = await in_thread(self._reader.read, self.workspace.root / "grids")
                self._all_read = True
                self.take_rows(found)
                self.select()
                self.resume_keys()
                if not self._again:
                    return
        finally:
            self._reading = False

    @property
    def folder(self) -> GridFolder | None:
        """The grid that actions are about: the one in view, else the one under the cursor of the list."""
        if self.view != "list":
            return self.grid.folder
        return self.row_here.folder if self.row_here is not None else None

    def key_of(self, row: Summary) -> Path:
        return row.folder.root

    def empty_words(self) -> str:
        if not self._all_read:
            return _("Looking for grids.")
        training, key, new = map(self.shell.keymap.shown, ("app.show-training", "training.grid", "grids.new"))
        words = _("No grid yet. {key} in {screen} makes one of a run's checkpoints and strengths, {new} any other.")
        return words.format(key=key, screen=training, new=new)

    def told(self) -> str:
        if self.view != "list":
            return self.grid.told()
        number = len(self.rows)
        text = ngettext("{count} grid", "{count} grids", number).format(count=count(number))
        return text if self._all_read else ""

    def status_of(self, folder: GridFolder) -> TaskStatus | None:
        """The newest task of a grid, as far as the app has looked."""
        progress = self.query_one_optional(TaskProgress)
        followed = progress.followed if progress is not None else None
        if progress is not None and followed is not None and followed.root.is_relative_to(folder.root):
            return progress.status
        tasks = self.workspace.tasks or ()
        return next((status for status in tasks if status.task.root.is_relative_to(folder.root)), None)

    def cells(self, row: Summary) -> list[Cell]:
        return list_row(row, self.status_of(row.folder), self.shell.marks)

    def show_here(self) -> None:
        row, facts = self.row_here, self.query_one("#facts", Lines)
        facts.show(list_facts(row, max(facts.size.width, 20), self.shell.marks))
        if row is None:
            self.query_one("#grid-picture", ImageView).show(None)
        elif self.view == "list":
            start_job(self, partial(self._look_at, row.folder), "here")

    async def _look_at(self, folder: GridFolder) -> None:
        """Show the sheet of the grid under the cursor, and what is at work on it."""
        await asyncio.sleep(REST_SECONDS)
        picture = await in_thread(_picture_of, folder)
        if self.view == "list" and self.folder == folder:
            self.query_one("#grid-picture", ImageView).show(*picture)
            await self._follow_newest(folder)

    # -- the task that draws

    @property
    def progress(self) -> TaskProgress:
        return self.query_one(TaskProgress)

    def follow(self, task: TaskFolder | None) -> None:
        """Show how a task fares."""
        followed = self.progress.followed
        if task is None or followed is None or followed.root != task.root:
            self.progress.display = self._was_at_work = False  # until it is known to have something to tell
            self.progress.follow(task)
        else:
            self.progress.look_again()
        self.refresh_keys()

    async def _follow_newest(self, folder: GridFolder) -> None:
        task = await in_thread(task_of, folder)
        if self.folder == folder:
            followed = self.progress.followed
            if task is None or followed is None or followed.root != task.root:
                self.follow(task)

    def _follow_new(self) -> None:
        """A task that was begun elsewhere is followed, too."""
        folder = self.folder
        if folder is not None:
            start_job(self, partial(self._follow_newest, folder), "task")

    @on(TaskProgress.Changed)
    @on(TaskProgress.Ended)
    def _task_changed(self, event: TaskProgress.Changed) -> None:
        event.stop()
        ended = isinstance(event, TaskProgress.Ended)
        self._was_at_work = self._was_at_work or event.status.alive
        # what had gone well before it was looked at is told by the list
        self.progress.display = self._was_at_work or event.status.state != "finished"
        if ended:
            self.shell.poll_runs()
            if event.status.message and event.status.state in ("failed", "died"):
                self.tell(plain(sentences(event.status.message, event.status.advice), limit=300), "error")
        if self.view == "list":
            self.listed.reload()
            self.show_here()
            if ended:
                self.read_list()
        elif self.is_current:
            self.grid.look(anew=ended)
        self.refresh_keys()

    # -- keys

    def key_hints(self) -> list[KeyHint]:
        prompt = self.query_one_optional(Prompt)
        if prompt is not None and prompt.is_open:
            return prompt.hints()
        resting = not self.progress.can_pause
        named = {"grids.pause": _("go on") if resting else _("pause")}
        if self.view != "list":
            named["grids.open"] = _("full") if self.view == "cells" else _("back to all")
        found = [
            replace(hint, title=named.get(hint.action, hint.title))
            for hint in super().key_hints()
            if not (self._is_of_cells(hint.action) if self.view == "list" else hint.action == "grids.new")
        ]
        # what is left to draw is what is wanted most
        return sorted(found, key=lambda hint: not (resting and hint.possible and hint.action == "grids.pause"))

    def _is_of_cells(self, action: str) -> bool:
        context, _dot, name = action.partition(".")
        return context == self.ACTS and name not in IN_LIST

    def refusal(self, action_id: str) -> str:
        name = action_id.partition(".")[2]
        if name in ("new", "tasks", "generate"):
            return ""
        if self.view == "list":
            if name not in IN_LIST:
                return _("Open a grid first.")
            if self.row_here is None:
                return self.empty_words()
            if self.row_here.error is not None and name != "sheet":
                return self.row_here.error.message
        return self._acts.refusal(name) or self.grid.refusal(name)

    def action_open(self) -> None:
        if self.view == "list":
            if self.row_here is not None:
                self.open_grid(self.row_here.folder)
        else:
            self.show_view("full" if self.view == "cells" else "cells")
            self.grid.draw()

    # -- the cells

    @on(VirtualList.Moved, "#grid-cells")
    def _cell_moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self.grid.moved()

    @on(VirtualList.Chosen, "#grid-cells")
    def _cell_chosen(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_open()

    @on(Lines.Resized, "#grid-line, #cell-facts, #full-text, #full-line, #full-left-line, #full-right-line")
    def _lines_resized(self, event: Lines.Resized) -> None:
        event.stop()
        self.grid.draw()

    @on(Prompt.Typed)
    def _typed(self, event: Prompt.Typed) -> None:
        event.stop()
        self.growing.typed(event.text)

    @on(Prompt.Done)
    def _done(self, event: Prompt.Done) -> None:
        event.stop()
        self.growing.done(event.text)

    @on(Prompt.Completed)
    def _completed(self, event: Prompt.Completed) -> None:
        event.stop()
        self.resume_keys()


def _picture_of(folder: GridFolder) -> tuple[Path | None, Stamp]:
    """The first sheet with its change time (ns) and size; before there is one, the picture that was drawn last."""
    for path in sorted(folder.root.glob("sheet*.png"))[:1]:
        try:
            facts = path.stat()
        except OSError:
            break
        return path, (facts.st_mtime_ns, facts.st_size)
    drawn = pictures_in(folder)
    newest = max(drawn, key=lambda key: drawn[key], default="")
    return (folder.picture(newest), drawn[newest]) if newest else (None, (0, 0))
