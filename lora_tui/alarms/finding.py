"""What the detectors hand on: the code of an alarm, where it is, and its numbers; words are found for it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """One thing noticed at ``step`` that began at step ``at``; ``numbers`` are what its words tell."""

    code: str
    step: int
    at: int
    numbers: Mapping[str, float] = field(default_factory=dict)
