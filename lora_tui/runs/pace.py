"""How fast a run goes and when it ends, from the times of its last steps."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence

WINDOW = 100
"""Steps that the speed is averaged over."""

SOUND = 5
"""Steps after the first one that it takes to say when a run ends."""

FEW = 20
"""Steps below which the middle one is taken for the mean: the first of each shape takes longer than those to come."""

SLOWEST = 1e7
"""Seconds that no step takes; what says more is no time of a step."""


class Pace:
    """Fed with the steps of one life of a run, in order.

    The time that is left counts the steps to come at the speed of the last ones, and adds what samples,
    validation and saving have cost so far in proportion; pauses and the way to the first step do not count. Nor
    does the first step itself, in which a device warms up.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._waits: deque[float] = deque(maxlen=WINDOW)
        self._warm = False
        self._begun: float | None = None
        self._last = 0.0
        self._busy = 0.0
        self._idle = 0.0
        self._paused_at: float | None = None

    def steps(self, first: float, last: float, seconds: Sequence[float], waits: Sequence[float]) -> None:
        """Add steps that stand together.

        Args:
            first, last: when the first and the last of them ended, unix seconds.
            seconds: how long each took.
            waits: shares of their time that went into waiting for data, of as many of them as are known.
        """
        self.resumed(first)
        recent = seconds[-WINDOW:]
        if not self._warm:
            self._warm = True
            recent = seconds[1:][-WINDOW:]
        self._recent.extend(time for time in recent if 0 <= time < SLOWEST)
        self._waits.extend(waits[-WINDOW:])
        if first <= 0:
            return
        if self._begun is None:
            self._begun = first - (seconds[0] if seconds and 0 <= seconds[0] < SLOWEST else 0.0)
        self._last = max(self._last, last)
        total = sum(seconds)
        self._busy += total if 0 <= total < SLOWEST else sum(time for time in seconds if 0 <= time < SLOWEST)

    def paused(self, time: float) -> None:
        """The run pauses."""
        self._paused_at = self._paused_at or time

    def resumed(self, time: float) -> None:
        """The run goes on after a pause; nothing happens if there was none."""
        if self._paused_at is not None:
            self._idle += max(time - self._paused_at, 0.0)
            self._paused_at = None

    @property
    def step_seconds(self) -> float | None:
        """Seconds of a step, the mean of the last ones."""
        return typical(self._recent)

    @property
    def per_second(self) -> float | None:
        """Steps in a second."""
        seconds = self.step_seconds
        return 1 / seconds if seconds else None

    @property
    def wait_share(self) -> float | None:
        """Share of the time of the last steps that went into waiting for data, 0 to 1."""
        if not self._waits:
            return None
        mean = sum(self._waits) / len(self._waits)
        return min(max(mean, 0.0), 1.0) if math.isfinite(mean) else None

    @property
    def overhead(self) -> float:
        """Time spent beside the steps, as a share of the time spent in them; 0 to 5."""
        if self._begun is None or self._busy <= 0:
            return 0.0
        wall = self._last - self._begun - self._idle
        return min(max(wall / self._busy - 1, 0.0), 5.0)

    def left(self, steps: int) -> float | None:
        """Seconds that ``steps`` more will take; none until there were enough to tell."""
        seconds = self.step_seconds if len(self._recent) >= SOUND else None
        return None if seconds is None else max(steps, 0) * seconds * (1 + self.overhead)


def typical(seconds: Sequence[float]) -> float | None:
    """What a step takes, from the times of the last ones; none when there are none."""
    if not seconds:
        return None
    time = statistics.median(seconds) if len(seconds) < FEW else sum(seconds) / len(seconds)
    return time if time > 0 else None
