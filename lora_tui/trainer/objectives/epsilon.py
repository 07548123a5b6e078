"""Predicting the noise of Stable Diffusion's discrete schedule: noise is mixed in by a table over 1,000 timesteps.

Source of the formulas: Ho et al. 2020, "Denoising Diffusion Probabilistic Models", equation 4 (the closed form of
the forward process); the table of betas is Stable Diffusion's "scaled linear" one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lora_tui.config.schema import NoiseSection
from lora_tui.families.protocol import Model


class Epsilon:
    """See :class:`lora_tui.trainer.objectives.objective.Objective`; timesteps are whole numbers, drawn uniformly."""

    def __init__(self, model: Model, section: NoiseSection) -> None:
        """Take the model's table to its device.

        Raises:
            ValueError: the model's schedule names a table that this does not know.
        """
        self._table = alphas_cumprod(model.scheduler_config()).to(model.device)
        self._range = (section.min_timestep, section.max_timestep)  # the end is excluded
        self._gamma = section.min_snr_gamma

    def draw(self, generator: torch.Generator, width: int, height: int) -> float:
        return int(torch.randint(*self._range, (1,), generator=generator))

    def levels(self, count: int) -> list[float]:
        lowest, highest = self._range
        return [lowest + int((part + 0.5) * (highest - lowest) / count) for part in range(count)]

    def as_tensor(self, timesteps: Sequence[float]) -> Tensor:
        return torch.tensor(timesteps, dtype=torch.long)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        kept = self._table[timesteps].view(-1, *[1] * (latents.dim() - 1))
        return kept.sqrt() * latents + (1.0 - kept).sqrt() * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return noise

    def weights(self, timesteps: Tensor) -> Tensor | None:
        return min_snr_weights(snr(self._table[timesteps]), self._gamma) if self._gamma > 0 else None


def alphas_cumprod(config: Mapping[str, Any]) -> Tensor:
    """How much of the image is left at each timestep ([timesteps], float32), from a diffusers scheduler configuration.

    Raises:
        ValueError: the configuration names a table that this does not know.
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
    return torch.cumprod(1.0 - betas, dim=0)


def snr(kept: Tensor) -> Tensor:
    """Signal-to-noise ratio where ``kept`` (cumulated alpha) of the image is left: alpha / (1 - alpha)."""
    return kept / (1.0 - kept)


def min_snr_weights(ratios: Tensor, gamma: float) -> Tensor:
    """Weights of the loss on predicted noise: min(SNR, gamma) / SNR (Hang et al. 2023, "Min-SNR", section 3.4)."""
    return torch.clamp(ratios, max=gamma) / ratios
