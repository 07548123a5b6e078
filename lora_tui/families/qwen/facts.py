"""Facts of Qwen-Image that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lora_tui.families.qwen.counting import step_bytes, transformer_tensors, vae_tensors
from lora_tui.families.qwen.language import vl_tensors
from lora_tui.families.qwen.shape import PATCH, QWEN, Shape, shape_of_folder, shape_of_tensors
from lora_tui.families.qwen.targets import BLOCKS, transformer_targets
from lora_tui.families.separate.facts import SeparateFacts
from lora_tui.families.separate.tensors import parameters


class QwenFacts(SeparateFacts[Shape]):
    """See :class:`lora_tui.families.separate.facts.SeparateFacts`."""

    def sizes(self, shape: Shape) -> dict[str, int]:
        return {
            "transformer": parameters(transformer_tensors(shape)),
            "text_encoder": parameters(vl_tensors(shape.language)),
            "vae": parameters(vae_tensors(shape.vae_width, shape.channels // PATCH**2)),
        }

    def block_rest(self, base: str | Path = "") -> Mapping[str, int]:
        """The modulations of image and text, a third of the transformer."""
        shape = self.shape_of(base)
        return {f"{BLOCKS}.{number}": 12 * shape.width**2 for number in range(shape.blocks)}


FACTS = QwenFacts(
    name="qwen",
    title="Qwen-Image",
    full=QWEN,
    of_folder=shape_of_folder,
    of_tensors=shape_of_tensors,
    layers=transformer_targets,
    kept=step_bytes,
    separate=("llm", "tokenizer", "vae"),
    implementation="https://github.com/QwenLM/Qwen-Image",
    published=("qwen_image", "Qwen-Image"),
    text_layer=1,
)
