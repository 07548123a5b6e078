"""Images to latents and back through a VAE whose latents are shifted and scaled."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lora_tui.families.state_dicts import weights_id


class Latents:
    """The part of a :class:`lora_tui.families.protocol.Model` that has to do with images."""

    device: torch.device

    @property
    def vae(self) -> Any:
        """The VAE in float32 (of diffusers), at its ``place``; each family loads its own."""
        raise NotImplementedError

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
        return (vae.decode(plain).sample / 2 + 0.5).clamp(0, 1)

    def latent_identity(self) -> str:
        config = self.vae.config
        return f"{weights_id(self.vae)}*{float(config.scaling_factor)!r}+{float(config.shift_factor)!r}"
