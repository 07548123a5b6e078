"""Loading the parts of a FLUX.2 klein model, from a diffusers folder or from single files, each by itself."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from diffusers import Flux2Transformer2DModel

from lora_tui.families.flux2.checks import CHECKS, LAYOUT
from lora_tui.families.flux2.model_file import original_to_diffusers
from lora_tui.families.flux2.model_vae import PatchLatents
from lora_tui.families.flux2.shape import Shape
from lora_tui.families.separate import model_parts
from lora_tui.families.separate.model_file import Converter
from lora_tui.families.separate.model_language import LanguageText
from lora_tui.families.separate.model_text import TextEncoder
from lora_tui.families.separate.model_vae import Vae


class Parts(model_parts.Parts[Shape]):
    """See :class:`lora_tui.families.separate.model_parts.Parts`."""

    checks = CHECKS
    network = Flux2Transformer2DModel
    schedule: ClassVar[dict[str, Any]] = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "use_dynamic_shifting": True,
        "shift": 3.0,
    }

    def converter(self) -> Converter:
        return partial(original_to_diffusers, width=self.shape.width)

    def encoders(self) -> dict[str, TextEncoder]:
        return {"llm": LanguageText(LAYOUT["llm"], self.places["llm"], "ids", "own")}

    def vae(self) -> Vae:
        return PatchLatents(LAYOUT["vae"], self.places["vae"])
