"""Loading the parts of a Z-Image model, from a diffusers folder or from single files, each by itself."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from diffusers import ZImageTransformer2DModel

from lora_tui.config.schema import ModelSection
from lora_tui.families.separate import model_parts
from lora_tui.families.separate.model_file import Converter
from lora_tui.families.separate.model_language import LanguageText
from lora_tui.families.separate.model_text import TextEncoder
from lora_tui.families.zimage.checks import CHECKS, LAYOUT, check_model
from lora_tui.families.zimage.model_file import original_to_diffusers
from lora_tui.families.zimage.shape import SHIFT, Shape


class Parts(model_parts.Parts[Shape]):
    """See :class:`lora_tui.families.separate.model_parts.Parts`."""

    checks = CHECKS
    network = ZImageTransformer2DModel
    schedule: ClassVar[dict[str, Any]] = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "shift": SHIFT,
    }

    def __init__(self, section: ModelSection) -> None:
        super().__init__(section)
        check_model(self.source, own_vae=not section.vae)

    def converter(self) -> Converter:
        return partial(original_to_diffusers, width=self.shape.width)

    def encoders(self) -> dict[str, TextEncoder]:
        return {"llm": LanguageText(LAYOUT["llm"], self.places["llm"], "ids", "ids_own")}
