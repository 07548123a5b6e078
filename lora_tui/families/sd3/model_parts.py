"""Loading the parts of an SD3 or SD3.5 model, from a diffusers folder or from single files, each by itself."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from diffusers import SD3Transformer2DModel

from lora_tui.config.schema import ModelSection
from lora_tui.families.sd3.checks import CHECKS, LAYOUT, check_clips
from lora_tui.families.sd3.model_file import original_to_diffusers
from lora_tui.families.sd3.shape import Shape
from lora_tui.families.separate import model_parts
from lora_tui.families.separate.model_file import Converter
from lora_tui.families.separate.model_text import ClipText, T5Text, TextEncoder

SHIFT = 3.0
"""What multiplies the odds of noise, whatever the size: that of the published schedules."""


class Parts(model_parts.Parts[Shape]):
    """See :class:`lora_tui.families.separate.model_parts.Parts`."""

    checks = CHECKS
    network = SD3Transformer2DModel
    schedule: ClassVar[dict[str, Any]] = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "shift": SHIFT,
    }

    def __init__(self, section: ModelSection) -> None:
        super().__init__(section)
        check_clips(self.places)

    def converter(self) -> Converter:
        return partial(original_to_diffusers, shape=self.shape)

    def encoders(self) -> dict[str, TextEncoder]:
        vocabulary = self.shape.t5.vocabulary
        return {
            "clip_l": ClipText(LAYOUT["clip_l"], self.places["clip_l"], "ids"),
            "clip_g": ClipText(LAYOUT["clip_g"], self.places["clip_g"], "ids_2"),
            "t5xxl": T5Text(LAYOUT["t5xxl"], self.places["t5xxl"], "ids_3", vocabulary=vocabulary),
        }
