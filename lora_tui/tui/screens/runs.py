"""The runs of the project: state, steps, loss, when; and the one under the cursor in more detail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

from textual import work
from textual.app import ComposeResult

from lora_tui.errors import UserError
from lora_tui.records.rows import Row, RowReader
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import RunStatus
from lora_tui.text import _, bytes_text, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.curves import Curves, Look
from lora_tui.tui.run_details import RunDetails, detail_lines, list_files, lora_lines, noted_lines, read_details
from lora_tui.tui.run_rows import COLUMNS, row_cells
from lora_tui.tui.screens.grids_after import AfterRun
from lora_tui.tui.screens.list_screen import REST_SECONDS, FindScreen
from lora_tui.tui.screens.resuming import Resuming
from lora_tui.tui.screens.runs_acts import RunActs
from lora_tui.tui.screens.runs_find import RunsFind
from lora_tui.tui.screens.runs_notes import RunNoting
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.chart import LineChart, Picture
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.wording import error_words
from lora_tui.tui.workspace import Change

LINE_WIDTH = 4000
"""Cells that no sentence about a run takes: the window that shows it whole breaks the lines itself."""


class RunsScreen(FindScreen[Row]):
    """Runs at the left, newest first; facts, curve and sample at the right."""

    ACTS = "runs"
    CSS_PATH = ["list_screen.tcss", "runs.tcss"]
    COLUMNS = COLUMNS
    FREE = frozenset({"queue"})

    def __init__(self) -> None:
        super().__init__(RunsFind(self))
        self._noting = RunNoting(self)
        self._acting = RunActs(self)
        self._after = AfterRun(self, lambda: self.row_here.run if self.row_here is not None else None)
        self._reader: RowReader | None = None
        self._reading = asyncio.Lock()
        self._details: RunDetails | None = None
        self._details_at = (-1, "")
        self._resuming = Resuming(self, lambda run: self.shell.open_run(run))

    def doers(self) -> tuple[object, ...]:
        return (*super().doers(), self._noting, self._acting, self._after)

    def compose_right(self) -> ComposeResult:
        yield LineChart(id="run-chart")
        yield ImageView(id="run-sample")

    def awaited(self) -> str:
        work = self.workspace
        return _("Reading the runs.") if work.runs is None and not work.trouble else ""

    # -- the list

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if not changed & {"runs", "project"} or not self.query("#list"):
            return
        known = {row.run: row for row in self.rows}
        statuses = self.workspace.runs or ()
        self.take_rows(
            replace(known[status.run], status=status) if status.run in known else Row(status, known=False)
            for status in statuses
        )
        self.select()
        start_job(self, self.read_rows, "rows")

    async def read_rows(self) -> None:
        """Read settings, notes and best files again where something changed, and show them."""
        statuses = [row.status for row in self.rows]
        if not statuses:
            return
        runs_dir = statuses[0].run.root.parent
        async with self._reading:
            if self._reader is None or self._reader.runs_dir != runs_dir:
                self._reader = RowReader(runs_dir)
            rows = await in_thread(self._reader.rows, statuses)
        read = {row.run: row for row in rows}
        self.rows = [replace(read[row.run], status=row.status) if row.run in read else row for row in self.rows]
        self.select()

    def empty_words(self) -> str:
        if self.workspace.runs is None:
            return _("Reading the runs.")
        if self.rows:
            return _("No run fits the filter; Esc shows all.")
        key = self.shell.keymap.shown("app.show-parameters")
        return _("No run yet. {key} describes one and starts it.").format(key=key)

    def told(self) -> str:
        living = sum(row.status.alive for row in self.rows)
        text = self.counted()
        if living:
            text += "   " + ngettext("{count} running", "{count} running", living).format(count=living)
        return "   ".join([text, *self.find.spoken()])

    def cells(self, row: Row) -> list[Cell]:
        return row_cells(row, self.shell.marks, marked=row.run.root in self.find.marks)

    @property
    def chosen(self) -> RunStatus | None:
        """The run under the cursor."""
        row = self.row_here
        return row.status if row is not None else None

    # -- the run under the cursor

    def show_here(self) -> None:
        status = self.chosen
        facts = self.query_one("#facts", Lines)
        if status is None:
            facts.show([])
            self.query_one("#run-chart").display = False
            self.query_one("#run-sample", ImageView).show(None)
            return
        facts.show(self._fact_lines(status, self._details, max(facts.size.width, 20)))
        details, now = self._details, (status.step, status.state)
        if details is None or details.run != status.run or status.alive or self._details_at != now:
            self._look(status.run)
        else:
            self._show_details(details)

    @work(group="details", exclusive=True)
    async def _look(self, run: RunFolder) -> None:
        await asyncio.sleep(REST_SECONDS)
        at = self.chosen
        details = await in_thread(read_details, run)
        if not self.query("#list"):
            return  # the app is being left
        status = self.chosen
        if status is None or status.run != run:
            return
        self._details = details
        self._details_at = (at.step, at.state) if at is not None and at.run == run else (-1, "")
        facts = self.query_one("#facts", Lines)
        facts.show(self._fact_lines(status, details, max(facts.size.width, 20)))
        self._show_details(details)

    def _fact_lines(self, status: RunStatus, details: RunDetails | None, width: int) -> list[tuple[Cell, ...]]:
        row = self.row_here
        lines = detail_lines(status, details, self.shell.marks, width)
        noted = noted_lines(row, self.shell.marks, width) if row is not None and row.known else []
        return [*lines[:2], *noted, *lines[2:]]

    def _show_details(self, details: RunDetails) -> None:
        chart = self.query_one("#run-chart", LineChart)
        chart.display = True
        if details.story is None:
            chart.show(Picture(empty=_("Enter shows the curves.")))
        else:
            picture = Curves(details.story).picture(Look(), self.shell.marks, empty=_("No step yet."))
            chart.show(picture)
        self.query_one("#run-sample", ImageView).show(details.sample)

    # -- actions

    def refusal(self, action_id: str) -> str:
        if action_id == "runs.queue" or (action_id in ("runs.filter", "runs.sort") and self.rows):
            return ""
        status = self.chosen
        if status is None:
            return self.empty_words() if self.rows or self.workspace.runs is None else _("There is no run yet.")
        if action_id == "runs.sweep" and self.row_here is not None and not self.row_here.sweep:
            return _("This run is of no sweep.")
        if action_id == "runs.compare" and len(self.rows) < 2:
            return _("There is only one run.")
        if action_id in ("runs.publish", "runs.best") and self.row_here is not None and not self._has_files:
            return _("The run has no LoRA file yet.")
        if action_id == "runs.resume":
            if status.alive:
                return _("It is running.")
            if status.state == "finished":
                return _("The run is complete; network.start_from (F4) goes on from its LoRA.")
            if not status.can_resume:
                return _("This run cannot be resumed.")
        return ""

    @property
    def _has_files(self) -> bool:
        row = self.row_here
        return row is not None and (row.files > 0 or not row.known)

    def action_open(self) -> None:
        status = self.chosen
        if status is not None:
            self.shell.open_run(status.run)

    def action_resume(self) -> None:
        status = self.chosen
        if status is not None:
            story = self._details.story if self._details is not None and self._details.run == status.run else None
            state = story.states[-1].step if story is not None and story.states else None
            self._resuming.ask(status.run, state=state, step=status.step, total=status.total_steps)

    def action_read(self) -> None:
        status = self.chosen
        if status is not None:
            lines = self._fact_lines(status, self._details, LINE_WIDTH)
            files = self._details.files if self._details is not None and self._details.run == status.run else ()
            text = ["".join(cell.text for cell in line) for line in lines]
            text += ["", *(f"{bytes_text(size):>9}  {path}" for path, size in files)]
            self.app.push_screen(TextView(plain(status.run.name), text))

    def action_files(self) -> None:
        status = self.chosen
        if status is not None:
            self.guide(partial(self._list_files, status.run))

    async def _list_files(self, run: RunFolder) -> None:
        files = await in_thread(list_files, run)

        def chosen(place: int) -> None:
            self.guide(partial(self._show_lora, files[place][0]))

        lines = [line for _path, line in files]
        self.app.push_screen(TextView(plain(run.name), lines, accept=_("LoRA info"), chosen=chosen))

    async def _show_lora(self, path: Path) -> None:
        if path.suffix.lower() != ".safetensors":
            self.shell.tell(_("Only LoRA files say something of themselves."), "warning")
            return
        try:
            lines = await in_thread(lora_lines, path)
        except UserError as error:
            self.app.push_screen(TextView(plain(path.name), error_words(error).split("\n")))
            return
        self.app.push_screen(TextView(plain(path.name), lines))

    def action_settings(self) -> None:
        status = self.chosen
        if status is not None:
            self.guide(partial(self._read_settings, status.run))

    async def _read_settings(self, run: RunFolder) -> None:
        try:
            text = await in_thread(run.config_path.read_text, "utf-8", "replace")
        except OSError as error:
            self.tell(plain(str(error)), "error")
            return
        self.app.push_screen(TextView(plain(str(run.config_path)), text.splitlines()))
