"""Facts of FLUX.1 dev and schnell that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from collections.abc import Mapping

from lora_tui.families.flux.counting import step_bytes, transformer_parameters
from lora_tui.families.flux.shape import Shape, shape_of_folder, shape_of_tensors
from lora_tui.families.flux.targets import CLIP, transformer_targets
from lora_tui.families.separate.facts import SeparateFacts
from lora_tui.families.separate.shapes import t5_parameters, vae_parameters
from lora_tui.families.unet.counting import text_parameters
from lora_tui.families.unet.shape import TextShape

DEV = Shape()


class FluxFacts(SeparateFacts[Shape]):
    """See :class:`lora_tui.families.separate.facts.SeparateFacts`."""

    def learners(self, shape: Shape) -> Mapping[str, TextShape]:
        return {CLIP: shape.clip}

    def sizes(self, shape: Shape) -> dict[str, int]:
        return {
            "transformer": transformer_parameters(shape),
            "text_encoder": text_parameters(shape.clip),
            "text_encoder_2": t5_parameters(shape.t5),
            "vae": vae_parameters(shape.vae_channels, shape.latent_channels),
        }

    def values(self, shape: Shape, tokens: int, *, text_encoder: bool) -> int:
        return tokens * shape.text_width + (0 if text_encoder else shape.pooled_width)


FACTS = FluxFacts(
    name="flux",
    title="FLUX.1",
    full=DEV,
    of_folder=shape_of_folder,
    of_tensors=shape_of_tensors,
    layers=transformer_targets,
    kept=step_bytes,
    separate=("clip_l", "t5xxl", "vae"),
    implementation="https://github.com/black-forest-labs/flux",
    published=("flux1", "flux-1-dev"),
    text_layer=1,
)
