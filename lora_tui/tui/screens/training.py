"""The training dashboard: curves, numbers, samples and what happened, of a living run or a finished one.

Reads the run folder alone. Files are polled four times a second, drawing happens twice a second and only
where something changed; while the terminal is behind, a frame is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.timer import Timer

from lora_tui.runs.facts import Sample
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.settings_text import RunSettings, settings_of
from lora_tui.runs.status import RunStatus, inspect
from lora_tui.runs.story import RunStory
from lora_tui.text import _, count, plain
from lora_tui.tui.cells import Cell, fit, wrap
from lora_tui.tui.curves import METRICS, Curves, Look, Other
from lora_tui.tui.dashboard import share_rows
from lora_tui.tui.run_facts import fact_lines
from lora_tui.tui.run_moments import Moment, Moments
from lora_tui.tui.run_text import (
    Seen,
    bar_line,
    chart_line,
    ending_lines,
    epoch_text,
    rate_legend,
    run_line,
)
from lora_tui.tui.screens.base import BaseScreen
from lora_tui.tui.screens.grids_after import AfterRun
from lora_tui.tui.screens.training_look import VIEWS, Looking
from lora_tui.tui.screens.training_others import OtherRuns
from lora_tui.tui.screens.training_requests import Requests
from lora_tui.tui.screens.training_views import AllSamples, ImageLosses, LogSearch
from lora_tui.tui.screens.training_wishes import Wishes
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.chart import LineChart
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.log_view import LogView
from lora_tui.tui.widgets.sample_strip import SampleStrip, StripItem
from lora_tui.tui.widgets.sample_wall import SampleWall
from lora_tui.tui.widgets.virtual_list import Column, VirtualList
from lora_tui.tui.workspace import Change

POLL_SECONDS = 0.25
DRAW_SECONDS = 0.5
SLOW_DRAW_SECONDS = 1.0
STATUS_SECONDS = 2.0
"""How often it is asked whether the run's processes live."""

READ_SECONDS = 0.04
"""Reading an event file blocks keys for this long at most."""

SMALL_CHARTS = ("lr.unet", "grad_norm", "memory_allocated")


class TrainingScreen(BaseScreen):
    """One run."""

    ACTS = "training"
    CSS_PATH = "training.tcss"
    AUTO_FOCUS = ""
    FREE = frozenset({"start", "newest"})

    def __init__(self) -> None:
        super().__init__()
        self.story: RunStory | None = None
        self.status: RunStatus | None = None
        self.settings: RunSettings | None = None
        self.dirty = True
        self.looking, self.requests = Looking(self), Requests(self)
        self.wishes = Wishes(self, self.requests)
        self.all_samples, self.image_losses, self.log_search = AllSamples(self), ImageLosses(self), LogSearch(self)
        self.others = OtherRuns(self)
        self._after = AfterRun(self, lambda: self.story.run if self.story is not None else None)
        self._curves: Curves | None = None
        self._moments: Moments | None = None
        self._looked = 0.0
        self._ticks: list[Timer] = []
        self._small_drawn: dict[int, tuple[Look, Size, int]] = {}
        self._turn = 0
        self._opening: RunStory | None = None

    def awaited(self) -> str:
        """Until it is known whether there is a run, and which: a key would be for none, or for the one before."""
        work = self.workspace
        if work.run is None and work.runs is None and not work.trouble:
            return _("Reading the runs.")
        return _("Reading the run.") if self._opening is not None else ""

    def doers(self) -> tuple[object, ...]:
        return self, self.looking, self.requests, self.wishes, self.others, self._after

    def refusal(self, action_id: str) -> str:
        return self.requests.refusal(action_id)

    def go_back(self) -> bool:
        return self.looking.go_back()

    def key_hints(self) -> list[KeyHint]:
        """In a view its keys; else what can be done now comes first, before all how a run goes on."""
        if self.query("#dash") and not self.looking.in_view("dash"):
            return self.looking.key_hints(super().key_hints())
        paused = self.seen is not None and self.seen.state == "paused"
        lead = "training.pause" if paused else "training.resume"
        hints = [
            replace(hint, title=_("go on")) if paused and hint.action == lead else hint for hint in super().key_hints()
        ]
        return sorted(hints, key=lambda hint: (not hint.possible, hint.action != lead))

    def compose_body(self) -> ComposeResult:
        with Vertical(id="dash"):
            yield Lines(id="run")
            yield Lines(id="bar")
            yield Lines(id="ending")
            with Horizontal(id="upper"):
                with Vertical(id="curves"):
                    yield Lines(id="chart-line")
                    yield LineChart(id="chart")
                yield Lines(id="facts")
            with Horizontal(id="more"):
                for number, name in enumerate(SMALL_CHARTS):
                    with Vertical():
                        yield Lines(id=f"small-line-{number}")
                        yield LineChart(id=f"small-{number}", classes=name.replace(".", "-"))
            yield Lines(id="strip-line")
            yield SampleStrip(id="strip")
            yield Lines(id="moments")
        with Vertical(id="full"):
            yield Lines(id="full-line")
            yield ImageView(align="center", id="full-image")
            yield Lines(id="full-text")
        with Vertical(id="logs"):
            moment_columns = [Column(8), Column(9, align="right"), Column(20, share=1)]
            yield VirtualList(moment_columns, self._moment_cells, empty=_("Nothing yet."), id="log-moments")
            yield Lines(id="log-title")
            yield LogView(empty=_("The trainer printed nothing."), id="log-file")
        yield Vertical(id="wall")  # what is in these two is made when they are first seen
        yield Vertical(id="images")

    def on_mount(self) -> None:
        super().on_mount()
        for name in VIEWS[1:]:
            self.query_one(f"#{name}").display = False
        slow = self.shell.settings.slow
        self._ticks = [
            self.set_interval(POLL_SECONDS, self.poll),
            self.set_interval(SLOW_DRAW_SECONDS if slow else DRAW_SECONDS, self._draw_if_due),
        ]

    @on(events.ScreenSuspend)
    def _hidden(self) -> None:
        for timer in self._ticks:
            timer.pause()

    @on(events.ScreenResume)
    def _visible(self) -> None:
        self.dirty = True
        for timer in self._ticks:
            timer.resume()

    # -- which run

    def workspace_changed(self, changed: frozenset[Change]) -> None:
        if not changed & {"run", "runs", "project"}:
            return
        if "run" in changed and self.looking.in_view("full"):
            self.looking.show_view("dash")  # a run was opened: from its dashboard on
        work = self.workspace
        run = work.run or (work.runs[0].run if work.runs else None)
        if run is not None and (self.story is None or self.story.run.root != run.root):
            self.open_run(run)
        elif run is None or "run" in changed:
            self.dirty = True
            self._draw_if_due()
        else:
            self.requests.show()  # another run may have begun

    def open_run(self, run: RunFolder) -> None:
        """Watch another run."""
        self._opening = RunStory(run)
        self.awaiting.look()
        self._open(self._opening)

    @work(group="story", exclusive=True)
    async def _open(self, story: RunStory) -> None:
        """Show what the ends of the files tell at once, then the first part of the events, then all of them."""
        self.status = await in_thread(inspect, story.run)
        self.settings = await in_thread(settings_of, story.run)
        self._take(RunStory(story.run))
        # In a thread: a long file is searched for resumes before its first part can be read.
        await in_thread(story.update, READ_SECONDS)
        self._take(story)
        if self._opening is story:
            self._opening = None
            self.resume_keys()
        self._looked = time.monotonic()
        while not story.complete and story is self.story:
            story.update(READ_SECONDS)
            self.dirty = True
            await asyncio.sleep(0)  # keys and frames come first

    def _take(self, story: RunStory) -> None:
        """Watch this story from now on."""
        other = self.story is None or self.story.run != story.run
        self.story, self._curves, self._moments = story, Curves(story, self.others.beside(story)), Moments(story)
        self._small_drawn.clear()
        if other and self.query("#log-file"):
            self.looking.begin()
            self.requests.forget()
            self.image_losses.forget()
            self.log_search.forget()
            self.query_one("#log-file", LogView).open(story.run.log_path)
        self.draw()
        self.refresh_keys()

    # -- reading

    async def poll(self) -> None:
        """Read what is new."""
        story = self.story
        if story is None or not self.is_current or not self.query("#dash"):
            return
        if story.complete and story.update(READ_SECONDS):
            self.dirty = True
        if story.complete and self._pictures.read_on(self.looking.look, READ_SECONDS):
            self.dirty = True
        if self.looking.in_view("logs"):
            self.query_one("#log-file", LogView).poll()
        if time.monotonic() - self._looked >= STATUS_SECONDS:
            self._looked = time.monotonic()
            status = await in_thread(inspect, story.run)
            if story is self.story and status != self.status:
                self.status = status
                self.dirty = True
                self.refresh_keys()

    def look_soon(self) -> None:
        """Read the state of the run again as soon as possible."""
        self._looked = 0.0

    @property
    def seen(self) -> Seen | None:
        """The run as it is seen now."""
        if self.story is None or self._curves is None:
            return None
        look, marks = self.looking.look, self.shell.marks
        project = self.workspace.project
        price, currency = (float(project.price_per_hour), project.currency) if project is not None else (0.0, "")
        return Seen(self.story, self._curves, look, self.status, time.time(), marks, self.settings, price, currency)

    # -- drawing

    def _draw_if_due(self) -> None:
        if self.dirty and self.is_current and not self.shell.behind:
            self.draw()

    def draw(self) -> None:
        """Show what is so."""
        if not self.query("#dash"):
            return  # the app is being left, and the screen is being taken down
        self.dirty = False
        seen = self.seen
        if seen is None:
            self._draw_nothing()
            return
        self.remove_class("-nothing")
        if self.looking.in_view("logs"):
            self._draw_log()
        elif self.looking.in_view("wall"):
            self.all_samples.draw(seen)
        elif self.looking.in_view("images"):
            self.image_losses.draw()
        elif self.looking.in_view("full"):
            self.all_samples.draw_large(seen)
        else:
            self._draw_dashboard(seen)
        self.requests.show()

    def _draw_nothing(self) -> None:
        loading = self.workspace.runs != ()  # not known yet, or one of them is being opened
        self.add_class("-nothing")
        self.query_one("#run", Lines).show([(Cell(_("Reading the runs.") if loading else _("No run yet."), "muted"),)])
        if not loading:
            key = self.shell.keymap.shown
            words = _("{form} describes a run, {start} there starts it; {runs} lists those that have been.").format(
                form=key("app.show-parameters"), start=key("parameters.start"), runs=key("app.show-runs")
            )
            ending = self.query_one("#ending", Lines)
            ending.styles.height = 2
            ending.show([(Cell(line, "muted"),) for line in wrap(words, max(self.size.width, 20), 2)])

    def _draw_dashboard(self, seen: Seen) -> None:
        width = self.size.width
        self.query_one("#run", Lines).show([run_line(seen, width)])
        self.query_one("#bar", Lines).show([bar_line(seen, width)])
        ending = self.query_one("#ending", Lines)
        lines = ending_lines(seen, self.shell.keymap.shown("training.resume"), width)
        ending.show(lines)
        if self._share_rows(len(lines), samples=self.requests.has_prompts(seen)):
            # The widgets have their sizes only after the layout that the first refresh makes.
            self.call_after_refresh(self.call_after_refresh, self._draw_again)
        chart = self.query_one("#chart", LineChart)
        empty = _("No step yet.") if self.looking.look.metric == 0 else _("Not measured in this run.")
        empty = empty if self._pictures.complete(self.looking.look) else _("Reading the events.")
        chart.show(self._pictures.picture(self.looking.look, seen.marks, empty=empty))
        line = self.query_one("#chart-line", Lines)
        line.show([chart_line(seen, line.size.width, clipped=chart.clipped)])
        facts = self.query_one("#facts", Lines)
        facts.show(fact_lines(seen, facts.size.width, facts.size.height))
        self._draw_more()
        self._draw_strip(seen)
        moments = self.query_one("#moments", Lines)
        moments.show(self._moment_lines(moments.size.height))

    def _share_rows(self, ending: int, *, samples: bool) -> bool:
        """Give each part its rows; whether any has others now."""
        rows = share_rows(self.size.width, self.size.height, ending=ending, samples=samples)
        changed = False
        for name, height in (
            ("#ending", ending),
            ("#more", rows.more),
            ("#strip", rows.strip),
            ("#strip-line", 2 if rows.strip else 0),
            ("#moments", rows.moments),
        ):
            widget = self.query_one(name)
            if widget.display != bool(height):
                widget.display, changed = bool(height), True
            if height and (widget.styles.height is None or widget.styles.height.value != height):
                widget.styles.height, changed = height, True
        return changed

    def _draw_again(self) -> None:
        """Draw into the rows that were shared out; nothing where the screen is gone meanwhile."""
        if self.is_current and self.query("#dash"):
            self.draw()

    def lay_over(self, others: Sequence[Other]) -> None:
        """Have the curves of other runs over those of this one."""
        if self._curves is not None:
            self._curves.others = tuple(others)
            self._small_drawn.clear()
            self.draw()

    @property
    def curves(self) -> Curves | None:
        """What makes pictures of the run; none before there is one."""
        return self._curves

    @property
    def _pictures(self) -> Curves:
        assert self._curves is not None
        return self._curves

    def _draw_more(self) -> None:
        """The small charts, one a frame: they say little that is new twice a second, and cost as much."""
        if not self.query_one("#more").display:
            return
        titles = dict(METRICS)
        look, step = self.looking.look, self.story.step if self.story else 0
        for number, name in enumerate(SMALL_CHARTS):
            chart = self.query_one(f"#small-{number}", LineChart)
            drawn = self._small_drawn.get(number)
            if not chart.size.width or drawn == (look, chart.size, step):
                continue
            if drawn is not None and drawn[:2] == (look, chart.size) and number != self._turn % len(SMALL_CHARTS):
                continue
            self._small_drawn[number] = (look, chart.size, step)
            head = [Cell(_(titles[name]), "muted")]
            if name == "lr.unet" and self.seen is not None:
                head.append(Cell(f"  {rate_legend(self.seen, short=chart.size.width < 60)}", "muted"))
            self.query_one(f"#small-line-{number}", Lines).show([head])
            chart.show(self._pictures.small(name, look))
        self._turn += 1

    def _moment_lines(self, height: int) -> list[tuple[Cell, ...]]:
        found = self._moments.all() if self._moments else ()
        lead = _("LOG")
        lines: list[tuple[Cell, ...]] = []
        for moment in found[-height:] if height else ():
            head = Cell(fit(lead if not lines else "", 5), "muted")
            place = Cell(f"@{count(moment.step):<8}", "muted")
            lines.append((head, place, Cell(moment.brief or moment.text, moment.tone)))
        return lines

    # -- samples

    def _draw_strip(self, seen: Seen) -> None:
        if not self.query_one("#strip").display:
            return
        samples = self.looking.samples
        strip = self.query_one(SampleStrip)
        items = [StripItem(sample.path, count(sample.step), epoch_text(sample)) for sample in samples]
        strip.show(items, self.looking.current)
        self.query_one("#strip-line", Lines).show([self._strip_line(samples)])

    def _strip_line(self, samples: list[Sample]) -> tuple[Cell, ...]:
        head = Cell(_("SAMPLES  "), "muted")
        if not samples:
            return head, Cell(_("none drawn yet"), "muted")
        place = _("prompt {number} of {total}").format(
            number=self.looking.prompt + 1, total=max(self.looking.prompts, 1)
        )
        return head, Cell(f"{place}  "), Cell(plain(samples[self.looking.current].text), "muted")

    # -- the log

    def _draw_log(self) -> None:
        found = self.query_one("#log-moments", VirtualList)
        moments = self._moments.all() if self._moments else ()
        if found.count != len(moments):
            following = found.cursor >= found.count - 1
            found.set_count(len(moments), cursor=len(moments) - 1 if following else None)
        run = self.story.run if self.story else None
        name = plain(str(run.log_path)) if run else ""
        title = (Cell(_("PRINTED  "), "muted"), *self.log_search.said(), Cell(name, "muted"))
        self.query_one("#log-title", Lines).show([title])

    def moments(self) -> tuple[Moment, ...]:
        """What happened, oldest first."""
        return self._moments.all() if self._moments else ()

    def _moment_cells(self, index: int) -> tuple[Cell, ...]:
        moment = self._moments.all()[index] if self._moments else None
        if moment is None:
            return ()
        return Cell(moment.clock, "muted"), Cell(f"@{count(moment.step)}", "muted"), Cell(moment.text, moment.tone)

    # -- the mouse

    @on(LineChart.Pointed)
    def _pointed(self, event: LineChart.Pointed) -> None:
        event.stop()
        self.looking.point(event.step)

    @on(SampleStrip.Picked)
    def _picked(self, event: SampleStrip.Picked) -> None:
        event.stop()
        self.looking.pick(event.place)

    @on(SampleWall.Picked)
    def _picked_in_wall(self, event: SampleWall.Picked) -> None:
        event.stop()
        self.all_samples.picked(event.row, event.place)

    @on(VirtualList.Chosen, "#images-list")
    def _chosen_image(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.image_losses.open()

    @on(VirtualList.Moved, "#images-list")
    def _moved_to_image(self, event: VirtualList.Moved) -> None:
        event.stop()
        self.image_losses.draw()

    @on(Lines.Resized)
    def _lines_resized(self) -> None:
        """Lines have other room than they were fitted to: a view that was hidden has its sizes only when it is seen."""
        self.dirty = True

    @on(SampleStrip.Resized)
    @on(events.Resize)
    def _size_changed(self) -> None:
        self.call_after_refresh(self.draw)
