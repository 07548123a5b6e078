"""A run's whole story, read from its event stream as it grows: curves, samples, files, moments, pace.

Any number of terminals read the same file; none of them writes. What lies after the step that a resumed run
went back to is left out, so the story is that of the weights that exist. The result does not depend on how the
file was cut into reads.
"""

from __future__ import annotations

import itertools
import operator
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lora_tui.alarms.alarm import Alarm, alarm_of
from lora_tui.jobs.events import Event, LineReader, as_number
from lora_tui.jobs.job import read_job
from lora_tui.runs import facts
from lora_tui.runs.facts import Ending, Marker, Notice, Phase, RunInfo, Sample, Saved
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.pace import Pace
from lora_tui.runs.rewinds import find_rewinds, last_step
from lora_tui.runs.series import Series, width_for
from lora_tui.runs.steps import PRIMARY, StepBatch, StepSplitter
from lora_tui.text.formats import setting_number

SECONDARY = ("data_wait", "images_per_second", "memory_allocated", "memory_reserved", "d")
"""Fields of a ``step`` event that become series beside those of ``PRIMARY``; of ``lr`` see :func:`rate_of`."""

IMAGE_MODELS = ("unet", "transformer")
"""What families call the network that draws, of which a run has one."""

MOST_LEVELS = 8
MOST_PARTS = 8
"""Ranges of noise, and parts of the model with weights of their own, of which curves are kept."""

DENSE_BITS = 12
"""Secondary fields and rates change slowly: they are read of every step up to 4,095, then of every 2nd, from 8,192 on
of every 4th and so on, which is as fine as the buckets of a series. It makes a long run several times faster to read.
"""

BLOCK = 1 << 18
"""Bytes that are read at a time: some 800 steps, which with all their columns stay in a processor's cache."""

MOST_NOTICES = 1000
"""Warnings and markers that are kept; older ones give way."""


def rate_of(part: str) -> str:
    """The series of the learning rate of ``part``: ``lr.unet`` of the network that draws, whatever it is called."""
    return "lr.unet" if part in IMAGE_MODELS else f"lr.{part}"


class RunStory:
    """The story so far. :meth:`update` reads on; everything else is plain data to draw.

    Attributes:
        series: curves by name: ``loss``, ``validation``, ``lr.unet``, ``lr.text_encoder``, ``grad_norm`` …
        info: what the trainer said at the start; none before it did.
        step, epoch: the newest step and its epoch.
        phase: what the trainer is at.
        samples, checkpoints, states: what it made, oldest first.
        measured: the steps at which the loss of each image was measured, see :mod:`lora_tui.runs.image_losses`.
        markers, warnings: moments and warnings, oldest first.
        alarms: what the keeper noticed, oldest first; each is a warning, too, and a marker where it began.
        latest: numbers of the newest step by the names of their series.
        resources: fields of the last ``resources`` event.
        ending: how the last life ended; none while it lives or when nothing was said.
        complete: the last update reached the end of the file.
        gone: the file was there and is not any more.
        version: changes whenever anything else does.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.version = 0
        self.complete = False
        self.gone = False
        self._cuts: list[int] = []
        self._reader = LineReader(run.events_path)
        self._scanned = False
        self._width = 1
        self._whole = False
        self._sparse_names: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self.series: dict[str, Series] = {}
        self.info: RunInfo | None = None
        self.step = 0
        self.epoch = 0
        self.phase: Phase | None = None
        self.samples: list[Sample] = []
        self.checkpoints: list[Saved] = []
        self.states: list[Saved] = []
        self.measured: list[int] = []
        self.markers: list[Marker] = []
        self.warnings: list[Notice] = []
        self.alarms: list[Alarm] = []
        self.latest: dict[str, float] = {}
        self.resources: Event = {}
        self.ending: Ending | None = None
        self.first_time: float | None = None
        self.last_time: float | None = None
        self._pace = Pace()
        self._splitter = StepSplitter()
        self._resumes = 0
        self._limit = min(self._cuts, default=None)

    @property
    def bad_lines(self) -> int:
        """Lines of the file that could not be read."""
        return self._reader.bad_lines + self._splitter.bad_lines

    @property
    def it_per_second(self) -> float | None:
        """Steps a second, over the last :data:`lora_tui.runs.pace.WINDOW`."""
        return self._pace.per_second

    @property
    def step_seconds(self) -> float | None:
        """Seconds a step, over the same."""
        return self._pace.step_seconds

    @property
    def data_wait(self) -> float | None:
        """Share of the last steps' time spent waiting for data, 0 to 1."""
        return self._pace.wait_share

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the last step; none before the first step and after the end."""
        if self.info is None or self.ending is not None or not self.info.total_steps:
            return None
        return self._pace.left(self.info.total_steps - self.step)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; 0 before the trainer said it."""
        return self.info.total_steps if self.info else 0

    @property
    def read_share(self) -> float:
        """How much of the file has been read, 0 to 1."""
        try:
            size = self.run.events_path.stat().st_size
        except OSError:
            return 1.0
        return min(self._reader.offset / size, 1.0) if size else 1.0

    def update(self, budget_seconds: float = 0.05) -> bool:
        """Read on for about ``budget_seconds``; return whether anything changed (see :attr:`complete`)."""
        deadline = time.monotonic() + budget_seconds
        before = self.version
        self._look_ahead()
        while True:
            block = self._reader.block(BLOCK)
            if self._reader.restarted:
                self._start_over(keep_cuts=False)
            if block:
                self.version += 1
                if not self._take(block):
                    self._start_over(keep_cuts=True)
                    continue
            if self._reader.at_end and self._too_wide():
                self._start_over(keep_cuts=True)
                continue
            self.complete = self._reader.at_end
            self._whole = self._whole or self.complete
            if self.complete or time.monotonic() >= deadline:
                break
        gone = not self.run.events_path.exists() and self._reader.offset > 0
        if gone != self.gone:
            self.gone = gone
            self.version += 1
        return self.version != before

    def _look_ahead(self) -> None:
        """Find the resumes of a file before reading it, so that a long one is read once and not twice."""
        if self._scanned:
            return
        self._scanned = True
        self._width = width_for(last_step(self.run))
        job = read_job(self.run.root)
        if job is None or job.attempt != 1:
            self._cuts = find_rewinds(self.run)
            self._forget()

    def _too_wide(self) -> bool:
        """Whether a curve became wider than its values need, which the first time to the end shows."""
        if self._whole:
            return False
        found = {name for name, series in self.series.items() if series.too_wide}
        self._sparse_names |= found
        return bool(found)

    def _start_over(self, *, keep_cuts: bool) -> None:
        """Read from the start again: the file is another one, or a resume went back that was not foreseen."""
        if keep_cuts:
            self._reader = LineReader(self.run.events_path)
        else:
            self._cuts = find_rewinds(self.run)
        self._forget()

    def _take(self, block: bytes) -> bool:
        """Take lines in; false when the file has to be read anew because a run went back."""
        for piece in self._splitter.pieces(block):
            if isinstance(piece, StepBatch):
                self._steps(piece)
                continue
            self._clock(piece)
            kind = piece.get("kind")
            if kind == "resumed" and not self._known_resume(piece):
                return False
            handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
            if handler is not None:
                handler(self, piece)
        return True

    def _clock(self, event: Event) -> float:
        now = facts.moment(event)
        if self.first_time is None:
            self.first_time = now or None
        self.last_time = max(now, self.last_time or 0.0) or None
        return now

    def _known_resume(self, event: Event) -> bool:
        """Pass a resume that was foreseen; note one that was not, and say whether reading can simply go on."""
        step = facts.whole(event, "step")
        if self._resumes >= len(self._cuts):
            self._cuts.append(step)
            if step < self.step or self._made_after(step):
                return False
        self._resumes += 1
        self._limit = min(self._cuts[self._resumes :], default=None)
        self._pace = Pace()
        self.ending = None
        self.step = step
        self.epoch = facts.whole(event, "epoch") or self.epoch
        self._mark(event, "resumed", "")
        return True

    def _made_after(self, step: int) -> bool:
        made = (self.samples, self.checkpoints, self.states)
        newest = max((item.step for items in made for item in items[-1:]), default=0)
        return newest > step or any(len(s) and s.last_steps[-1] > step for s in self.series.values())

    def _beyond(self, step: int) -> bool:
        """Whether a later resume went back before ``step``."""
        return self._limit is not None and step > self._limit

    def _steps(self, batch: StepBatch) -> None:
        """Take in steps that stand together."""
        if self._limit is not None and max(batch.steps) > self._limit:
            batch = batch.only([i for i, step in enumerate(batch.steps) if step <= (self._limit or 0)])
        steps = batch.steps
        if steps and (steps[0] <= self.step or not (batch.rising or all(map(operator.lt, steps, steps[1:])))):
            batch = self._rising(batch)
            steps = batch.steps
        if not steps:
            return
        for name, values in batch.columns.items():
            self._series(name).extend(steps, values)
        events = batch.events(_thinned(steps))
        missing = [name for name in PRIMARY if name not in batch.columns]
        if missing and len(events) < len(steps):
            self._columns(batch.events(range(len(steps))), missing, rates=False)
            missing = []
        self._columns(events, [*missing, *SECONDARY], rates=True)
        self._newest(batch, events)

    def _newest(self, batch: StepBatch, read: list[Event]) -> None:
        """Where the run stands after a batch, and how fast it got there."""
        first, last = batch.events((0, len(batch.steps) - 1))
        first_time, last_time = self._clock(first), self._clock(last)
        waits = [_share(event) for event in read]
        seconds = batch.columns.get("step_seconds", array("d"))
        self._pace.steps(first_time, last_time, seconds, [share for share in waits if share is not None])
        if self.phase is not None and self.phase.name == "paused":
            self.phase = Phase("training", time=last_time)
        self.step = batch.steps[-1]
        self.epoch = facts.whole(last, "epoch") or self.epoch
        self.ending = None
        self.latest = {
            name: value for name in (*PRIMARY, *SECONDARY) if (value := as_number(last.get(name))) is not None
        }
        rates = last.get("lr")
        for name, rate in rates.items() if isinstance(rates, dict) else ():
            value = as_number(rate)
            if value is not None:
                self.latest[rate_of(name)] = value

    def _rising(self, batch: StepBatch) -> StepBatch:
        """Steps that go back without a word (its line was lost): the later ones hold, the earlier ones go."""
        kept: list[int] = []
        for index, step in enumerate(batch.steps):
            while kept and batch.steps[kept[-1]] >= step:
                kept.pop()
            if step > 0:
                kept.append(index)
        if kept and batch.steps[kept[0]] <= self.step:
            self._go_back(batch.steps[kept[0]] - 1)
        return batch.only(kept)

    def _go_back(self, step: int) -> None:
        for series in self.series.values():
            series.truncate(step)
        self.samples = [sample for sample in self.samples if sample.step <= step]
        self.checkpoints = [saved for saved in self.checkpoints if saved.step <= step]
        self.states = [saved for saved in self.states if saved.step <= step]
        self.measured = [measured for measured in self.measured if measured <= step]

    def _columns(self, events: list[Event], names: Sequence[str], *, rates: bool) -> None:
        """Read fields of single events into their series."""
        if not events:
            return
        steps = array("q", [event["step"] for event in events])
        for name in names:
            self._column(name, steps, [event.get(name) for event in events])
        if not rates:
            return
        given = [event.get("lr") for event in events]
        known = {name for rate in (given[0], given[-1]) if isinstance(rate, dict) for name in rate}
        for name in sorted(known)[:8]:
            self._column(rate_of(name), steps, [rate.get(name) if isinstance(rate, dict) else None for rate in given])

    def _column(self, name: str, steps: array[int], values: list[Any]) -> None:
        try:
            numbers = array("d", values)
        except (TypeError, OverflowError):
            self._sparse(name, list(zip(steps, values, strict=True)))
        else:
            self._series(name).extend(steps, numbers)

    def _sparse(self, name: str, pairs: list[tuple[int, Any]]) -> None:
        """A field that some steps lack or that is not always a number."""
        known = [(step, number) for step, value in pairs if (number := as_number(value)) is not None]
        if known:
            steps, values = zip(*known, strict=True)
            self._series(name).extend(steps, values)

    def _series(self, name: str) -> Series:
        series = self.series.get(name)
        if series is None:
            foreseen = not self._whole and name not in self._sparse_names
            series = self.series[name] = Series(self._width if foreseen else 1)
        return series

    def _on_run(self, event: Event) -> None:
        self.info = facts.run_info(event)
        self.ending = None

    def _on_attempt(self, event: Event) -> None:
        self.ending = None
        self.phase = None
        self._pace = Pace()

    def _on_resources(self, event: Event) -> None:
        self.resources = event

    def _on_phase(self, event: Event) -> None:
        now = facts.moment(event)
        name = facts.words(event, "phase")
        detail = facts.words(event, "detail")
        self.phase = Phase(name, facts.whole(event, "done"), facts.whole(event, "total"), detail, now)
        if name == "paused":
            self._pace.paused(now)
        else:
            self._pace.resumed(now)

    def _on_validation(self, event: Event) -> None:
        step = facts.whole(event, "step")
        if not self._beyond(step):
            self._sparse("validation", [(step, event.get("loss"))])

    def _on_sample(self, event: Event) -> None:
        step, path = facts.whole(event, "step"), facts.inside(self.run.root, event)
        if path is not None and not self._beyond(step):
            text, prompt = facts.words(event, "text"), facts.whole(event, "prompt")
            self.samples.append(Sample(step, facts.whole(event, "epoch"), prompt, path, text))

    def _on_checkpoint(self, event: Event) -> None:
        self._saved(event, self.checkpoints)

    def _on_state(self, event: Event) -> None:
        self._saved(event, self.states)

    def _saved(self, event: Event, items: list[Saved]) -> None:
        step, path = facts.whole(event, "step"), facts.inside(self.run.root, event)
        if path is not None and not self._beyond(step):
            items.append(Saved(step, facts.whole(event, "epoch"), path, facts.whole(event, "bytes")))

    def _on_detail(self, event: Event) -> None:
        """Loss by noise level, as ``level.0`` (the least noise) and so on, and ``weights.PART``."""
        step = facts.whole(event, "step")
        if self._beyond(step):
            return
        levels, weights = event.get("levels"), event.get("weights")
        for number, value in enumerate(levels[:MOST_LEVELS] if isinstance(levels, list) else ()):
            self._sparse(f"level.{number}", [(step, value)])
        for part, value in itertools.islice(weights.items() if isinstance(weights, dict) else (), MOST_PARTS):
            self._sparse(f"weights.{'unet' if part in IMAGE_MODELS else part}", [(step, value)])

    def _on_changed(self, event: Event) -> None:
        """A person changed rate or end, or a resumed run says what had been changed."""
        step, total = facts.whole(event, "step"), facts.whole(event, "total_steps")
        if self._beyond(step):
            return
        if self.info is not None and total:
            self.info = replace(self.info, total_steps=total, epochs=facts.whole(event, "epochs") or self.info.epochs)
        rate = as_number(event.get("learning_rate"))
        if event.get("asked") is True:
            self._mark(event, "changed", f"{setting_number(rate) if rate is not None else ''} {total}")

    def _on_images(self, event: Event) -> None:
        step = facts.whole(event, "step")
        if not self._beyond(step):
            self.measured.append(step)

    def _on_warning(self, event: Event) -> None:
        message, remedy = facts.words(event, "message"), facts.words(event, "remedy")
        self.warnings.append(Notice(facts.moment(event), self.step, facts.words(event, "code"), message, remedy))
        del self.warnings[:-MOST_NOTICES]
        self._mark(event, "warning", message)

    def _on_alarm(self, event: Event) -> None:
        alarm = alarm_of(event)
        if alarm is None:
            return
        self.alarms.append(alarm)
        del self.alarms[:-MOST_NOTICES]
        self.warnings.append(Notice(alarm.time, alarm.step, f"alarm.{alarm.code}", alarm.message, alarm.advice))
        del self.warnings[:-MOST_NOTICES]
        self.markers.append(Marker(alarm.at, "alarm", alarm.title, alarm.time))
        del self.markers[:-MOST_NOTICES]

    def _on_control(self, event: Event) -> None:
        told = f"{facts.words(event, 'request')} {facts.words(event, 'status')}".strip()
        self._mark(event, "control", told, facts.words(event, "detail"))

    def _on_failed(self, event: Event) -> None:
        reason = "died" if event.get("by") == "keeper" else "failed"
        code, message, advice = (facts.words(event, name) for name in ("code", "message", "advice"))
        self.ending = Ending(reason, self.step, facts.moment(event), code, message, advice)

    def _on_finished(self, event: Event) -> None:
        reason = facts.words(event, "reason") or "completed"
        step = facts.whole(event, "step") or self.step
        self.ending = Ending(reason, step, facts.moment(event), path=facts.inside(self.run.root, event))

    def _mark(self, event: Event, kind: str, text: str, detail: str = "") -> None:
        self.markers.append(Marker(self.step, kind, text, facts.moment(event), detail))
        del self.markers[:-MOST_NOTICES]


_HANDLERS: dict[str, Callable[[RunStory, Event], None]] = {
    "run": RunStory._on_run,
    "attempt": RunStory._on_attempt,
    "phase": RunStory._on_phase,
    "resources": RunStory._on_resources,
    "validation": RunStory._on_validation,
    "sample": RunStory._on_sample,
    "checkpoint": RunStory._on_checkpoint,
    "state": RunStory._on_state,
    "detail": RunStory._on_detail,
    "changed": RunStory._on_changed,
    "images": RunStory._on_images,
    "warning": RunStory._on_warning,
    "alarm": RunStory._on_alarm,
    "control": RunStory._on_control,
    "failed": RunStory._on_failed,
    "finished": RunStory._on_finished,
}


def _thinned(steps: Sequence[int]) -> Sequence[int]:
    """Which of rising steps are read with their secondary fields, see :data:`DENSE_BITS`."""
    least, most = (1 << max(step.bit_length() - DENSE_BITS, 0) for step in (steps[0], steps[-1]))
    if least == most and steps[-1] - steps[0] == len(steps) - 1:
        return range(-steps[0] % most, len(steps), most)
    return [i for i, step in enumerate(steps) if step % (1 << max(step.bit_length() - DENSE_BITS, 0)) == 0]


def _share(event: Event) -> float | None:
    """Share of a step's time that went into waiting for data."""
    wait, seconds = as_number(event.get("data_wait")), as_number(event.get("step_seconds"))
    return wait / seconds if wait is not None and seconds else None
