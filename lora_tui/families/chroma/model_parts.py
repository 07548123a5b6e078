"""Loading the parts of a Chroma model, from a diffusers folder or from single files, each by itself."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from diffusers import ChromaTransformer2DModel

from lora_tui.families.chroma.checks import CHECKS, LAYOUT
from lora_tui.families.chroma.model_file import original_to_diffusers
from lora_tui.families.chroma.shape import Shape
from lora_tui.families.separate import model_parts
from lora_tui.families.separate.model_file import Converter
from lora_tui.families.separate.model_patches import SHIFT_POWERS, SHIFT_TOKENS
from lora_tui.families.separate.model_text import T5Text, TextEncoder


class Parts(model_parts.Parts[Shape]):
    """See :class:`lora_tui.families.separate.model_parts.Parts`."""

    checks = CHECKS
    network = ChromaTransformer2DModel
    schedule: ClassVar[dict[str, Any]] = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "base_image_seq_len": SHIFT_TOKENS[0],
        "max_image_seq_len": SHIFT_TOKENS[1],
        "base_shift": SHIFT_POWERS[0],
        "max_shift": SHIFT_POWERS[1],
        "shift": 1.0,
        "use_dynamic_shifting": True,
    }

    def converter(self) -> Converter:
        return partial(original_to_diffusers, width=self.shape.width)

    def encoders(self) -> dict[str, TextEncoder]:
        vocabulary = self.shape.t5.vocabulary
        return {"t5xxl": T5Text(LAYOUT["t5xxl"], self.places["t5xxl"], "ids", vocabulary=vocabulary)}
