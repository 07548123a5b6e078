"""FLUX.2's VAE as headers and configuration files tell it. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lora_tui.families.parts import DIFFUSERS_STEM
from lora_tui.families.separate.kinds import Kind, Shapes, vae_in_file, vae_name, vae_told, wrong_vae
from lora_tui.families.unet.shape import vae_channels
from lora_tui.text import _

MEAN, SPREAD = "bn.running_mean", "bn.running_var"
"""What latents are normed by, one number for each channel of a patch."""


MOVED = {"encoder.quant_conv.": "quant_conv.", "decoder.post_quant_conv.": "post_quant_conv."}
"""Where the makers have the convolutions around the latents, and where others look for them."""


@dataclass(frozen=True)
class PatchVae(Kind):
    """diffusers' ``AutoencoderKLFlux2``: ``channels`` of latents, of which patches of 2 x 2 are normed."""

    stem: ClassVar[str] = DIFFUSERS_STEM
    signs: ClassVar[tuple[str, ...]] = ("decoder.conv_in.weight",)
    channels: int = 32

    def check_shapes(self, shapes: Shapes, prefix: str, path: Path) -> None:
        vae_channels(shapes, prefix)
        self._check(shapes[f"{prefix}decoder.conv_in.weight"][1], f"{prefix}{MEAN}" in shapes, path)

    def check_config(self, config: Mapping[str, Any], path: Path) -> None:
        self._check(config.get("latent_channels", self.channels), "batch_norm_eps" in config, path)

    def tensors(self, shapes: Shapes, prefix: str) -> Shapes:
        norms: Shapes = dict.fromkeys((MEAN, SPREAD), (4 * self.channels,))
        moved = {old: new for new, old in MOVED.items() if any(name.startswith(prefix + new) for name in shapes)}
        wanted = vae_in_file(shapes, prefix, around=(True, True))
        return {_begun(name, moved): shape for name, shape in {**wanted, **norms}.items()}

    def tensors_told(self, config: Mapping[str, Any]) -> Shapes:
        return {**vae_told(config), **dict.fromkeys((MEAN, SPREAD), (4 * self.channels,))}

    def own_name(self, name: str) -> str:
        return vae_name(name)

    def _check(self, channels: Any, normed: bool, path: Path) -> None:
        if channels != self.channels or not normed:
            remedy = _("Choose FLUX.2's VAE (flux2-vae.safetensors), or the folder vae of FLUX.2.")
            raise wrong_vae(channels, self.channels, path, remedy)


def _begun(name: str, begins: Mapping[str, str]) -> str:
    return next((new + name.removeprefix(old) for old, new in begins.items() if name.startswith(old)), name)
