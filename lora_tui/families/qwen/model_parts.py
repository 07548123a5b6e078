"""Loading the parts of a Qwen-Image model, from a diffusers folder or from single files, each by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from diffusers import QwenImageTransformer2DModel
from torch import Tensor

from lora_tui.families.qwen.checks import CHECKS, LAYOUT
from lora_tui.families.qwen.model_text import QwenVlText
from lora_tui.families.qwen.model_vae import FrameLatents
from lora_tui.families.qwen.shape import Shape
from lora_tui.families.separate import model_parts
from lora_tui.families.separate.model_file import Converter
from lora_tui.families.separate.model_text import TextEncoder
from lora_tui.families.separate.model_vae import Vae

SHIFT_TOKENS, SHIFT_POWERS, LAST_LEVEL = (256, 8192), (0.5, 0.9), 0.02
"""Of the published schedule: see :func:`lora_tui.families.separate.model_patches.shift_power`, and where the last step
begins."""


class Parts(model_parts.Parts[Shape]):
    """See :class:`lora_tui.families.separate.model_parts.Parts`."""

    checks = CHECKS
    network = QwenImageTransformer2DModel
    schedule: ClassVar[dict[str, Any]] = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "base_image_seq_len": SHIFT_TOKENS[0],
        "max_image_seq_len": SHIFT_TOKENS[1],
        "base_shift": SHIFT_POWERS[0],
        "max_shift": SHIFT_POWERS[1],
        "shift": 1.0,
        "shift_terminal": LAST_LEVEL,
        "use_dynamic_shifting": True,
    }

    def converter(self) -> Converter:
        return _as_it_is

    def encoders(self) -> dict[str, TextEncoder]:
        return {"llm": QwenVlText(LAYOUT["llm"], self.places["llm"], "ids", "ids_own")}

    def vae(self) -> Vae:
        return FrameLatents(self.checks.layout["vae"], self.places["vae"])


def _as_it_is(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield name, tensor
