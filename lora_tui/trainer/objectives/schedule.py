"""The discrete noise schedule of Stable Diffusion: noise is mixed in by a table over 1,000 timesteps.

Source of the formulas: Ho et al. 2020, "Denoising Diffusion Probabilistic Models", equation 4 (the closed form of
the forward process); the table of betas is Stable Diffusion's "scaled linear" one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class DiscreteSchedule:
    """``alphas_cumprod`` [timesteps] in float32 on the device of the run."""

    def __init__(self, config: Mapping[str, Any], device: torch.device) -> None:
        """Build the table from a diffusers scheduler configuration.

        Raises:
            ValueError: the configuration names a table this does not know.
        """
        count = int(config.get("num_train_timesteps", 1000))
        start, end = float(config.get("beta_start", 0.00085)), float(config.get("beta_end", 0.012))
        kind = config.get("beta_schedule", "scaled_linear")
        if kind == "scaled_linear":
            betas = torch.linspace(start**0.5, end**0.5, count, dtype=torch.float32) ** 2
        elif kind == "linear":
            betas = torch.linspace(start, end, count, dtype=torch.float32)
        else:
            raise ValueError(f"unknown beta_schedule {kind!r}")
        self.alphas_cumprod = torch.cumprod(1.0 - betas, dim=0).to(device)
        self.timesteps = count

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """``latents`` [batch, ...] with ``noise`` mixed in at ``timesteps`` [batch] (long)."""
        kept = self.alphas_cumprod[timesteps].view(-1, *[1] * (latents.dim() - 1))
        return kept.sqrt() * latents + (1.0 - kept).sqrt() * noise

    def snr(self, timesteps: Tensor) -> Tensor:
        """Signal-to-noise ratio at ``timesteps``: alpha / (1 - alpha)."""
        kept = self.alphas_cumprod[timesteps]
        return kept / (1.0 - kept)


def min_snr_weights(snr: Tensor, gamma: float) -> Tensor:
    """Weights of the loss on predicted noise: min(SNR, gamma) / SNR (Hang et al. 2023, "Min-SNR", section 3.4)."""
    return torch.clamp(snr, max=gamma) / snr
