"""How fast each text encoder learns, and until when. Knows no torch."""

from __future__ import annotations

from lora_tui.config.schema import Config, LearningSection
from lora_tui.families import facts_for

SECOND = "text_encoder_2"
AS_FIRST = -1.0
"""The rate of a second text encoder that learns as fast as the first."""


def text_rate(learning: LearningSection, part: str) -> float:
    """The learning rate of the text encoder called ``part``."""
    if part == SECOND and learning.text_encoder_2_lr >= 0:
        return learning.text_encoder_2_lr
    return learning.text_encoder_lr


def text_updates(learning: LearningSection, total: int) -> int:
    """How many of ``total`` updates the text encoders learn in: up to the step or the share, whichever comes first."""
    share = round(learning.text_encoder_share * total)
    return min(share, learning.text_encoder_steps or total)


def text_rates_of(config: Config) -> tuple[float, ...]:
    """The rates of the text encoders that are trained, in their order."""
    if not config.trains_text:
        return ()
    parts = dict.fromkeys(target.part for target in facts_for(config.model.family).targets(config.model.base))
    return tuple(text_rate(config.learning, part) for part in parts if part.startswith("text_encoder"))
