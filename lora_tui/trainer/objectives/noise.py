"""Noise and timesteps keyed by what they are for, drawn on the CPU: the same on any device and after any resume."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lora_tui.keyed import keyed_seed


@dataclass(frozen=True)
class NoiseRules:
    """``lowest`` to ``highest`` (exclusive) timestep; ``offset`` shifts each channel as a whole (0 is off)."""

    seed: int
    lowest: int = 0
    highest: int = 1000
    offset: float = 0.0


def draw(rules: NoiseRules, shape: tuple[int, int, int], *, epoch: int, uid: str, repeat: int) -> tuple[Tensor, int]:
    """Noise of ``shape`` (channels, height, width; float32) and the timestep for one showing of one image."""
    generator = torch.Generator().manual_seed(keyed_seed(rules.seed, "step", epoch, uid, repeat))
    timestep = int(torch.randint(rules.lowest, rules.highest, (1,), generator=generator))
    noise = torch.randn(shape, generator=generator)
    if rules.offset:
        noise = noise + rules.offset * torch.randn((shape[0], 1, 1), generator=generator)
    return noise, timestep


def fixed_noise(shape: tuple[int, int, int], *parts: str | int) -> Tensor:
    """Standard normal noise (float32) named by ``parts``; used for posteriors and for validation."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(keyed_seed("fixed", *parts)))
