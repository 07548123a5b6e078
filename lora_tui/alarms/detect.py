"""All detectors on the event stream of a run, each alarm once.

What a run learns is told once for the run, and again only where a resume went back before it; what a machine does is
told once for each life of the run. Pure: events go in, findings come out, and the clock is the events' own.
"""

from __future__ import annotations

from lora_tui.alarms.finding import Finding
from lora_tui.alarms.learning import Learning
from lora_tui.alarms.machine import Machine
from lora_tui.jobs.events import Event, as_count

OF_LEARNING = frozenset({"nan", "spike", "no_fall", "overfitting", "diverging", "underfitting"})

ONE_OF = (
    ("overfitting", frozenset({"diverging"})),
    ("diverging", frozenset({"overfitting"})),
    ("no_fall", frozenset({"nan", "spike", "overfitting", "diverging"})),
)
"""What is not told any more once one of the others, which say more, was."""

MOST_AGAIN = 3
"""Jumps of the loss that are told of a life at most."""
AGAIN_AFTER = 500
"""Steps after one jump within which no other is told."""


class Detector:
    """Fed with the events of a run from its first on; :meth:`take` gives what nobody has been told yet."""

    def __init__(self, told: dict[str, int] | None = None, *, budget: float | None = None) -> None:
        """``told``: codes that were told in earlier lives, each with its step; ``budget``: seconds of this life."""
        self.budget = budget
        self._told = {code: step for code, step in (told or {}).items() if code in OF_LEARNING}
        self._jumps = 0
        self._learning = Learning()
        self._machine = Machine(budget)

    def take(self, event: Event) -> list[Finding]:
        """What the event shows that is new."""
        kind = event.get("kind")
        if kind == "attempt":  # another life, perhaps on another machine
            self._machine, self._jumps = Machine(self.budget), 0
            self._told = {code: step for code, step in self._told.items() if code in OF_LEARNING}
        elif kind == "resumed":
            step = as_count(event.get("step"))
            self._told = {code: told for code, told in self._told.items() if told <= step}
        return self._new([*self._learning.take(event), *self._machine.take(event)])

    def silent(self, now: float) -> list[Finding]:
        """What the clock shows that is new, ``now`` in unix seconds."""
        return self._new(self._machine.silent(now))

    def _new(self, findings: list[Finding]) -> list[Finding]:
        found = []
        for one in findings:
            if one.code == "spike" and "spike" in self._told:
                if self._jumps >= MOST_AGAIN or one.step < self._told["spike"] + AGAIN_AFTER:
                    continue
            elif one.code in self._told or dict(ONE_OF).get(one.code, frozenset()) & self._told.keys():
                continue
            self._jumps += one.code == "spike"
            self._told[one.code] = one.step
            found.append(one)
        return found
