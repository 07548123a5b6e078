"""Facts of SD3 and SD3.5 that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_tui.families.protocol import TargetModule
from lora_tui.families.sd3.counting import step_bytes, transformer_parameters
from lora_tui.families.sd3.shape import SD35_LARGE, Shape, shape_of
from lora_tui.families.sd3.targets import CLIP_G, CLIP_L, transformer_targets
from lora_tui.families.separate.shapes import t5_parameters, vae_parameters
from lora_tui.families.unet.counting import text_parameters
from lora_tui.families.unet.targets import text_targets


@dataclass(frozen=True)
class Sd3Facts:
    """See :class:`lora_tui.families.protocol.Facts`."""

    name: str = "sd3"
    title: str = "Stable Diffusion 3"
    resolution: int = 1024
    size_multiple: int = 16
    latent_factor: int = 8
    latent_channels: int = 16
    denoiser: str = "transformer"
    separate: tuple[str, ...] = ("clip_l", "clip_g", "t5xxl", "vae")
    text_layer: int = 2
    implementation: str = "https://github.com/Stability-AI/sd3.5"
    full: Shape = SD35_LARGE

    def versions(self, prediction: str) -> tuple[str, str]:
        return "sd3", "stable-diffusion-3"

    def targets(
        self, base: str | Path = "", *, text_encoder: bool = True, convolutions: bool = False
    ) -> tuple[TargetModule, ...]:
        shape = shape_of(base, self.full)
        found = tuple(transformer_targets(shape))
        if not text_encoder:
            return found
        return (*found, *text_targets(CLIP_L, shape.clip_l), *text_targets(CLIP_G, shape.clip_g))

    def text_values(self, base: str | Path = "", *, t5_tokens: int = 512, text_encoder: bool = False) -> int:
        shape = shape_of(base, self.full)
        clips = () if text_encoder else (shape.clip_l, shape.clip_g)
        return t5_tokens * shape.text_width + sum(clip.positions * clip.width + clip.projection for clip in clips)

    def part_parameters(self, base: str | Path = "") -> dict[str, int]:
        shape = shape_of(base, self.full)
        return {
            "transformer": transformer_parameters(shape),
            "text_encoder": text_parameters(shape.clip_l),
            "text_encoder_2": text_parameters(shape.clip_g),
            "text_encoder_3": t5_parameters(shape.t5),
            "vae": vae_parameters(shape.vae_channels, shape.channels),
        }

    def activation_bytes(
        self,
        width: int,
        height: int,
        batch: int,
        *,
        bytes_per_value: int,
        checkpointing: bool,
        text_encoder: bool = False,
        convolutions: bool = False,
        t5_tokens: int = 512,
        base: str | Path = "",
    ) -> int:
        shape = shape_of(base, self.full)
        tokens = shape.clip_l.positions + t5_tokens
        kept = step_bytes(shape, (width, height), tokens, bytes_per_value, checkpointing=checkpointing)
        if text_encoder:
            for clip in (shape.clip_l, shape.clip_g):
                kept += clip.layers * clip.positions * clip.width * 26 * bytes_per_value
        return int(kept * batch)


FACTS = Sd3Facts()
