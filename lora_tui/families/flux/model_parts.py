"""Loading the parts of a FLUX.1 model, from a diffusers folder or from single files, each by itself."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from diffusers import FluxTransformer2DModel

from lora_tui.families.flux.checks import CHECKS, LAYOUT
from lora_tui.families.flux.model_file import original_to_diffusers
from lora_tui.families.flux.shape import Shape
from lora_tui.families.separate import model_parts
from lora_tui.families.separate.model_file import Converter
from lora_tui.families.separate.model_text import ClipText, T5Text, TextEncoder


class Parts(model_parts.Parts[Shape]):
    """See :class:`lora_tui.families.separate.model_parts.Parts`."""

    checks = CHECKS
    network = FluxTransformer2DModel
    schedule: ClassVar[dict[str, Any]] = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "base_image_seq_len": 256,
        "max_image_seq_len": 4096,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "shift": 3.0,
    }

    def converter(self) -> Converter:
        return partial(original_to_diffusers, width=self.shape.width)

    def encoders(self) -> dict[str, TextEncoder]:
        vocabulary = self.shape.t5.vocabulary
        return {
            "clip_l": ClipText(LAYOUT["clip_l"], self.places["clip_l"], "ids"),
            "t5xxl": T5Text(LAYOUT["t5xxl"], self.places["t5xxl"], "ids_2", vocabulary=vocabulary),
        }
