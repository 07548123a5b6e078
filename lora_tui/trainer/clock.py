"""What the time from a run's start to its first step goes into."""

from __future__ import annotations

import time
from collections.abc import Callable

_PART = {
    "loading": "loading", "caching": "caching", "sampling": "measuring", "validating": "measuring",
    "measuring": "measuring", "training": "step",
}  # fmt: skip
"""The part that a phase belongs to; see :data:`lora_tui.runs.beginning.PARTS`."""


class Clock:
    """Adds up seconds by part until the first step is done."""

    def __init__(self, begun: float, away: Callable[[], float]) -> None:
        """``begun``: unix seconds when the process started; ``away``: seconds so far that do not count, paused."""
        self._away = away
        self._parts = {"libraries": max(time.time() - begun, 0.0)}
        self._part = "loading"
        self._runs = True
        self._since = self._now()

    def enter(self, phase: str) -> None:
        """What comes now belongs to ``phase``."""
        if not self._runs:
            return
        now = self._now()
        self._parts[self._part] = self._parts.get(self._part, 0.0) + now - self._since
        self._part, self._since = _PART.get(phase, self._part), now

    def stop(self) -> dict[str, float] | None:
        """The first step is done: seconds by part, once; none from then on."""
        if not self._runs:
            return None
        self.enter("")
        self._runs = False
        return {name: round(seconds, 3) for name, seconds in self._parts.items()}

    def _now(self) -> float:
        return time.monotonic() - self._away()
