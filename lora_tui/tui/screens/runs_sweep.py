"""The runs of a sweep and what came of each, over the list of runs."""

from __future__ import annotations

from functools import partial

from textual import events, on
from textual.app import ComposeResult
from textual.screen import ModalScreen

from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder
from lora_tui.sweeps.axes import value_text
from lora_tui.sweeps.folder import SweepFolder
from lora_tui.sweeps.queueing import enqueue_unstarted
from lora_tui.sweeps.results import Result, Table, counts_text, read_table, short_key, state_text
from lora_tui.text import N_, _, count, duration, ngettext, number, plain
from lora_tui.tui.acting import Acting, WithKeys, hints_of
from lora_tui.tui.actions import RESULTS
from lora_tui.tui.cells import Cell, fit
from lora_tui.tui.marks import UNICODE, Marks
from lora_tui.tui.road import MARK_OF_STATE, TONE_OF_MARK
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import Choice, Choose, Confirm
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words

LOOK_SECONDS = 5.0
"""How often the runs are looked at again while the table is open."""

_LEAST_VARIED = 6
_ORDERS = (("", N_("as planned")), ("best_validation", N_("best validation loss")), ("loss", N_("loss")))


class SweepResults(WithKeys, Acting, ModalScreen[RunFolder | None], inherit_bindings=False):
    """What varies, how each run stands and how good it became; dismissed with the run that is to be opened."""

    ACTS = RESULTS
    CSS_PATH = "runs_sweep.tcss"

    def __init__(self, sweep: SweepFolder, table: Table, marks: Marks = UNICODE) -> None:
        super().__init__()
        self._sweep, self._read, self._marks = sweep, table, marks
        self._order = ""
        self._said = self._said_at = ""
        self._table = table

    def compose(self) -> ComposeResult:
        yield Lines(id="sweep-head")
        yield VirtualList([Column(10, share=1)], self._row, gap=1, id="sweep-table")
        yield Lines(id="sweep-foot")
        yield Keys()

    def on_mount(self) -> None:
        self.take_keys()
        self.query_one(Keys).show(hints_of(self.app, RESULTS))
        keys = self._table.keys
        varied = [Column(_LEAST_VARIED, short_key(key, keys), share=1, most=20, cut="middle") for key in keys]
        self._list.set_columns(
            [
                Column(1),
                Column(3, "#", align="right"),
                *varied,
                Column(11, N_("state")),
                Column(11, N_("steps"), align="right", since=70),
                Column(7, N_("loss"), align="right"),
                Column(14, N_("validation"), align="right"),
                Column(7, N_("time"), align="right", since=64),
                Column(10, N_("cost"), align="right", since=110),
                Column(14, N_("best file"), share=2, since=100, cut="middle"),
            ]
        )
        self._show()
        self._list.focus()
        self.set_interval(LOOK_SECONDS, self._look)

    def on_resize(self, _event: events.Resize) -> None:
        self._show()

    @property
    def _list(self) -> VirtualList:
        return self.query_one("#sweep-table", VirtualList)

    @property
    def _here(self) -> Result | None:
        place = self._list.cursor
        return self._table.results[place] if 0 <= place < len(self._table.results) else None

    # -- what is shown

    def _look(self) -> None:
        start_job(self, self._look_again, "look")

    async def _look_again(self) -> None:
        self._read = await in_thread(read_table, self._sweep)
        self._show()

    def _show(self) -> None:
        if not self.query("#sweep-table"):
            return  # the app is being left
        here = self._here
        self._table = self._read.ordered(self._order)
        place = next((at for at, one in enumerate(self._table.results) if here and one.member == here.member), 0)
        self._list.set_count(len(self._table.results), cursor=place)
        self._list.reload()
        cells = [Cell(f" {_('SWEEP')}  ", "muted"), Cell(plain(self._table.name), "strong")]
        self.query_one("#sweep-head", Lines).show([[*cells, Cell(f"  {counts_text(self._table)}", "muted")]])
        self._show_foot()

    def _show_foot(self) -> None:
        one = self._here
        if one is None:
            return
        width = max(self.size.width - 2, 10)
        below = one.message or (_("best file: {path}").format(path=one.get("best")) if one.get("best") else "")
        lines = (f"{one.member}: {state_text(one.state)}", self._said or below)
        tones = ("", "accent" if self._said else "muted")
        cut = (fit(" " + plain(line), width, ellipsis=self._marks.ellipsis).rstrip() for line in lines)
        self.query_one("#sweep-foot", Lines).show([(Cell(line, tone),) for line, tone in zip(cut, tones, strict=True)])

    def _row(self, index: int) -> list[Cell]:
        one = self._table.results[index]
        best = self._table.best
        mark = MARK_OF_STATE.get(one.state, "todo")
        step, steps, at = one.get("step"), one.get("steps"), one.get("best_validation_step")
        value = f"{number(one.get('best_validation'))} @{count(at)}" if at else "-"
        cost = one.get("cost")
        file = str(one.get("best") or "").rpartition("/")[2]
        return [
            Cell(getattr(self._marks, mark), TONE_OF_MARK.get(mark, "")),
            Cell(str(one.get("number") or "")),
            *(Cell(plain(value_text(one.values.get(key, "-"))), "strong") for key in self._table.keys),
            Cell(state_text(one.state)),
            Cell("-" if step is None else f"{count(step)}/{count(steps)}" if steps else count(step), "muted"),
            Cell(number(one.get("loss"))),
            Cell(value, "success" if best is not None and best.member == one.member else ""),
            Cell(duration(one.get("seconds")), "muted"),
            Cell("-" if cost is None else f"{cost:.2f} {plain(one.get('currency') or '')}".strip(), "muted"),
            Cell(plain(file), "muted"),
        ]

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        if self._here is not None and self._here.member != self._said_at:
            self._said = ""
        self._show_foot()

    @on(VirtualList.Chosen)
    def _clicked(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_open()

    # -- keys

    def refusal(self, action_id: str) -> str:
        if action_id == "results.open" and (self._here is None or self._here.row is None):
            return _("This run was not started; C puts those that never ran into the queue.")
        if action_id == "results.compare" and sum(one.row is not None for one in self._table.results) < 2:
            return _("There is only one run.")
        return ""

    async def action_act(self, action_id: str) -> None:
        self._said, self._said_at = self.refusal(action_id), self._here.member if self._here is not None else ""
        if self._said:
            self._show_foot()
        else:
            await super().action_act(action_id)

    def action_open(self) -> None:
        one = self._here
        if one is not None and one.row is not None:
            self.dismiss(one.row.run)

    def action_sort(self) -> None:
        keys = self._table.keys
        orders = [*((name, _(title)) for name, title in _ORDERS), ("seconds", _("time")), ("state", _("state"))]
        orders += [(key, short_key(key, keys)) for key in keys]
        choices = [Choice(name, title) for name, title in orders]
        self.app.push_screen(Choose(_("Order by"), choices, current=self._order), self._sorted)

    def _sorted(self, name: str | None) -> None:
        if name is not None:
            self._order = name
            self._show()

    def action_compare(self) -> None:
        start_job(self, self._compare, "compare")

    async def _compare(self) -> None:
        from lora_tui.records.compare import compare
        from lora_tui.tui.screens.runs_compare import CompareRuns

        rows = [one.row for one in self._table.results if one.row is not None]
        self.app.push_screen(CompareRuns(await in_thread(compare, rows)))

    def action_go_on(self) -> None:
        missing = sum(one.state == "missing" for one in self._read.results)
        if not missing:
            self._said = _("Every run of it has been started, or is in the queue.")
            self._show()
            return
        text = ngettext("Put {count} run into the queue?", "Put {count} runs into the queue?", missing)
        dialog = Confirm(text.format(count=count(missing)), yes=_("put them there"))
        self.app.push_screen(dialog, lambda yes: start_job(self, self._queue, "queue") if yes else None)

    async def _queue(self) -> None:
        try:
            jobs = await in_thread(partial(enqueue_unstarted, self._sweep))
            told = ngettext("{count} run is in the queue.", "{count} runs are in the queue.", len(jobs))
            self._said = told.format(count=count(len(jobs)))
        except UserError as error:
            self._said = error_words(error)
        await self._look_again()

    def action_leave(self) -> None:
        self.dismiss(None)

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        await self.action_act(event.action)
