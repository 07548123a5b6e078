"""Facts of FLUX.1 dev and schnell that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_tui.families.flux.counting import step_bytes, transformer_parameters
from lora_tui.families.flux.shape import Shape, shape_of
from lora_tui.families.flux.targets import CLIP, transformer_targets
from lora_tui.families.protocol import TargetModule
from lora_tui.families.separate.shapes import t5_parameters, vae_parameters
from lora_tui.families.unet.counting import text_parameters
from lora_tui.families.unet.targets import text_targets

DEV = Shape()
TEXT_TOKENS = 512
"""Tokens of T5 that dev attends to; schnell learned with 256."""


@dataclass(frozen=True)
class FluxFacts:
    """See :class:`lora_tui.families.protocol.Facts`."""

    name: str = "flux"
    title: str = "FLUX.1"
    resolution: int = 1024
    size_multiple: int = 16
    latent_factor: int = 8
    latent_channels: int = 16
    denoiser: str = "transformer"
    separate: tuple[str, ...] = ("clip_l", "t5xxl", "vae")
    text_layer: int = 1
    implementation: str = "https://github.com/black-forest-labs/flux"
    full: Shape = DEV

    def versions(self, prediction: str) -> tuple[str, str]:
        return "flux1", "flux-1-dev"

    def targets(
        self, base: str | Path = "", *, text_encoder: bool = True, convolutions: bool = False
    ) -> tuple[TargetModule, ...]:
        shape = shape_of(base, self.full)
        found = tuple(transformer_targets(shape))
        return (*found, *text_targets(CLIP, shape.clip)) if text_encoder else found

    def text_values(self, base: str | Path = "", *, t5_tokens: int = 512, text_encoder: bool = False) -> int:
        shape = shape_of(base, self.full)
        return t5_tokens * shape.text_width + (0 if text_encoder else shape.pooled_width)

    def part_parameters(self, base: str | Path = "") -> dict[str, int]:
        shape = shape_of(base, self.full)
        return {
            "transformer": transformer_parameters(shape),
            "text_encoder": text_parameters(shape.clip),
            "text_encoder_2": t5_parameters(shape.t5),
            "vae": vae_parameters(shape.vae_channels, shape.latent_channels),
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
        t5_tokens: int = TEXT_TOKENS,
        base: str | Path = "",
    ) -> int:
        shape = shape_of(base, self.full)
        kept = step_bytes(shape, (width, height), t5_tokens, bytes_per_value, checkpointing=checkpointing)
        if text_encoder:
            kept += shape.clip.layers * shape.clip.positions * shape.clip.width * 26 * bytes_per_value
        return int(kept * batch)


FACTS = FluxFacts()
