"""Facts of Z-Image that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from lora_tui.families.separate.facts import SeparateFacts
from lora_tui.families.separate.language import Qwen3
from lora_tui.families.separate.shapes import vae_parameters
from lora_tui.families.zimage.counting import filled, step_bytes, transformer_parameters
from lora_tui.families.zimage.shape import ZIMAGE, Shape, shape_of_folder, shape_of_tensors
from lora_tui.families.zimage.targets import transformer_targets

LANGUAGE = Qwen3()
"""The input of the last layer is read."""


class ZImageFacts(SeparateFacts[Shape]):
    """See :class:`lora_tui.families.separate.facts.SeparateFacts`."""

    def sizes(self, shape: Shape) -> dict[str, int]:
        return {
            "transformer": transformer_parameters(shape),
            "text_encoder": LANGUAGE.parameters(shape.language),
            "vae": vae_parameters(shape.vae_channels, shape.channels),
        }

    def text_positions(self, shape: Shape, tokens: int) -> int:
        return filled(tokens)


FACTS = ZImageFacts(
    name="zimage",
    title="Z-Image",
    full=ZIMAGE,
    of_folder=shape_of_folder,
    of_tensors=shape_of_tensors,
    layers=transformer_targets,
    kept=step_bytes,
    separate=("llm", "tokenizer", "vae"),
    implementation="https://github.com/Tongyi-MAI/Z-Image",
    published=("zimage", "Z-Image"),
    text_layer=2,
)
