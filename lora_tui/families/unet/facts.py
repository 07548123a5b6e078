"""What a family with such a UNet says of itself without torch; each family's own facts are one object of this kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_tui.families.protocol import TargetModule
from lora_tui.families.unet.counting import (
    step_bytes,
    text_activation_bytes,
    text_parameters,
    unet_parameters,
    vae_parameters,
)
from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.shape import Shape, shape_of
from lora_tui.families.unet.targets import convolution_targets, text_targets, transformer_targets

#: The noise schedule that all of them learned with, in diffusers' words.
SCHEDULE: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}


@dataclass(frozen=True, eq=False)
class UnetFacts:
    """See :class:`lora_tui.families.protocol.Facts`.

    Attributes:
        full: the published model's shape.
        encoders: its text encoders, in the order in which their states are joined.
        pipeline: the class name in ``model_index.json``.
        scheduler: the class of the published schedule, and what it says besides :data:`SCHEDULE`.
        tells_prediction: whether a single file without any mark predicts noise for certain.
        velocity: ``model_version`` and ``architecture`` of a model that predicts velocity.
    """

    name: str
    title: str
    resolution: int
    full: Shape
    encoders: tuple[Encoder, ...]
    pipeline: str
    model_version: str
    architecture: str
    velocity: tuple[str, str]
    implementation: str
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    tells_prediction: bool = True
    size_multiple: int = 8
    latent_factor: int = 8
    latent_channels: int = 4
    denoiser: str = "unet"
    separate: tuple[str, ...] = ()

    @property
    def text_layer(self) -> int:
        return 0 if self.encoders[0].reads == "clip_skip" else 2

    def encoder(self, part: str) -> Encoder:
        """The text encoder called ``part``.

        Raises:
            KeyError: there is none.
        """
        for encoder in self.encoders:
            if encoder.part == part:
                return encoder
        raise KeyError(part)

    def versions(self, prediction: str) -> tuple[str, str]:
        return self.velocity if prediction == "v_prediction" else (self.model_version, self.architecture)

    def targets(
        self, base: str | Path = "", *, text_encoder: bool = True, convolutions: bool = False
    ) -> tuple[TargetModule, ...]:
        shape = shape_of(self, base)
        found = transformer_targets(shape)
        found += convolution_targets(shape) if convolutions else ()
        if text_encoder:
            for encoder, text in zip(self.encoders, shape.text, strict=True):
                found += text_targets(encoder.part, text)
        return tuple(found)

    def block_rest(self, base: str | Path = "") -> Mapping[str, int]:
        return {}

    def text_values(self, base: str | Path = "", *, t5_tokens: int = 512, text_encoder: bool = False) -> int:
        texts = () if text_encoder else shape_of(self, base).text
        return sum(text.positions * text.width + text.projection for text in texts)

    def part_parameters(self, base: str | Path = "") -> dict[str, int]:
        shape = shape_of(self, base)
        encoders = {
            encoder.part: text_parameters(text) for encoder, text in zip(self.encoders, shape.text, strict=True)
        }
        return {"unet": unet_parameters(shape), **encoders, "vae": vae_parameters(shape)}

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
        lean: bool = False,
        t5_tokens: int = 512,
        base: str | Path = "",
    ) -> int:
        shape = shape_of(self, base)
        cells = (width // self.latent_factor, height // self.latent_factor)
        kept = step_bytes(
            shape, cells, bytes_per_value, checkpointing=checkpointing, convolutions=convolutions, lean=lean
        )
        if text_encoder:
            kept += sum(text_activation_bytes(text, bytes_per_value) for text in shape.text)
        return int(kept * batch)
