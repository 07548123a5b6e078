"""Facts of Chroma that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from lora_tui.families.chroma.counting import step_bytes, transformer_parameters
from lora_tui.families.chroma.shape import Shape, shape_of_folder, shape_of_tensors
from lora_tui.families.chroma.targets import transformer_targets
from lora_tui.families.separate.facts import SeparateFacts
from lora_tui.families.separate.shapes import t5_parameters, vae_parameters


class ChromaFacts(SeparateFacts[Shape]):
    """See :class:`lora_tui.families.separate.facts.SeparateFacts`."""

    def sizes(self, shape: Shape) -> dict[str, int]:
        return {
            "transformer": transformer_parameters(shape),
            "text_encoder": t5_parameters(shape.t5),
            "vae": vae_parameters(shape.vae_channels, shape.latent_channels),
        }


FACTS = ChromaFacts(
    name="chroma",
    title="Chroma",
    full=Shape(),
    of_folder=shape_of_folder,
    of_tensors=shape_of_tensors,
    layers=transformer_targets,
    kept=step_bytes,
    separate=("t5xxl", "vae"),
    implementation="https://huggingface.co/lodestones/Chroma",
    published=("chroma", "chroma"),
    text_layer=1,
)
