"""What a person changed of a run while it went: its learning rate, its end. Kept in ``record.json``.

A change counts from the update after its step on, in every life of the run: one that resumes from an earlier state
makes it again at the same step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_tui.jobs.events import as_count, as_number, as_time

if TYPE_CHECKING:
    from lora_tui.config.schema import LearningSection

ENTRY = "changes"
"""Their place in the record: a list of objects."""

MOST_STEPS = 100_000_000
MOST_RATE = 1e4


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        step: updates that were done when it took effect.
        learning_rate: what :func:`main_rate` is from then on; none leaves it. The other rates keep their proportion.
        total_steps: the last step of the run from then on; none leaves it.
        time: when, unix seconds.
    """

    step: int
    learning_rate: float | None = None
    total_steps: int | None = None
    time: float = 0.0

    def as_record(self) -> dict[str, Any]:
        """As it stands in the record."""
        told = {"step": self.step, "learning_rate": self.learning_rate, "total_steps": self.total_steps}
        return {**{name: value for name, value in told.items() if value is not None}, "time": round(self.time, 3)}

    @classmethod
    def read(cls, value: object) -> Change | None:
        """A change from the record; none where it is no such thing."""
        if not isinstance(value, Mapping) or not isinstance(value.get("step"), int):
            return None
        rate, total = read_rate(value.get("learning_rate")), read_total(value.get("total_steps"))
        if rate is None and total is None:
            return None
        return cls(as_count(value.get("step")), rate, total, as_time(value.get("time")) or 0.0)


def read_rate(value: object) -> float | None:
    """A learning rate above 0; none for anything else."""
    rate = None if isinstance(value, str | bool) else as_number(value)
    return rate if rate is not None and math.isfinite(rate) and 0 < rate <= MOST_RATE else None


def read_total(value: object) -> int | None:
    """A number of steps; none for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_STEPS else None


def read_changes(record: Mapping[str, Any]) -> list[Change]:
    """The changes of a record, oldest first; what is none of them is passed over."""
    entry = record.get(ENTRY)
    found = [Change.read(value) for value in entry] if isinstance(entry, list) else []
    return sorted((change for change in found if change is not None), key=lambda change: (change.step, change.time))


def in_force(changes: Iterable[Change], step: int) -> tuple[float | None, int | None]:
    """The learning rate and the number of steps that hold after ``step``; none where nothing was changed."""
    rate: float | None = None
    total: int | None = None
    for change in changes:
        if change.step <= step:
            rate = change.learning_rate if change.learning_rate is not None else rate
            total = change.total_steps if change.total_steps is not None else total
    return rate, total


def main_rate(learning: LearningSection) -> float:
    """The learning rate that a change names: that of the network that draws, or of the text encoder where it rests."""
    return learning.unet_lr or learning.text_encoder_lr


def main_rate_of(learning: object) -> float | None:
    """The same of the table ``[learning]`` of a configuration, read without the schema; none where it has none."""
    told = learning if isinstance(learning, Mapping) else {}
    return read_rate(told.get("unet_lr")) or read_rate(told.get("text_encoder_lr"))
