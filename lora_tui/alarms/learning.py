"""Whether a run learns, from its losses: NaN, jumps, overfitting, rising, underfitting, no fall."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lora_tui.alarms.curves import STEEP, Turn, never_fell, still_falling, surely_flat, turned
from lora_tui.alarms.finding import Finding
from lora_tui.alarms.losses import Jumps, Losses
from lora_tui.jobs.events import Event, as_count, as_number

BEYOND = 1e30
"""A loss from here on is as good as infinite."""

BAD_NORMS = 3
"""Steps in a row whose gradients are not finite that are an alarm: fp16 loses one now and then to find its scale."""

FLAT_FROM = 0.3
"""Share of a run from which on a loss that has not fallen is told; of validation it is half of the run."""
FLAT_LEAST = 200
"""Steps before which that is never told."""
FLAT_EVERY = 50
"""Steps between two looks at it, at least; there are some :data:`FLAT_LOOKS` in a run."""
FLAT_LOOKS = 200

MOST_VALUES = 400
"""Values of validation that are looked at for a turn: what turned before them was told."""

RISEN = 1.2
"""How many times the loss of the beginning one must be to rise, where there is no validation."""

GROUPS = 12
"""Parts of a run that its loss is averaged in, to see whether it still falls at the end."""


@dataclass
class Learning:
    """Fed with events in order; :meth:`take` gives what it found in each."""

    total: int = 0
    losses: Losses = field(default_factory=Losses)
    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    _jumps: Jumps = field(default_factory=Jumps)
    _bad_norms: int = 0
    _turn: Turn | None = None

    def take(self, event: Event) -> list[Finding]:
        """What the event shows."""
        kind = event.get("kind")
        if kind == "step":
            return self._step(event)
        if kind == "validation":
            return self._validation(event)
        if kind in ("run", "changed"):
            self.total = as_count(event.get("total_steps")) or self.total
        elif kind == "resumed":
            self._go_back(as_count(event.get("step")))
        elif kind == "finished" and event.get("reason", "completed") == "completed":
            return self._finished(as_count(event.get("step")))
        return []

    def _step(self, event: Event) -> list[Finding]:
        step, loss, norm = as_count(event.get("step")), as_number(event.get("loss")), as_number(event.get("grad_norm"))
        if loss is None:
            return []
        finite = norm is None or math.isfinite(norm)
        self._bad_norms = 0 if finite else self._bad_norms + 1
        if not abs(loss) < BEYOND:
            return [Finding("nan", step, step)]
        found = []
        if self._bad_norms == BAD_NORMS:
            found.append(Finding("nan", step, step - BAD_NORMS + 1))
        if jump := self._jumps.add(step, loss):
            found.append(Finding("spike", step, max(jump.step, 1), {"loss": jump.loss, "usual": jump.usual}))
        self.losses.add(step, loss)
        if not self.values and step % max(FLAT_EVERY, self.total // FLAT_LOOKS) == 0:
            found += self._flat(step)
        return found

    def _flat(self, step: int) -> list[Finding]:
        """A loss that surely has not fallen or even rises, where no validation says it better."""
        if step < FLAT_LEAST or not self.total:
            return []
        now = self.losses.tail(0.25)
        heads = [self.losses.head(share, 20) for share in (0.05, 0.1, 0.25)]
        known = [head for head in heads if head is not None]
        if now is None or not known:
            return []
        if all(now.mean > RISEN * head.mean + 3 * math.hypot(now.error, head.error) for head in known):
            return [Finding("diverging", step, now.first, {"lowest": known[-1].mean, "now": now.mean})]
        if step < FLAT_FROM * self.total or not surely_flat(known, now):
            return []
        return [Finding("no_fall", step, 1, {"before": known[-1].mean, "now": now.mean})]

    def _validation(self, event: Event) -> list[Finding]:
        step, value = as_count(event.get("step")), as_number(event.get("loss"))
        if value is None or not abs(value) < BEYOND or (self.steps and step <= self.steps[-1]):
            return []
        self.steps.append(step)
        self.values.append(value)
        before, self._turn = self._turn, turned(self.steps[-MOST_VALUES:], self.values[-MOST_VALUES:])
        turn = self._turn
        if turn is not None:
            sure = before is not None or turn.now > (1 + STEEP) * turn.value
            return self._rising(step, turn) if sure else []
        if step >= max(self.total / 2, 1) and self.total and never_fell(self.values):
            return [Finding("no_fall", step, 0, {"before": self.values[0], "now": value, "validation": 1})]
        return []

    def _rising(self, step: int, turn: Turn) -> list[Finding]:
        """Validation rises: beside a training loss that does not it is overfitting, else the run runs away."""
        numbers = {"lowest": turn.value, "now": turn.now}
        span = max(step - turn.step, 1)
        before, after = self.losses.between(turn.step - span, turn.step), self.losses.between(turn.step, step)
        if before is None or after is None:  # it rose from the start
            before, after = self.losses.head(0.25, 5), self.losses.tail(0.25)
        if before is None or after is None:
            return []
        error = math.hypot(before.error, after.error)
        if after.mean <= before.mean + error:
            return [Finding("overfitting", step, turn.step, numbers)]
        if after.mean > before.mean + 3 * error:
            return [Finding("diverging", step, turn.step, numbers)]
        return []

    def _finished(self, step: int) -> list[Finding]:
        if len(self.values) >= 2 * 4:
            share, begin = still_falling(self.values), self.steps[-max(len(self.steps) // 3, 4)]
        elif self.losses.steps >= FLAT_LEAST:
            groups = self.losses.groups(GROUPS)
            share = still_falling([group.mean for group in groups], [group.error for group in groups])
            begin = groups[-4].first if len(groups) >= 4 else 0
        else:
            return []
        last = step or (self.steps[-1] if self.steps else 0)
        return [Finding("underfitting", last, begin, {"share": share})] if share is not None else []

    def _go_back(self, step: int) -> None:
        """The run went on from an earlier step: what lay after it is that of other weights."""
        self.losses.truncate(step)
        while self.steps and self.steps[-1] > step:
            self.steps.pop()
            self.values.pop()
        self._jumps, self._bad_norms, self._turn = Jumps(), 0, None
