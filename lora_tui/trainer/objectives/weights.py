"""Weights of an image's error by its signal-to-noise ratio: pure functions on ratios of any shape."""

from __future__ import annotations

import torch
from torch import Tensor


def min_snr_weights(ratios: Tensor, gamma: float, *, velocity: bool = False) -> Tensor:
    """min(SNR, gamma) / SNR for the loss on predicted noise, over SNR + 1 for that on velocity.

    Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", section 3.4.
    """
    return torch.clamp(ratios, max=gamma) / (ratios + 1.0 if velocity else ratios)
