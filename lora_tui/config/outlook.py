"""What a configuration would take before there are images: the memory of a step, and the preset of a card."""

from __future__ import annotations

from pathlib import Path

from lora_tui.config.entries import settings_of
from lora_tui.config.estimate import memory_parts
from lora_tui.config.presets import Preset, list_presets
from lora_tui.config.schema import Config

USUAL_CARD = 24
"""GB of the card that is thought of where this machine has none."""


def usual_memory(config: Config) -> int:
    """Bytes on the device at a step with square images at the resolution of training.

    Raises:
        UserError: the base model cannot be read.
    """
    from lora_tui.dataset.batches import make_plan
    from lora_tui.dataset.facts import ImageFacts
    from lora_tui.dataset.scan import DatasetImage, Scan

    own = settings_of(config, 0)
    side, name = own.data.resolution, "square.png"
    facts = ImageFacts(side, side, "PNG", False, False, 1, 1, 1)
    square = DatasetImage(Path(name), name, 0, own.batch_size * config.steps.gradient_accumulation, facts, None)
    return sum(memory_parts(config, make_plan(config, Scan((square,)), groups={})).values())


def card_preset(family: str, memory: float) -> Preset | None:
    """The preset for the largest card of at most so many bytes; none where there is none so small."""
    cards = [preset for preset in list_presets(family=family) if preset.kind == "memory"]
    return next((preset for preset in reversed(cards) if preset.memory_gb * 1e9 <= memory), None)
