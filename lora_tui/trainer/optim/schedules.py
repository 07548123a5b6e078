"""Learning-rate schedules as functions of the step, so that a resume needs no state of theirs."""

from __future__ import annotations

import math

from lora_tui.choices import chosen
from lora_tui.config.schema import LearningSection

#: ``learning.schedule`` -> a function (section, updates done since the warm-up, updates after it) -> share left, which
#: falls from 1 towards 0
SCHEDULES = {
    name: f"lora_tui.trainer.optim.schedules:{name}"
    for name in ("constant", "linear", "cosine", "cosine_with_restarts", "polynomial")
}


def rate_factor(learning: LearningSection, step: int, total: int) -> float:
    """The factor on the learning rate for update number ``step`` (from 0) of ``total``.

    The warm-up rises as (step + 1) / (warm-up + 1), so the first update already learns; after it the schedule
    runs over what is left and falls to ``learning.final`` instead of 0.
    """
    warmup = min(learning.warmup, max(total - 1, 0))
    if step < warmup:
        return (step + 1) / (warmup + 1)
    span = max(total - warmup, 1)
    left = float(chosen(SCHEDULES, learning.schedule)(learning, min(max(step - warmup, 0), span), span))
    return left + learning.final * (1.0 - left)


def constant(learning: LearningSection, done: int, span: int) -> float:
    return 1.0


def linear(learning: LearningSection, done: int, span: int) -> float:
    return 1.0 - done / span


def cosine(learning: LearningSection, done: int, span: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * done / span))


def cosine_with_restarts(learning: LearningSection, done: int, span: int) -> float:
    if done >= span:
        return 0.0
    return 0.5 * (1 + math.cos(math.pi * ((done / span * learning.restarts) % 1.0)))


def polynomial(learning: LearningSection, done: int, span: int) -> float:
    return float((1.0 - done / span) ** learning.power)
