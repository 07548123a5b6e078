"""Facts of SD3 and SD3.5 that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from collections.abc import Mapping

from lora_tui.families.sd3.counting import step_bytes, transformer_parameters
from lora_tui.families.sd3.shape import SD35_LARGE, Shape, shape_of_folder, shape_of_tensors
from lora_tui.families.sd3.targets import CLIP_G, CLIP_L, transformer_targets
from lora_tui.families.separate.facts import SeparateFacts
from lora_tui.families.separate.shapes import t5_parameters, vae_parameters
from lora_tui.families.unet.counting import text_parameters
from lora_tui.families.unet.shape import TextShape


class Sd3Facts(SeparateFacts[Shape]):
    """See :class:`lora_tui.families.separate.facts.SeparateFacts`."""

    def learners(self, shape: Shape) -> Mapping[str, TextShape]:
        return {CLIP_L: shape.clip_l, CLIP_G: shape.clip_g}

    def sizes(self, shape: Shape) -> dict[str, int]:
        return {
            "transformer": transformer_parameters(shape),
            "text_encoder": text_parameters(shape.clip_l),
            "text_encoder_2": text_parameters(shape.clip_g),
            "text_encoder_3": t5_parameters(shape.t5),
            "vae": vae_parameters(shape.vae_channels, shape.channels),
        }

    def values(self, shape: Shape, tokens: int, *, text_encoder: bool) -> int:
        clips = () if text_encoder else (shape.clip_l, shape.clip_g)
        return tokens * shape.text_width + sum(clip.positions * clip.width + clip.projection for clip in clips)

    def text_positions(self, shape: Shape, tokens: int) -> int:
        return shape.clip_l.positions + tokens


FACTS = Sd3Facts(
    name="sd3",
    title="Stable Diffusion 3",
    full=SD35_LARGE,
    of_folder=shape_of_folder,
    of_tensors=shape_of_tensors,
    layers=transformer_targets,
    kept=step_bytes,
    separate=("clip_l", "clip_g", "t5xxl", "vae"),
    implementation="https://github.com/Stability-AI/sd3.5",
    published=("sd3", "stable-diffusion-3"),
    text_layer=2,
)
