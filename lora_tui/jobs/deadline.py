"""When a run with a budget has to be stopped, so that it is saved before the budget ends."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from lora_tui.jobs.events import Event, as_number, as_time

LEAST_MARGIN = 3.0
"""Seconds kept for the stop at least: the keeper looks every two."""
UNKNOWN_SAVING = 15.0
"""Seconds that saving is taken to need while no file was written yet."""
MOST_SHARE = 0.25
"""Share of a budget that is kept for the stop at most: a short one is for training, too."""

HURRY = 60.0
"""Seconds after the budget after which the run is asked to end without saving."""
PATIENCE = 60.0
"""Seconds after that after which it is ended."""

SAVED = ("checkpoint", "state")
"""Events of what stands on the disk; the training may have gone on meanwhile."""


@dataclass
class Deadline:
    """The end of ``seconds`` from ``begun`` (of ``time.monotonic()``) on.

    The events of the run tell how long saving and a step take; twice the longest saving and three steps are kept.
    """

    seconds: float
    begun: float = field(default_factory=time.monotonic)
    _longest: float = 0.0
    _step: float = 0.0
    _saving_since: float | None = None
    _saving: bool = False  # nothing else has begun since
    _asked: int = 0

    @property
    def reached(self) -> bool:
        """Whether the run was asked to stop because of it."""
        return self._asked > 0

    @property
    def margin(self) -> float:
        """Seconds that are kept for the stop."""
        saving = 2 * self._longest or UNKNOWN_SAVING
        return min(max(saving + 3 * self._step + LEAST_MARGIN, LEAST_MARGIN), MOST_SHARE * self.seconds)

    def take(self, event: Event) -> None:
        """Learn from an event how long a step and saving take."""
        kind, when = event.get("kind"), as_time(event.get("t"))
        if kind == "step":
            self._step = max(as_number(event.get("step_seconds")) or 0.0, 0.9 * self._step)
        if kind not in ("phase", "step", *SAVED) or when is None:
            return
        if kind == "phase" and event.get("phase") == "saving":
            self._saving_since = self._saving_since if self._saving else when
            self._saving = True
        elif self._saving or (kind in SAVED and self._saving_since is not None):
            self._longest = max(self._longest, when - (self._saving_since or when))
            self._saving = self._saving and kind in SAVED

    def due(self, now: float) -> str:
        """What to ask of the run at ``now`` (of ``time.monotonic()``), each once: ``stop``, ``stop_now``, ``kill``."""
        stages = (
            ("stop", self.seconds - self.margin),
            ("stop_now", self.seconds + HURRY),
            ("kill", self.seconds + HURRY + PATIENCE),
        )
        if self._asked < len(stages) and now - self.begun >= stages[self._asked][1]:
            self._asked += 1
            return stages[self._asked - 1][0]
        return ""
