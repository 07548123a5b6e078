"""Noise keyed by what it is for, drawn on the CPU: the same on any device and after any resume."""

from __future__ import annotations

import torch
from torch import Tensor

from lora_tui.keyed import keyed_seed


def showing(seed: int, *, epoch: int, uid: str, repeat: int) -> torch.Generator:
    """The generator of one showing of one image; what is drawn from it first decides what comes after."""
    return torch.Generator().manual_seed(keyed_seed(seed, "step", epoch, uid, repeat))


def offset_noise(generator: torch.Generator, shape: tuple[int, int, int], offset: float) -> Tensor:
    """Standard normal noise of ``shape`` (channels, height, width; float32), each channel shifted as a whole.

    The shift is normal with a deviation of ``offset`` (0 is off; Guttenberg 2023, "Diffusion with offset noise").
    """
    noise = torch.randn(shape, generator=generator)
    return noise + offset * torch.randn((shape[0], 1, 1), generator=generator) if offset else noise


def fixed_noise(shape: tuple[int, int, int], *parts: str | int) -> Tensor:
    """Standard normal noise (float32) named by ``parts``; used for posteriors and for validation."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(keyed_seed("fixed", *parts)))
