"""Noise tables of Stable Diffusion's discrete schedule: how much of the image is left at each of 1,000 timesteps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lora_tui.config.schema import NoiseSection
from lora_tui.families.protocol import Model

#: The entry of a scheduler configuration that ends the table in nothing but noise, in diffusers' words.
ZERO_TERMINAL = "rescale_betas_zero_snr"


def alphas_cumprod(config: Mapping[str, Any]) -> Tensor:
    """How much of the image is left at each timestep ([timesteps], float32), from a diffusers scheduler configuration.

    Ho et al. 2020, "Denoising Diffusion Probabilistic Models", equation 4; the table of betas is Stable Diffusion's
    "scaled linear" one, or a linear one. Where the configuration says so, the last timestep has nothing left.

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
    kept = torch.cumprod(1.0 - betas, dim=0)
    return zero_terminal(kept) if config.get(ZERO_TERMINAL) else kept


def schedule_for(model: Model, section: NoiseSection) -> Mapping[str, Any]:
    """The model's noise schedule in diffusers' words, ended as the settings say."""
    schedule = model.scheduler_config()
    if section.zero_terminal_snr == "auto":
        return schedule
    return {**schedule, ZERO_TERMINAL: section.zero_terminal_snr == "on"}


def zero_terminal(kept: Tensor) -> Tensor:
    """``kept`` (cumulated alphas) shifted and stretched so that its end is 0 and its beginning stays.

    Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1.
    """
    roots = kept.sqrt()
    first, last = roots[0].clone(), roots[-1].clone()
    return ((roots - last) * (first / (first - last))) ** 2


def snr(kept: Tensor) -> Tensor:
    """Signal-to-noise ratio where ``kept`` (cumulated alpha) of the image is left: alpha / (1 - alpha)."""
    return kept / (1.0 - kept)
