"""Facts of FLUX.2 klein that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from lora_tui.families.flux2.counting import step_bytes, transformer_parameters, whole_vae_parameters
from lora_tui.families.flux2.shape import CELL, KLEIN_4B, READ_LAYERS, Shape, shape_of_folder, shape_of_tensors
from lora_tui.families.flux2.targets import transformer_targets
from lora_tui.families.separate.facts import SeparateFacts
from lora_tui.families.separate.language import language_parameters


class Flux2Facts(SeparateFacts[Shape]):
    """See :class:`lora_tui.families.separate.facts.SeparateFacts`."""

    def sizes(self, shape: Shape) -> dict[str, int]:
        return {
            "transformer": transformer_parameters(shape),
            "text_encoder": language_parameters(shape.text, max(READ_LAYERS)),
            "vae": whole_vae_parameters(shape),
        }


FACTS = Flux2Facts(
    name="flux2",
    title="FLUX.2 klein",
    full=KLEIN_4B,
    of_folder=shape_of_folder,
    of_tensors=shape_of_tensors,
    layers=transformer_targets,
    kept=step_bytes,
    separate=("llm", "tokenizer", "vae"),
    implementation="https://github.com/black-forest-labs/flux2",
    published=("flux2", "flux-2-klein"),
    text_layer=10,
    latent_factor=CELL,
    latent_channels=KLEIN_4B.channels,
)
