"""What a family must say (:class:`Facts`, light) so that plan, form, files and trainer need not know it by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class TargetModule:
    """One layer that an adapter attaches to.

    ``path`` is the module's dotted name in the diffusers or transformers model; ``inputs`` and ``outputs`` are
    its widths (channels for a 1x1 convolution); ``part`` is ``unet`` or ``text_encoder``.
    """

    part: str
    path: str
    inputs: int
    outputs: int
    convolution: bool = False

    def parameters(self, rank: int) -> int:
        """Trainable parameters of a LoRA of ``rank`` on this layer: down (rank x in) and up (out x rank)."""
        return rank * (self.inputs + self.outputs)


class Facts(Protocol):
    """What can be known of a family without torch."""

    name: str
    title: str
    resolution: int  # px, the side of the square it was trained at
    size_multiple: int  # px, sides of training and sample images are multiples of it
    latent_factor: int  # image side / latent side
    latent_channels: int
    model_version: str  # ss_base_model_version
    architecture: str  # modelspec.architecture, without the /lora suffix

    def targets(self, base: str | Path = "", *, text_encoder: bool = True) -> tuple[TargetModule, ...]:
        """The layers a LoRA attaches to for the model at ``base`` (full size when it cannot be read)."""
        ...

    def lora_parameters(self, rank: int, base: str | Path = "", *, text_encoder: bool = True) -> int:
        """Trainable parameters of a LoRA on all targets."""
        ...

    def part_parameters(self, base: str | Path = "") -> dict[str, int]:
        """Parameters of the base model by part: ``unet``, ``text_encoder``, ``vae``."""
        ...

    def activation_bytes(
        self,
        width: int,
        height: int,
        batch: int,
        *,
        bytes_per_value: int,
        checkpointing: bool,
        text_encoder: bool = False,
        base: str | Path = "",
    ) -> int:
        """Estimate of what one training step keeps for its backward pass, in bytes on the device."""
        ...
