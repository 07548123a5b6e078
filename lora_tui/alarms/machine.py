"""Whether the machine serves a run: step times, an idle GPU, memory, disk, silence, and the time that is left."""

from __future__ import annotations

import re
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from lora_tui.alarms.finding import Finding
from lora_tui.jobs.events import Event, as_count, as_number, as_time
from lora_tui.runs.pace import SLOWEST, Pace

WARM_UP = 10
"""First steps of a life, in which a device warms up and kernels are chosen."""
WINDOW = 50
"""Steps whose times are compared with those of the first ones."""
SLOWER = 1.5
"""How many times as long steps must take."""
SLOWER_SECONDS = 60.0
"""How long they must take so long."""

IDLE_PERCENT = 15.0
IDLE_SAMPLES = 30
"""Samples of the machine in a row, two seconds apart, in which the GPU did next to nothing."""

FULL_SAMPLES = 5
GPU_LEFT, MEMORY_LEFT = 0.04, 0.05
"""Shares of a memory that are to be left."""

DISK_LEAST = 1_000_000_000
"""Bytes of disk that are to be left, besides room for :data:`DISK_FILES` LoRA files."""
DISK_FILES = 5

SILENT_LEAST, SILENT_STEPS = 600.0, 50.0
"""A run is silent after so many seconds without a word, and so many steps' time, once it trains."""


@dataclass
class StepTimes:
    """Times of steps in one life of a run, held against those with which it began."""

    _seen: int = 0
    _first: list[float] = field(default_factory=list)
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _waits: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _since: float | None = None
    _from: int = 0

    def add(self, step: int, when: float, seconds: float, wait: float | None) -> Finding | None:
        """Take in one step that ended at ``when``; a finding when steps have taken longer for long enough."""
        self._seen += 1
        if self._seen <= WARM_UP or not 0 < seconds < SLOWEST:
            return None
        if len(self._first) < WINDOW:
            self._first.append(seconds)
            return None
        self._recent.append(seconds)
        self._waits.append(min(max((wait or 0.0) / seconds, 0.0), 1.0))
        if len(self._recent) < WINDOW or not self._slower():
            self._since = None
            return None
        if self._since is None:
            self._since, self._from = when, step - WINDOW // 2  # half of the last ones were slow
        if when - self._since < SLOWER_SECONDS:
            return None
        before, now = statistics.median(self._first), statistics.median(self._recent)
        numbers = {"before": before, "now": now, "wait": statistics.fmean(self._waits)}
        return Finding("slower", step, max(self._from, 0), numbers)

    def _slower(self) -> bool:
        """Whether a typical step is slower now, and a quick one of now slower than a slow one of then."""
        if statistics.median(self._recent) <= SLOWER * statistics.median(self._first):
            return False
        return sorted(self._recent)[WINDOW // 4] > sorted(self._first)[3 * WINDOW // 4]


@dataclass
class Machine:
    """Fed with the events of one life in order; :meth:`take` gives what it found in each.

    ``budget`` is how long this life may take, seconds; none where it may take as long as it needs.
    """

    budget: float | None = None
    total: int = 0
    step: int = 0
    _device: str = ""
    _training: bool = False
    _times: StepTimes = field(default_factory=StepTimes)
    _pace: Pace = field(default_factory=Pace)
    _begun: float | None = None
    _last: float = 0.0
    _idle: int = 0
    _idle_from: int = 0
    _full: dict[str, int] = field(default_factory=dict)
    _held: tuple[float, float] | None = None
    _largest: int = 0

    def take(self, event: Event) -> list[Finding]:
        """What the event shows."""
        kind, when = event.get("kind"), as_time(event.get("t")) or 0.0
        if self._begun is None and when:
            self._begun = when
        if kind == "resources":
            return self._resources(event)
        if kind != "alarm":
            self._last = max(self._last, when)
        if kind == "step":
            return self._step(event, when)
        if kind == "phase":
            self._training = event.get("phase") == "training"
            self._idle = 0
            (self._pace.paused if event.get("phase") == "paused" else self._pace.resumed)(when)
        elif kind == "run":
            self.total, self._device = as_count(event.get("total_steps")), str(event.get("device", ""))
        elif kind == "changed":
            self.total = as_count(event.get("total_steps")) or self.total
        elif kind == "resumed":
            self.step = as_count(event.get("step"))
        elif kind == "checkpoint":
            self._largest = max(self._largest, as_count(event.get("bytes")))
        elif kind == "warning" and event.get("code") == "memory.ladder":
            self._times = StepTimes()  # it goes on with less memory and says so: slower is what it costs
        return []

    def silent(self, now: float) -> list[Finding]:
        """Whether nothing was heard of a run that trains, for far longer than a step takes."""
        if not self._training or not self._last:
            return []
        seconds = now - self._last
        if seconds < max(SILENT_LEAST, SILENT_STEPS * (self._pace.step_seconds or 0.0)):
            return []
        return [Finding("silent", self.step, self.step, {"seconds": seconds})]

    def _step(self, event: Event, when: float) -> list[Finding]:
        self.step, self._training = as_count(event.get("step")) or self.step, True
        allocated, reserved = as_number(event.get("memory_allocated")), as_number(event.get("memory_reserved"))
        self._held = (allocated, reserved) if allocated is not None and reserved else None
        seconds = as_number(event.get("step_seconds"))
        if seconds is None:
            return []
        self._pace.steps(when, when, [seconds], [])
        found = self._times.add(self.step, when, seconds, as_number(event.get("data_wait")))
        return [*([found] if found else []), *self._short_of_time(when)]

    def _short_of_time(self, when: float) -> list[Finding]:
        if self.budget is None or not self.total or self._begun is None or self.step % WINDOW:
            return []
        left, there = self._pace.left(self.total - self.step), self.budget - (when - self._begun)
        if left is None or there <= 0 or left <= 1.05 * there:
            return []
        reached = self.step + (self.total - self.step) * there / left
        return [Finding("budget_short", self.step, self.step, {"needed": left, "left": there, "reached": reached})]

    def _resources(self, event: Event) -> list[Finding]:
        found = self._gpu(event)
        used, total = as_number(event.get("ram_used")), as_number(event.get("ram_total"))
        if self._lasting("memory", bool(used and total and used > (1 - MEMORY_LEFT) * total)):
            found.append(Finding("memory", self.step, self.step, {"used": used or 0.0, "total": total or 0.0}))
        free = as_number(event.get("disk_free"))
        needed = DISK_LEAST + DISK_FILES * self._largest
        if self._lasting("disk", free is not None and free < needed):
            found.append(Finding("disk", self.step, self.step, {"free": free or 0.0, "needed": needed}))
        return found

    def _gpu(self, event: Event) -> list[Finding]:
        card = _card(event.get("gpus"), self._device)
        if not card:
            return []
        found = []
        use = as_number(card.get("utilization"))
        if not self._training or use is None or use >= IDLE_PERCENT:
            self._idle = 0
        else:
            self._idle_from = self.step if not self._idle else self._idle_from
            self._idle += 1
        if self._idle == IDLE_SAMPLES and self.step > self._idle_from:  # it steps, so it is not that it hangs
            wait = self._pace.wait_share or 0.0
            found.append(Finding("gpu_idle", self.step, self._idle_from, {"use": use or 0.0, "wait": wait}))
        used, total = as_number(card.get("memory_used")), as_number(card.get("memory_total"))
        if used is not None and total:
            allocated, reserved = self._held or (used, used)
            needed = max(used - reserved, 0.0) + allocated  # what torch keeps for itself it can give back
            if self._lasting("gpu_memory", needed > (1 - GPU_LEFT) * total):
                numbers = {"used": needed, "total": total}
                found.append(Finding("gpu_memory", self.step, self.step, numbers))
        return found

    def _lasting(self, what: str, so: bool) -> bool:
        """Whether something has been so for :data:`FULL_SAMPLES` in a row, told once for each time."""
        self._full[what] = self._full.get(what, 0) + 1 if so else 0
        return self._full[what] == FULL_SAMPLES


def _card(gpus: Any, device: str) -> dict[str, Any]:
    """The sample of the GPU that ``device`` names; empty where the run uses none or it is not told."""
    place = re.fullmatch(r"cuda(?::(\d{1,3}))?", device)
    if place is None or not isinstance(gpus, list):
        return {}
    number = int(place[1] or 0)
    card = gpus[number] if number < len(gpus) else None
    return card if isinstance(card, dict) else {}
