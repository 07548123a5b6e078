"""What is done with grids: the best cell is noted in its run's record, drawing rests, stops and goes on, files are
shown, a new grid is made. Part of the screen of grids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.grids.begin import begin_scoring, go_on
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.outputs import PAGE, Shown
from lora_tui.records.best import best_name
from lora_tui.records.notes import Notes, change_notes, choose_best, read_notes
from lora_tui.runs.folder import RunFolder
from lora_tui.tasks.start import Asked as Wish
from lora_tui.tasks.start import ask_task
from lora_tui.text import _, plain
from lora_tui.tui.grid_text import full_lines, place_words
from lora_tui.tui.screens.generate import Generate
from lora_tui.tui.screens.grids_new import NewGrid
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.grids import GridsScreen

MOST_UNDONE = 50
_FIELDS = ("best", "best_strength", "best_reason", "best_time")


@dataclass(frozen=True)
class _Noted:
    """A choice that was noted: what the notes said before and after it."""

    run: RunFolder
    before: Notes
    after: Notes


class GridActs:
    """What changes something outside of the screen."""

    def __init__(self, screen: GridsScreen) -> None:
        self._screen = screen
        self._noted: list[_Noted] = []

    def refusal(self, name: str) -> str:
        """Why an action cannot be done now."""
        cells, progress = self._screen.grid, self._screen.progress
        if name == "stop" and not progress.can_stop:
            return _("It is not being drawn.")
        if name == "undo" and not self._noted:
            return _("Nothing was noted here that could be undone.")
        if name == "best":
            one = cells.here
            return self._no_best(one) if one is not None else _("Reading the grid.")
        if name == "score" and progress.can_stop:
            return _("It is running already.")
        if name == "add" and progress.can_stop:
            return _("It is being drawn: values can be added once that has ended or was stopped.")
        if name == "run" and not self._run_of_here():
            return _("The grid is of no run.")
        if name == "pause" and not self._can_go_on():
            return _("Every cell is drawn.")
        return ""

    def _can_go_on(self) -> bool:
        """Whether anything is at work, or left to draw."""
        screen = self._screen
        if screen.progress.can_stop or screen.progress.can_resume:
            return True
        page, row = screen.grid.page, screen.row_here
        counts = page.counts if screen.view != "list" and page is not None else row.counts if row is not None else {}
        return not counts or bool(counts.get("waiting") or counts.get("failed"))

    def _run_of_here(self) -> RunFolder | None:
        if self._screen.view != "list":
            return self._screen.grid.run
        row = self._screen.row_here
        return RunFolder(Path(row.run)) if row is not None and row.run else None

    # -- the best

    def _no_best(self, one: Shown) -> str:
        run = self._screen.grid.run
        if run is None:
            return _("The grid is of no run, so there is no record to note it in.")
        if not one.cell.loras:
            return _("This is the base model without a LoRA.")
        if not any(lora.path.is_relative_to(run.root) for lora in one.cell.loras):
            return _("The cell's LoRA file is none of its run.")
        return ""

    def action_best(self) -> None:
        cells, folder = self._screen.grid, self._screen.grid.folder
        one, page, run = cells.here, cells.page, cells.run
        if one is None or page is None or run is None or folder is None:
            return
        lora = next(lora for lora in one.cell.loras if lora.path.is_relative_to(run.root))
        words = ", ".join([*place_words(page, one), *(f"{title} {label}" for title, label in page.labels())])
        reason = _("grid {name}: {cell}").format(name=folder.root.name, cell=words)
        place = lora.path.relative_to(run.root).as_posix()
        job = partial(self._note, run, place, lora.strength, reason)
        self._screen.guide(job, stops=False)

    async def _note(self, run: RunFolder, place: str, strength: float, reason: str) -> None:
        try:
            if not await in_thread((run.root / place).is_file):
                raise UserError(_("The LoRA file is gone."), place=plain(place), code="run.gone")
            before = await in_thread(read_notes, run)
            after = await in_thread(partial(choose_best, run, place, strength=strength, reason=reason))
        except UserError as error:
            self._screen.tell(error_words(error), "error")
            return
        self._noted = [*self._noted, _Noted(run, before, after)][-MOST_UNDONE:]
        words = _("best of {run}: {file}").format(
            run=plain(run.name), file=best_name(place.rpartition("/")[2], strength)
        )
        self._told(f"{words}  {self._screen.shell.keymap.shown('grids.undo')} {_('undo')}")

    def action_undo(self) -> None:
        self._screen.guide(self._undo, stops=False)

    async def _undo(self) -> None:
        if not self._noted:
            return
        last = self._noted[-1]
        try:
            now = await in_thread(read_notes, last.run)
            if _best_of(now) != _best_of(last.after):
                self._noted.pop()
                self._screen.tell(_("Another was noted since; that stays."), "warning")
                return
            await in_thread(partial(change_notes, last.run, **_best_of(last.before)))
        except UserError as error:
            self._screen.tell(error_words(error), "error")
            return
        self._noted.pop()
        if last.before.best:
            name = best_name(last.before.best.rpartition("/")[2], last.before.best_strength)
            self._told(_("best again: {file}").format(file=name))
        else:
            self._told(_("no file is noted as the best any more"))

    def _told(self, words: str) -> None:
        self._screen.tell(words, "success")
        self._screen.grid.look()
        self._screen.shell.poll_runs()

    # -- drawing

    def action_pause(self) -> None:
        progress, folder = self._screen.progress, self._screen.folder
        if folder is None:
            return
        if progress.can_pause and progress.followed is not None:
            self._ask("pause", _("Asked to pause after the picture in hand."))
        elif progress.status is not None and progress.status.state == "paused":
            self._ask("resume", _("It goes on."))
        else:
            self._screen.guide(partial(self._go_on, folder), stops=False)

    def action_stop(self) -> None:
        self._ask("stop", _("Asked to stop; what is drawn stays."))

    def _ask(self, what: Wish, words: str) -> None:
        """By a job of the app: the request is made although the screen is left meanwhile."""
        task = self._screen.progress.followed
        if task is None:
            return

        async def asking() -> None:
            try:
                await in_thread(ask_task, task, what)
            except UserError as error:
                self._screen.shell.tell(error_words(error), "error")
                return
            self._screen.shell.poll_runs()
            if self._screen.is_current:
                self._screen.tell(words, "success")
            if self._screen.is_attached:
                self._screen.progress.look_again()

        start_job(self._screen.shell, asking, "ask", alone=False)

    async def _go_on(self, folder: GridFolder) -> None:
        try:
            task = await in_thread(go_on, folder, self._screen.workspace.root)
        except UserError as error:
            self._screen.tell(error_words(error), "error")
            return
        self._screen.follow(task)
        self._screen.tell(_("It goes on."), "success")
        self._screen.shell.poll_runs()

    def action_score(self) -> None:
        if (folder := self._screen.folder) is not None:
            self._screen.guide(partial(self._score, folder), stops=False)

    async def _score(self, folder: GridFolder) -> None:
        try:
            task = await in_thread(begin_scoring, folder, self._screen.workspace.root)
        except UserError as error:
            self._screen.tell(error_words(error), "error")
            return
        self._screen.follow(task)
        self._screen.tell(_("The pictures are being scored; numbers come at the right."), "success")
        self._screen.shell.poll_runs()

    # -- looking

    def action_sheet(self) -> None:
        if (folder := self._screen.folder) is not None:
            self._screen.guide(partial(self._show_files, folder))

    async def _show_files(self, folder: GridFolder) -> None:
        paths = await in_thread(_files_of, folder)
        if not any(path.endswith(".png") for path in paths):
            self._screen.tell(_("The sheets are made once drawing has ended."), "warning")

        def chosen(place: int) -> None:
            self._screen.shell.copy_out(paths[place])
            self._screen.shell.tell(_("copied: {words}").format(words=plain(paths[place], limit=200)))

        title = _("Sheets, tables and page of {name}").format(name=plain(folder.root.name))
        self._screen.app.push_screen(TextView(title, paths, accept=_("copy the path"), chosen=chosen))

    def action_read(self) -> None:
        cells, folder = self._screen.grid, self._screen.grid.folder
        if self._screen.view == "list":
            row = self._screen.row_here
            if row is not None and row.error is not None:
                self._screen.app.push_screen(TextView(plain(row.folder.root.name), error_words(row.error).split("\n")))
            else:
                self.action_sheet()
            return
        if cells.here is not None and cells.page is not None and folder is not None:
            lines = full_lines(cells.page, cells.here, cells.scores, folder.picture(cells.here.key))
            self._screen.app.push_screen(TextView(", ".join(place_words(cells.page, cells.here)), lines))

    def action_run(self) -> None:
        if (run := self._run_of_here()) is not None:
            if run.root.is_dir():
                self._screen.shell.open_run(run)
            else:
                self._screen.tell(_("The run folder is gone."), "warning")

    # -- new ones

    def action_generate(self) -> None:
        self._screen.app.push_screen(Generate([]))

    def action_new(self) -> None:
        run = self._run_of_here()

        def made(folder: GridFolder | None) -> None:
            if folder is not None:
                self._screen.shell.poll_runs()
                self._screen.open_grid(folder)

        self._screen.app.push_screen(NewGrid(run), made)


def _best_of(notes: Notes) -> dict[str, object]:
    return {name: getattr(notes, name) for name in _FIELDS}


def _files_of(folder: GridFolder) -> list[str]:
    """What is made of a grid, the sheets first, then where its pictures are."""
    found = [*sorted(folder.root.glob("sheet*.png")), folder.root / PAGE, *sorted(folder.root.glob("cells.*"))]
    return [str(path) for path in [*(path for path in found if path.is_file()), folder.cells]]
