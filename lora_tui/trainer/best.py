"""The best validation so far, and when to stop because it does not become better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Best:
    """What is known of the measurements that were due.

    Attributes:
        loss: the lowest so far; none before the first.
        step: where it was measured.
        worse: measurements since then.
    """

    loss: float | None = None
    step: int = 0
    worse: int = 0

    @classmethod
    def of(cls, notes: Mapping[str, Any]) -> Best:
        """As it was noted; a new one where nothing was."""
        return cls(**notes) if notes else cls()

    def note(self, loss: float, step: int, least: float) -> bool:
        """Take in a measurement at ``step``; whether it is better than the best by more than the share ``least``."""
        if math.isfinite(loss) and (self.loss is None or loss < self.loss * (1.0 - least)):
            self.loss, self.step, self.worse = loss, step, 0
            return True
        self.worse += 1
        return False

    def as_notes(self) -> dict[str, Any]:
        """To be kept with a state."""
        return asdict(self)
