"""Facts of Z-Image that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lora_tui.families.protocol import TargetModule
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

    def shape_of_folder(self, folder: Path) -> Shape:
        return shape_of_folder(folder, self.full)

    def shape_of_tensors(self, shapes: Mapping[str, tuple[int, ...]]) -> Shape:
        return shape_of_tensors(shapes, self.full)

    def layers(self, shape: Shape) -> Iterable[TargetModule]:
        return transformer_targets(shape)

    def sizes(self, shape: Shape) -> dict[str, int]:
        return {
            "transformer": transformer_parameters(shape),
            "text_encoder": LANGUAGE.parameters(shape.language),
            "vae": vae_parameters(shape.vae_channels, shape.channels),
        }

    def values(self, shape: Shape, tokens: int, *, text_encoder: bool) -> int:
        return tokens * shape.text_width

    def text_positions(self, shape: Shape, tokens: int) -> int:
        return filled(tokens)

    def kept(
        self, shape: Shape, pixels: tuple[int, int], positions: int, bytes_per_value: int, *, checkpointing: bool
    ) -> int:
        return step_bytes(shape, pixels, positions, bytes_per_value, checkpointing=checkpointing)


FACTS = ZImageFacts(
    name="zimage",
    title="Z-Image",
    full=ZIMAGE,
    separate=("llm", "tokenizer", "vae"),
    implementation="https://github.com/Tongyi-MAI/Z-Image",
    published=("zimage", "Z-Image"),
    text_layer=2,
)
