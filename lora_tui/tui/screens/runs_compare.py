"""Runs side by side: results and settings, datasets, curves over each other, samples by prompt and step."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import partial
from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen

from lora_tui.drawing.chart import Curve, Marker
from lora_tui.errors import UserError
from lora_tui.records.compare import Comparison, Drawn, Line
from lora_tui.records.export import FORMATS, dataset_lines, export, unwritten
from lora_tui.runs.facts import Sample
from lora_tui.text import N_, _, count, ngettext, number, plain
from lora_tui.tui.acting import Acting, WithKeys, hints_of
from lora_tui.tui.actions import COMPARE
from lora_tui.tui.cells import Cell, fit, wrap
from lora_tui.tui.curves import at_step
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.chart import ROLES, LineChart, Picture
from lora_tui.tui.widgets.dialog import AskPath
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.wording import error_words, sentences

PAGES = (N_("results"), N_("dataset"), N_("curves"), N_("samples"))
CURVES = (
    ("loss", N_("loss, smoothed")),
    ("validation", N_("validation")),
    ("lr.unet", N_("learning rate")),
    ("grad_norm", N_("gradient norm")),
    ("step_seconds", N_("seconds per step")),
)
MOST_CURVES = 6
"""Runs that a chart tells apart by colour; further ones share the colours."""

LEAST_COLUMN = 15
LEAST_PICTURE = 24
TITLES = 22


class RunsChart(LineChart):
    """A chart with a colour for each run."""

    roles = (*ROLES, *(f"run-{at}" for at in range(MOST_CURVES)))
    COMPONENT_CLASSES = {f"chart--run-{at}" for at in range(MOST_CURVES)}


class RunsLegend(Lines):
    """Lines that may have the colours of the curves."""

    COMPONENT_CLASSES = {f"tone--run-{at}" for at in range(MOST_CURVES)}


class CompareRuns(WithKeys, Acting, ModalScreen[None], inherit_bindings=False):
    """Pages of one comparison; the first run is what the others are held against."""

    ACTS = COMPARE
    CSS_PATH = "runs_compare.tcss"

    def __init__(self, told: Comparison) -> None:
        super().__init__()
        self._told = told
        self._page = 0
        self._first = 1  # the first of the runs beside the reference that is shown
        self._curve = self._prompt = 0
        self._log = False
        self._at: int | None = None
        self._step: int | None = None
        self._lines: list[tuple[Cell, ...]] = []
        self._smoothed: dict[tuple[int, str], tuple[list[int], list[float]]] = {}
        self._said = ""

    def compose(self) -> ComposeResult:
        yield Lines(id="compare-head")
        yield VirtualList([Column(10, share=1)], self._row, id="compare-table")
        with Vertical(id="compare-curves"):
            yield RunsChart(id="compare-chart")
            yield RunsLegend(id="compare-legend")
        with Vertical(id="compare-samples"):
            yield Lines(id="compare-prompt")
            yield Horizontal(id="compare-sides")
        yield Keys()

    def on_mount(self) -> None:
        self.take_keys()
        self.query_one(Keys).show(hints_of(self.app, COMPARE))

    async def on_resize(self, _event: events.Resize) -> None:
        await self._show()

    # -- pages

    async def _show(self) -> None:
        table = self._page < 2
        self.query_one("#compare-table").display = table
        self.query_one("#compare-curves").display = self._page == 2
        self.query_one("#compare-samples").display = self._page == 3
        self._show_head()
        if table:
            self._show_table()
        elif self._page == 2:
            self._show_curves()
        else:
            await self._show_samples()

    def _show_head(self) -> None:
        cells = [Cell(" ")]
        for at, title in enumerate(PAGES):
            cells += [Cell(_(title), "strong" if at == self._page else "muted"), Cell("   ")]
        hidden = len(self._told.rows) - len(self._columns())
        if hidden > 0 and self._page != 2:
            text = ngettext("{count} more run: left, right", "{count} more runs: left, right", hidden)
            cells.append(Cell(text.format(count=hidden) if self._page != 3 else "", "muted"))
        if self._said:
            cells.append(Cell(self._said, "success"))
        self.query_one("#compare-head", Lines).show([cells])

    def _columns(self) -> list[int]:
        """The runs that have room: the first one, and others from where the person went on."""
        width = self.app.size.width
        room = max((width - TITLES - 4) // LEAST_COLUMN, 2) if self._page != 3 else max(width // LEAST_PICTURE, 2)
        others = list(range(1, len(self._told.rows)))
        begin = min(self._first - 1, max(len(others) - (room - 1), 0))
        return [0, *others[begin : begin + room - 1]]

    def _show_table(self) -> None:
        rows = self.query_one("#compare-table", VirtualList)
        if self._page == 0:
            at = self._columns()
            rows.set_columns(
                [Column(TITLES, share=1, most=34), *(Column(LEAST_COLUMN - 2, share=1, cut="middle") for _one in at)]
            )
            self._lines = self._result_lines(at)
        else:
            rows.set_columns([Column(10, share=1)])
            self._lines = self._dataset_lines(max(self.app.size.width - 6, 20))
        rows.set_count(len(self._lines), cursor=min(max(rows.cursor, 0), len(self._lines) - 1))
        rows.reload()
        rows.focus()

    def _result_lines(self, at: list[int]) -> list[tuple[Cell, ...]]:
        told = self._told
        names = tuple(Cell(told.names[one], "strong") for one in at)
        lines = [(Cell(_("Results"), "accent"), *names), *(self._line(line, at) for line in told.results)]
        alike = ngettext("{count} is alike", "{count} are alike", told.alike).format(count=count(told.alike))
        title = Cell(_("Settings that differ"), "accent")
        if told.settings:
            lines += [_blank(at), (title, *names), *(self._line(line, at) for line in told.settings)]
        lines += [_blank(at), (Cell(_("Other settings")), Cell(alike, "muted"), *_blank(at)[2:])]
        if told.machines:
            title = Cell(_("Machine and versions"), "accent")
            lines += [_blank(at), (title, *names), *(self._line(line, at) for line in told.machines)]
        return lines + [(Cell(problem, "warning"),) for problem in told.problems]

    @staticmethod
    def _line(line: Line, at: list[int]) -> tuple[Cell, ...]:
        first = line.values[0]
        values = (line.values[one] for one in at)
        return (Cell(line.title, "muted"), *(Cell(value, "" if value == first else "warning") for value in values))

    def _dataset_lines(self, width: int) -> list[tuple[Cell, ...]]:
        lines: list[tuple[Cell, ...]] = []
        for name, changes in zip(self._told.names[1:], self._told.datasets, strict=True):
            title = _("Dataset of {run} against {first}").format(run=name, first=self._told.names[0])
            lines += [(Cell(title, "accent"),)]
            for text in dataset_lines(changes, 200):
                lead = " " * (len(text) - len(text.lstrip()))
                lines += [(Cell(f"  {lead}{part}"),) for part in wrap(text.strip(), width - 2 - len(lead))]
            lines.append((Cell(""),))
        return lines

    def _row(self, index: int) -> tuple[Cell, ...]:
        return self._lines[index] if index < len(self._lines) else (Cell(""),)

    # -- curves

    def _values(self, at: int, name: str) -> tuple[list[int], list[float]] | None:
        known = self._smoothed.get((at, name))
        if known is None:
            series = self._told.stories[at].series.get(name)
            if series is None or not len(series):
                return None
            values = series.smooth(0.99) if name == "loss" else series.mean
            known = self._smoothed[at, name] = (list(series.steps), list(values))
        return known

    def _show_curves(self) -> None:
        """The curves with a digit at each one's end, and below what each is with its value at the cursor."""
        name, title = CURVES[self._curve]
        told: list[tuple[Cell, ...]] = [(Cell(f" {_(title)}", "strong"),)]
        if self._at is not None:
            told[0] += (Cell("  " + _("at step {step}").format(step=count(self._at)), "muted"),)
        curves, ends = [], []
        for at, run in enumerate(self._told.names):
            found = self._values(at, name)
            if found is None:
                continue
            steps, values = found
            role, sign = f"run-{at % MOST_CURVES}", str(at + 1)
            curves.append(Curve(role, steps, steps, values, values, values, values))
            place = next((one for one in range(len(values) - 1, -1, -1) if math.isfinite(values[one])), -1)
            if place >= 0:
                ends.append(Marker(float(steps[place]), values[place], sign[-1], role))
            here = at_step(steps, values, self._at) if self._at is not None else values[place]
            value = number(here) if here is not None and math.isfinite(here) else "-"
            told.append((Cell(f" {sign:>2} ", role), Cell(f"{value:>9}  "), Cell(run, "muted")))
        last = float(max((story.step for story in self._told.stories), default=1) or 1)
        cursor = float(self._at) if self._at is not None else None
        empty = _("None of the runs has this curve.")
        picture = Picture(tuple(curves), tuple(ends), (), 0.0, last, log=self._log, cursor=cursor, empty=empty)
        self.query_one("#compare-chart", LineChart).show(picture)
        legend = self.query_one("#compare-legend", Lines)
        legend.styles.height = min(len(told), max(self.app.size.height // 3, 3))
        legend.show(told)

    # -- samples

    @property
    def _drawn(self) -> Drawn | None:
        drawn = self._told.drawn
        return drawn[self._prompt % len(drawn)] if drawn else None

    def _steps(self) -> list[int]:
        drawn = self._drawn
        return sorted({sample.step for some in drawn.samples for sample in some}) if drawn is not None else []

    async def _show_samples(self) -> None:
        drawn, at = self._drawn, self._columns()
        sides = self.query_one("#compare-sides", Horizontal)
        if len(sides.children) != len(at):
            await sides.remove_children()
            await sides.mount(*(Side() for _one in at))
        steps = self._steps()
        here = self._step if self._step is not None else (steps[-1] if steps else 0)
        if drawn is None:
            head = _("No run drew a sample.")
        else:
            head = _("prompt {number} of {total}").format(number=self._prompt + 1, total=len(self._told.drawn))
            head += "  " + _("step {step}").format(step=count(here)) + "  " + plain(drawn.prompt)
        width = max(self.app.size.width - 2, 10)
        self.query_one("#compare-prompt", Lines).show([(Cell(" " + fit(head, width).rstrip()),)])
        for one, side in zip(at, sides.query(Side), strict=True):
            sample = _newest(drawn.samples[one], here) if drawn is not None else None
            side.query_one(ImageView).show(sample.path if sample is not None and sample.path.is_file() else None)
            told = _("step {step}").format(step=count(sample.step)) if sample is not None else _("not drawn")
            side.query_one(Lines).show([(Cell(self._told.names[one], "strong"), Cell(f"  {told}", "muted"))])

    # -- keys

    async def _turn(self, step: int) -> None:
        self._page = (self._page + step) % len(PAGES)
        await self._show()

    async def action_next(self) -> None:
        await self._turn(1)

    async def action_previous(self) -> None:
        await self._turn(-1)

    async def action_left(self) -> None:
        await self._move(-1)

    async def action_right(self) -> None:
        await self._move(1)

    async def _move(self, way: int) -> None:
        if self._page < 2:
            most = max(len(self._told.rows) - len(self._columns()) + 1, 1)
            self._first = min(max(self._first + way, 1), most)
        elif self._page == 2:
            last = max((story.step for story in self._told.stories), default=1)
            stride = max(last // max(self.app.size.width - 8, 1), 1)
            here = last if self._at is None else self._at
            self._at = min(max(here + way * stride, 0), last) if self._at is not None or way < 0 else None
        else:
            steps = self._steps()
            place = bisect_right(steps, self._step) - 1 if self._step is not None else len(steps) - 1
            if steps:
                self._step = steps[min(max(place + way, 0), len(steps) - 1)]
        await self._show()

    async def action_up(self) -> None:
        await self._other(-1)

    async def action_down(self) -> None:
        await self._other(1)

    async def _other(self, way: int) -> None:
        if self._page == 2:
            self._curve = (self._curve + way) % len(CURVES)
        elif self._page == 3 and self._told.drawn:
            self._prompt = (self._prompt + way) % len(self._told.drawn)
        await self._show()

    async def action_log(self) -> None:
        self._log = not self._log
        await self._show()

    def action_export(self) -> None:
        start = self._told.rows[0].run.root.parent.parent

        def chosen(folder: Path | None) -> None:
            if folder is not None:
                start_job(self, partial(self._export, folder), "export")

        dialog = AskPath(
            _("Export the comparison into a folder"),
            start,
            folders_only=True,
            must_exist=False,
            accept=_("write"),
            value=start / "exports" / "comparison",
        )
        self.app.push_screen(dialog, chosen)

    async def _export(self, folder: Path) -> None:
        try:
            made = await in_thread(export, self._told, folder, FORMATS)
            text = ngettext("{count} file in {folder}", "{count} files in {folder}", len(made))
            written = text.format(count=count(len(made)), folder=plain(str(folder), limit=60))
            self._said = sentences(written, await in_thread(unwritten, self._told, FORMATS))
        except UserError as error:
            self._said = error_words(error)
        self._show_head()

    def action_leave(self) -> None:
        self.dismiss(None)

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        await self.action_act(event.action)


class Side(Vertical):
    """The sample of one run."""

    def compose(self) -> ComposeResult:
        yield Lines()
        yield ImageView(align="center")


def _newest(samples: tuple[Sample, ...], step: int) -> Sample | None:
    """The sample at a step, or the newest one before it."""
    before = [sample for sample in samples if sample.step <= step]
    return before[-1] if before else None


def _blank(at: list[int]) -> tuple[Cell, ...]:
    return (Cell(""), *(Cell("") for _one in at))
