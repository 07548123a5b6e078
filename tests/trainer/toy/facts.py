"""See :class:`lora_tui.families.protocol.Facts`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_tui.families.protocol import TargetModule

WIDTH = 32


@dataclass(frozen=True)
class ToyFacts:
    name: str = "toy"
    title: str = "Toy"
    resolution: int = 64
    size_multiple: int = 16
    latent_factor: int = 8
    latent_channels: int = 16
    denoiser: str = "transformer"
    implementation: str = "https://example.org/toy"
    separate: tuple[str, ...] = ()
    text_layer: int = 0

    def versions(self, prediction: str) -> tuple[str, str]:
        return "toy_v1", "toy-1"

    def targets(
        self, base: str | Path = "", *, text_encoder: bool = True, convolutions: bool = False
    ) -> tuple[TargetModule, ...]:
        found = [TargetModule("transformer", f"blocks.{n}", WIDTH, WIDTH) for n in range(2)]
        if text_encoder:
            found += [TargetModule(part, "out", WIDTH, WIDTH) for part in ("text_encoder", "text_encoder_2")]
        return tuple(found)

    def block_rest(self, base: str | Path = "") -> dict[str, int]:
        return {}

    def text_values(self, base: str | Path = "", *, t5_tokens: int = 512, text_encoder: bool = False) -> int:
        return 100

    def part_parameters(self, base: str | Path = "") -> dict[str, int]:
        return {"transformer": 10_000, "text_encoder": 10_000, "text_encoder_2": 10_000, "vae": 0}

    def activation_bytes(
        self, width: int, height: int, batch: int, *, bytes_per_value: int, checkpointing: bool,
        text_encoder: bool = False, convolutions: bool = False, t5_tokens: int = 512, base: str | Path = "",
    ) -> int:  # fmt: skip
        return width * height * batch * bytes_per_value


FACTS = ToyFacts()
