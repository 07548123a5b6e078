"""What the machine does under a run, as series over its steps: use, memory, heat and power of the cards.

Read apart from the story of a run, and only by who looks at it: samples of the machine come every two seconds for as
long as a run lasts, and the story passes over all but the last of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from lora_tui.jobs.events import Event, LineReader, as_count, as_number, parse_line
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.series import Series

CARD = {
    "gpu.use": "utilization",
    "gpu.memory": "memory_used",
    "gpu.heat": "temperature",
    "gpu.power": "power",
}
"""Kinds of series of a card, and the fields of a ``resources`` event that they are made of: per cent, bytes, degrees
Celsius, watts. The series of a kind are ``gpu.use.0`` and so on, by the number of the card."""

BARE = {"cpu": "cpu_percent", "ram": "ram_used"}
"""Series of a machine without cards, with their fields: per cent, bytes."""

MOST_CARDS = 4
"""Cards of which there are curves: more lines say nothing."""

DENSE_BITS = 12
"""One sample a step is kept up to step 4,095, then one every 2nd step and so on, as fine as the buckets of a series."""

BLOCK = 1 << 20
_STEP = b'"kind":"step"'
_RESOURCES = b'"kind":"resources"'


class MachineStory:
    """The samples of a run's machine so far; :meth:`update` reads on.

    Attributes:
        series: by name, see :data:`CARD` and :data:`BARE`.
        complete: the last update reached the end of the file.
    """

    def __init__(self, run: RunFolder) -> None:
        self.series: dict[str, Series] = {}
        self.complete = False
        self._reader = LineReader(run.events_path)
        self._step = 0
        self._taken = 0

    def update(self, budget_seconds: float = 0.05) -> bool:
        """Read on for about ``budget_seconds``; return whether anything was read."""
        deadline = time.monotonic() + budget_seconds
        found = False
        while True:
            block = self._reader.block(BLOCK)
            if self._reader.restarted:
                self.series, self._step, self._taken = {}, 0, 0
            if block:
                found = True
                self._take(block)
            self.complete = self._reader.at_end
            if self.complete or time.monotonic() >= deadline:
                return found

    def _take(self, block: bytes) -> None:
        """Find the samples of a block of whole lines, each with the step before it; other lines are not parsed."""
        begin = 0
        while (place := block.find(_RESOURCES, begin)) >= 0:
            self._to_step(block, begin, place)
            begin = block.find(b"\n", place) + 1
            if self._due():
                self._sample(_line_at(block, place))
        self._to_step(block, begin, len(block))

    def _to_step(self, block: bytes, begin: int, end: int) -> None:
        """Take in the newest step between two places of a block."""
        place = block.rfind(_STEP, begin, end)
        event = _line_at(block, place) if place >= 0 else None
        if event is None or event.get("kind") != "step":
            return
        self._step = as_count(event.get("step"))
        if self._step < self._taken:  # the run was resumed from before it: what was told of this step is void, too
            self._taken = self._step - 1
            for series in self.series.values():
                series.truncate(self._taken)

    def _due(self) -> bool:
        """Whether a sample at this step is kept."""
        return self._step >= self._taken + (1 << max(self._step.bit_length() - DENSE_BITS, 0))

    def _sample(self, event: Event | None) -> None:
        if event is None or event.get("kind") != "resources":
            return
        self._taken = self._step
        for name, value in values_of(event):
            self.series.setdefault(name, Series()).append(self._step, value)


def values_of(event: Event) -> Iterator[tuple[str, float]]:
    """Names of series and their values in a ``resources`` event.

    Of several cards those count of which the job holds memory, where the driver tells it of any.
    """
    cards = cards_in(event)
    own = [card for card in cards if as_number(card.get("memory_run"))]
    for card in (own or cards)[:MOST_CARDS]:
        number = as_count(card.get("index"), 1 << 10)
        found = ((f"{kind}.{number}", as_number(card.get(name))) for kind, name in CARD.items())
        yield from ((name, value) for name, value in found if value is not None)
    if not cards:
        found = ((kind, as_number(event.get(name))) for kind, name in BARE.items())
        yield from ((name, value) for name, value in found if value is not None)


def cards_in(event: Event) -> list[dict[str, Any]]:
    """The cards of a ``resources`` event; none where it tells of none, or anything else."""
    told = event.get("gpus")
    return [card for card in told if isinstance(card, dict)] if isinstance(told, list) else []


def kinds_in(event: Event) -> frozenset[str]:
    """The kinds of series that samples like this one make: keys of :data:`CARD` and :data:`BARE`."""
    return frozenset(name.rpartition(".")[0] if name not in BARE else name for name, _value in values_of(event))


def _line_at(block: bytes, place: int) -> Event | None:
    """The event of the line around a place of a block; none where it is no event."""
    begin = block.rfind(b"\n", 0, place) + 1
    return parse_line(block[begin : block.find(b"\n", place)])
