"""Learning-rate schedules as functions of the step, so that a resume needs no state of theirs."""

from __future__ import annotations

import math

from lora_tui.config.schema import LearningSection


def rate_factor(learning: LearningSection, step: int, total: int) -> float:
    """The factor on the learning rate for update number ``step`` (from 0) of ``total``.

    The warm-up rises as (step + 1) / (warm-up + 1), so the first update already learns; after it the schedule
    runs over what is left and ends at ``learning.final``.
    """
    warmup = min(learning.warmup, max(total - 1, 0))
    if step < warmup:
        return (step + 1) / (warmup + 1)
    span = max(total - warmup, 1)
    progress = min(max((step - warmup) / span, 0.0), 1.0)
    shape = _shape(learning, progress)
    return shape if learning.schedule == "constant" else learning.final + (1 - learning.final) * shape


def _shape(learning: LearningSection, progress: float) -> float:
    """From 1 at ``progress`` 0 towards 0 at 1."""
    match learning.schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1.0 - progress
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "cosine_with_restarts":
            if progress >= 1.0:
                return 0.0
            return 0.5 * (1 + math.cos(math.pi * ((progress * learning.restarts) % 1.0)))
        case "polynomial":
            return float((1.0 - progress) ** learning.power)
