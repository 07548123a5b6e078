"""Qwen-Image's VAE as headers and configuration files tell it. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lora_tui.errors import UserError
from lora_tui.families.parts import DIFFUSERS_STEM
from lora_tui.families.qwen.counting import vae_tensors
from lora_tui.families.qwen.shape import LEVELS, vae_config
from lora_tui.families.qwen.tensors import SIGN, WAN_SIGN, vae_name
from lora_tui.families.separate.kinds import Kind, Shapes, wrong_vae
from lora_tui.families.told import WIDTH, unusual
from lora_tui.text import _

FIRST, LAST = "encoder.conv_in.weight", "decoder.conv_in.weight"
"""The first layers of encoder and decoder, by which widths are told."""


@dataclass(frozen=True)
class FrameVae(Kind):
    """diffusers' ``AutoencoderKLQwenImage``, which takes a picture for a video of one frame."""

    stem: ClassVar[str] = DIFFUSERS_STEM
    signs: ClassVar[tuple[str, ...]] = (SIGN, WAN_SIGN, LAST)
    channels: int = 16

    def check_shapes(self, shapes: Shapes, prefix: str, path: Path) -> None:
        own = self._named(shapes, prefix)
        cubes = len(own[LAST]) == 5
        if own[LAST][1] != self.channels or not cubes:
            raise self._wrong(path, own[LAST][1])

    def check_config(self, config: Mapping[str, Any], path: Path) -> None:
        if config.get("_class_name") != "AutoencoderKLQwenImage" or config.get("z_dim") != self.channels:
            raise self._wrong(path, config.get("z_dim", config.get("latent_channels")))
        file, usual = path / "config.json", vae_config(1, self.channels)
        for name in ("dim_mult", "num_res_blocks", "attn_scales", "temperal_downsample"):
            if config.get(name, usual[name]) != usual[name]:
                raise unusual(file, name, config[name])
        for name, least in (("latents_mean", -math.inf), ("latents_std", 0.0)):
            numbers = config.get(name, usual[name])
            if not (isinstance(numbers, list) and len(numbers) == self.channels) or not all(
                type(one) in (int, float) and math.isfinite(one) and one > least for one in numbers
            ):
                raise unusual(file, name, numbers)
        width = config.get("base_dim")
        if type(width) is not int or not 0 < width <= WIDTH // max(LEVELS):
            raise unusual(file, "base_dim", width)

    def tensors(self, shapes: Shapes, prefix: str) -> Shapes:
        return vae_tensors(self._named(shapes, prefix)[FIRST][0], self.channels)

    def tensors_told(self, config: Mapping[str, Any]) -> Shapes:
        return vae_tensors(config["base_dim"], self.channels)

    def own_name(self, name: str) -> str:
        return vae_name(name)

    def _named(self, shapes: Shapes, prefix: str) -> Shapes:
        return {vae_name(name.removeprefix(prefix)): of for name, of in shapes.items() if name.startswith(prefix)}

    def _wrong(self, path: Path, channels: Any) -> UserError:
        remedy = _("Choose Qwen-Image's VAE (qwen_image_vae.safetensors), or the folder vae of Qwen-Image.")
        return wrong_vae(channels, self.channels, path, remedy)
