"""Latents as tokens of 2 x 2 cells, as FLUX.1's transformer and its descendants take them, and the shift of its levels.

Sources: Black Forest Labs' sampling code and diffusers' ``FluxPipeline``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

PATCH = 2
"""Latent cells along each side of one token."""
#: Tokens of an image for which the published model's noise levels are shifted by e to the power of the value, and
#: between which the power is linear: the schedule of FLUX.1 dev.
SHIFT_TOKENS, SHIFT_POWERS = (256, 4096), (0.5, 1.15)


def shift_power(
    tokens: int, counts: tuple[int, int] = SHIFT_TOKENS, powers: tuple[float, float] = SHIFT_POWERS
) -> float:
    """The exponent of the shift for an image of so many tokens (``mu`` of Black Forest Labs' sampling code)."""
    (few, many), (low, high) = counts, powers
    return low + (high - low) * (tokens - few) / (many - few)


def shift_told(schedule: Mapping[str, Any], tokens: int) -> float:
    """The shift that a ``schedule`` in diffusers' words tells for an image of so many tokens."""
    if not schedule["use_dynamic_shifting"]:
        return float(schedule["shift"])
    counts = (schedule["base_image_seq_len"], schedule["max_image_seq_len"])
    return math.exp(shift_power(tokens, counts, (schedule["base_shift"], schedule["max_shift"])))


def pack(latents: Tensor) -> Tensor:
    """[batch, channels, height, width] as tokens of 2 x 2 cells: [batch, height/2 * width/2, channels * 4]."""
    batch, channels, height, width = latents.shape
    cells = latents.view(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * PATCH**2)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """What :func:`pack` did, undone, for latents of ``height`` x ``width`` cells."""
    batch, _count, channels = tokens.shape
    cells = tokens.view(batch, height // PATCH, width // PATCH, channels // PATCH**2, PATCH, PATCH)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(batch, -1, height, width)


def image_places(rows: int, columns: int, device: torch.device) -> Tensor:
    """Where each token of the image stands: [rows * columns, 3], the first of the three numbers being 0."""
    places = torch.zeros(rows, columns, 3, device=device)
    places[..., 1] = torch.arange(rows, device=device)[:, None]
    places[..., 2] = torch.arange(columns, device=device)[None, :]
    return places.reshape(-1, 3)
