"""Where a life of a run is in its plan, how far an update takes it, and what is due there. Holds no tensors."""

from __future__ import annotations

from lora_tui.config.cadence import VALIDATION, due_at
from lora_tui.config.schema import Config
from lora_tui.dataset.batches import DataPlan
from lora_tui.trainer.course import Course
from lora_tui.trainer.state import Position


class Journey:
    """The way from one update to the next.

    Attributes:
        plan: the batches; its end is that of the course.
        position: where the next update begins.
    """

    def __init__(self, config: Config, plan: DataPlan, course: Course) -> None:
        self._config = config
        self._course = course
        self.plan = plan
        self.position = Position()

    @property
    def at_end(self) -> bool:
        """No update is left."""
        return self.position.step >= self._course.now.total

    @property
    def batches(self) -> int:
        """That the next update adds up; the last update of an epoch may have fewer than the others."""
        return min(self.plan.accumulation, self.plan.batches_per_epoch - self.position.batch)

    def advance(self, batches: int) -> None:
        """Note an update that took so many batches."""
        self.position.step += 1
        self.position.batch += batches
        if self.position.batch >= self.plan.batches_per_epoch:
            self.position.epoch, self.position.batch = self.position.epoch + 1, 0

    def epoch(self, *, done: bool = False) -> int:
        """The epoch from 1; ``done``: the one that the last update belonged to."""
        if done and self.position.step > 0 and self.position.batch == 0:
            return self.position.epoch
        return self.position.epoch + 1

    def due(self, step: int) -> frozenset[str]:
        """What happens after ``step``; validation only where images are held out for it."""
        found = due_at(self._config, step, self.plan.steps_per_epoch, self._course.now.total)
        return found if self.plan.validation else found - {VALIDATION}
