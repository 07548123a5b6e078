"""Facts of Chroma that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lora_tui.families.chroma.counting import step_bytes, transformer_parameters
from lora_tui.families.chroma.shape import Shape, shape_of_folder, shape_of_tensors
from lora_tui.families.chroma.targets import transformer_targets
from lora_tui.families.protocol import TargetModule
from lora_tui.families.separate.facts import SeparateFacts
from lora_tui.families.separate.shapes import t5_parameters, vae_parameters


class ChromaFacts(SeparateFacts[Shape]):
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
            "text_encoder": t5_parameters(shape.t5),
            "vae": vae_parameters(shape.vae_channels, shape.latent_channels),
        }

    def values(self, shape: Shape, tokens: int, *, text_encoder: bool) -> int:
        return tokens * shape.text_width

    def kept(
        self, shape: Shape, pixels: tuple[int, int], positions: int, bytes_per_value: int, *, checkpointing: bool
    ) -> int:
        return step_bytes(shape, pixels, positions, bytes_per_value, checkpointing=checkpointing)


FACTS = ChromaFacts(
    name="chroma",
    title="Chroma",
    full=Shape(),
    separate=("t5xxl", "vae"),
    implementation="https://huggingface.co/lodestones/Chroma",
    published=("chroma", "chroma"),
    text_layer=1,
)
