"""The runs of the project: state, steps, loss, when; and the one under the cursor in more detail."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import RunStatus
from lora_tui.text import N_, _, bytes_text, count, ngettext, number, percent, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.curves import Curves, Look
from lora_tui.tui.road import MARK_OF_STATE, TONE_OF_MARK, state_words
from lora_tui.tui.run_details import RunDetails, detail_lines, list_files, lora_lines, read_details, when_text
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.resuming import Resuming
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.chart import LineChart, Picture
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words
from lora_tui.tui.workspace import Change

REST_SECONDS = 0.06
"""How long the cursor rests on a run before its files are read: a held key reads few."""

LINE_WIDTH = 4000
"""Cells that no sentence about a run takes: the window that shows it whole breaks the lines itself."""

COLUMNS = (
    Column(1),
    Column(3, "#", align="right"),
    Column(8, N_("state"), most=12, share=1),
    Column(15, N_("steps"), align="right", since=48),
    Column(4, N_("done"), align="right"),
    Column(7, N_("loss"), align="right"),
    Column(10, N_("when"), align="right", since=40),
    Column(10, N_("name"), share=3, since=72, cut="middle"),
)


class RunsScreen(BaseScreen):
    """Runs at the left, newest first; facts, curve and sample at the right."""

    ACTS = "runs"
    CSS_PATH = "runs.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._runs: tuple[RunStatus, ...] = ()
        self._details: RunDetails | None = None
        self._resuming = Resuming(self, lambda run: self.shell.open_run(run))

    def compose_body(self) -> ComposeResult:
        with Horizontal():
            yield VirtualList(COLUMNS, self._cells, gap=1, id="run-list")
            with Vertical(id="right"):
                yield Lines(id="run-facts")
                yield LineChart(id="run-chart")
                yield ImageView(id="run-sample")

    # -- the list

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if not changed & {"runs", "project"} or not self.query("#run-list"):
            return
        here = self.chosen
        self._runs = self.workspace.runs or ()
        place = next((at for at, status in enumerate(self._runs) if here and status.run == here.run), 0)
        found = self.query_one("#run-list", VirtualList)
        found.set_count(len(self._runs), cursor=place, empty=self._empty())
        found.reload()
        self._say()
        self._show()

    def _empty(self) -> str:
        if self.workspace.runs is None:
            return _("Reading the runs.")
        key = self.shell.keymap.shown("app.show-parameters")
        return _("No run yet. {key} describes one and starts it.").format(key=key)

    def _say(self) -> None:
        living = sum(status.alive for status in self._runs)
        text = ngettext("{count} run", "{count} runs", len(self._runs)).format(count=count(len(self._runs)))
        if living:
            text += "   " + ngettext("{count} at work", "{count} at work", living).format(count=living)
        self.set_status(text)

    def _cells(self, index: int) -> list[Cell]:
        status = self._runs[index]
        mark = MARK_OF_STATE.get(status.state, "todo")
        steps = f"{count(status.step)}/{count(status.total_steps)}" if status.total_steps else "-"
        share = percent(status.step, status.total_steps) if status.total_steps else ""
        return [
            Cell(getattr(self.shell.marks, mark), TONE_OF_MARK.get(mark, "")),
            Cell(str(status.number or "")),
            Cell(state_words(status.state)),
            Cell(steps, "muted"),
            Cell(share),
            Cell(number(status.loss)),
            Cell(when_text(status, time.time()), "muted"),
            Cell(plain(status.run.name), "muted"),
        ]

    @property
    def chosen(self) -> RunStatus | None:
        """The run under the cursor."""
        index = self.query_one("#run-list", VirtualList).cursor
        return self._runs[index] if 0 <= index < len(self._runs) else None

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self._show()
        self.refresh_keys()

    @on(VirtualList.Chosen)
    def _clicked(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_open()

    # -- the run under the cursor

    def _show(self) -> None:
        status = self.chosen
        facts = self.query_one("#run-facts", Lines)
        if status is None:
            facts.show([])
            self.query_one("#run-chart").display = False
            self.query_one("#run-sample", ImageView).show(None)
            return
        facts.show(detail_lines(status, self._details, self.shell.marks, max(facts.size.width, 20)))
        if self._details is None or self._details.run != status.run or status.alive:
            self._look(status.run)
        else:
            self._show_details(self._details)

    @work(group="details", exclusive=True)
    async def _look(self, run: RunFolder) -> None:
        await asyncio.sleep(REST_SECONDS)
        details = await in_thread(read_details, run)
        if not self.query("#run-list"):
            return  # the app is being left
        status = self.chosen
        if status is None or status.run != run:
            return
        self._details = details
        facts = self.query_one("#run-facts", Lines)
        facts.show(detail_lines(status, details, self.shell.marks, max(facts.size.width, 20)))
        self._show_details(details)

    def _show_details(self, details: RunDetails) -> None:
        chart = self.query_one("#run-chart", LineChart)
        chart.display = True
        if details.story is None:
            chart.show(Picture(empty=_("Enter shows the curves.")))
        else:
            picture = Curves(details.story).picture(Look(), self.shell.marks, empty=_("No step yet."))
            chart.show(picture)
        self.query_one("#run-sample", ImageView).show(details.sample)

    @on(events.Resize)
    def _size_changed(self) -> None:
        self.call_after_refresh(self._show)

    # -- actions

    def refusal(self, action_id: str) -> str:
        status = self.chosen
        if status is None:
            return _("There is no run yet.") if self.workspace.runs is not None else _("Reading the runs.")
        if action_id == "runs.resume":
            if status.alive:
                return _("The run is at work.")
            if status.state == "finished":
                return _("The run is complete; network.start_from (F4) goes on from its LoRA.")
            if not status.can_resume:
                return _("This run cannot be resumed.")
        return ""

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
            lines = detail_lines(status, self._details, self.shell.marks, LINE_WIDTH)
            files = self._details.files if self._details is not None and self._details.run == status.run else ()
            text = ["".join(cell.text for cell in line) for line in lines]
            text += ["", *(f"{bytes_text(size):>9}  {path}" for path, size in files)]
            self.app.push_screen(TextView(plain(status.run.name), text))

    def action_files(self) -> None:
        status = self.chosen
        if status is not None:
            self._list_files(status.run)

    @work(group="files", exclusive=True)
    async def _list_files(self, run: RunFolder) -> None:
        files = await in_thread(list_files, run)

        def chosen(place: int) -> None:
            self._show_lora(files[place][0])

        lines = [line for _path, line in files]
        self.app.push_screen(TextView(plain(run.name), lines, accept=_("LoRA info"), chosen=chosen))

    @work(group="lora", exclusive=True)
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
            self._read_settings(status.run)

    @work(group="files", exclusive=True)
    async def _read_settings(self, run: RunFolder) -> None:
        try:
            text = await in_thread(run.config_path.read_text, "utf-8", "replace")
        except OSError as error:
            self.tell(plain(str(error)), "error")
            return
        self.app.push_screen(TextView(plain(str(run.config_path)), text.splitlines()))
