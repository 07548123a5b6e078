"""What families with encoders and a VAE in files of their own do alike: images to latents and back, names for both.

The VAE's latents are shifted and scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.families.beneath import Beneath
from lora_tui.families.decoding import decode
from lora_tui.families.protocol import Facts
from lora_tui.families.state_dicts import identity, weights_id


class Latents:
    """The part of a :class:`lora_tui.families.protocol.Model` that has to do with images and with names in caches."""

    facts: Facts
    device: torch.device
    dtype: torch.dtype
    tiled: bool
    beneath: Beneath
    vae: Any  # in float32 (of diffusers), at its ``place``; each family loads its own
    _parts: Any  # with ``places`` and ``files_of``

    @torch.no_grad()
    def encode_image(self, pixels: Tensor, noise: Tensor) -> Tensor:
        vae = self.vae
        posterior = vae.encode(pixels.to(vae.place, torch.float32, non_blocking=True)).latent_dist
        latents = posterior.mean + posterior.std * noise.to(vae.place, torch.float32, non_blocking=True)
        return (latents.to(self.device) - vae.config.shift_factor) * vae.config.scaling_factor

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        vae = self.vae
        plain = latents.to(vae.place, torch.float32) / vae.config.scaling_factor + vae.config.shift_factor
        return decode(vae, plain, tiled=self.tiled)

    def latent_identity(self) -> str:
        def told() -> str:
            config = self.vae.config
            return f"{weights_id(self.vae)}*{float(config.scaling_factor)!r}+{float(config.shift_factor)!r}"

        parts = [self.facts.name, self._parts.places["vae"].prefix]
        return identity("vae", self._parts.files_of("vae"), parts, told)

    def encoder_identity(self, name: str, module: Callable[[], nn.Module]) -> str:
        """What tells the weights of a text encoder apart, called as its part is; ``module`` loads it if need be."""
        files = (*self._parts.files_of(name), *self.beneath.files)
        parts = [self.facts.name, str(self.dtype), self._parts.places[name].prefix, *self.beneath.words]
        return identity(name, files, parts, lambda: weights_id(module()))
