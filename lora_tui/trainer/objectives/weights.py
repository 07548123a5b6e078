"""Weights of an image's error by its signal-to-noise ratio or noise level: pure functions on tensors of any shape.

The error on velocity is that on noise times (SNR + 1) / SNR, so what weighs one by w weighs the other by
w SNR / (SNR + 1) alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MOST = 1000.0
"""Ratios above this count as this, as in sd-scripts: the first timestep's may be infinite."""


def min_snr_weights(ratios: Tensor, gamma: float, *, velocity: bool = False) -> Tensor:
    """min(SNR, gamma) / SNR for the loss on predicted noise, over SNR + 1 for that on velocity.

    Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", section 3.4.
    """
    return torch.clamp(ratios, max=gamma) / (ratios + 1.0 if velocity else ratios)


def debiased_weights(ratios: Tensor, *, velocity: bool = False) -> Tensor:
    """1 / sqrt(SNR) for noise (Yu et al. 2023, "Debias the Training of Diffusion Models"); 1 / (SNR + 1) for velocity.

    The second is sd-scripts' own (``debiased_estimation_loss``).
    """
    ratios = torch.clamp(ratios, max=MOST)
    return 1.0 / (ratios + 1.0) if velocity else ratios.rsqrt()


def p2_weights(ratios: Tensor, gamma: float, *, velocity: bool = False) -> Tensor:
    """1 / (1 + SNR)^gamma on noise (Choi et al. 2022, "Perception Prioritized Training", equation 8 with k = 1)."""
    weights = (1.0 + ratios) ** -gamma
    return weights * velocity_scale(ratios) if velocity else weights


def velocity_scale(ratios: Tensor) -> Tensor:
    """SNR / (SNR + 1): what the loss on velocity is multiplied with to have the size of that on noise.

    sd-scripts' ``scale_v_pred_loss_like_noise_pred``.
    """
    ratios = torch.clamp(ratios, max=MOST)
    return ratios / (ratios + 1.0)


def velocity_like_weights(ratios: Tensor, share: float) -> Tensor:
    """1 + share (SNR + 1) / SNR: the loss on noise with ``share`` of what it would be on velocity, as in sd-scripts."""
    return 1.0 + share / velocity_scale(ratios)


def bell_weights(levels: Tensor) -> Tensor:
    """exp(-2 (s - 1/2)^2) less its value at the ends, 1 on average: ai-toolkit's and DiffSynth's weights of flows."""
    end = math.exp(-0.5)
    mean = math.sqrt(math.pi / 2) * math.erf(math.sqrt(0.5)) - end  # the integral over the levels from 0 to 1
    return (torch.exp(-2.0 * (levels - 0.5) ** 2) - end) / mean


def cosmap_weights(levels: Tensor) -> Tensor:
    """2 / (pi (1 - 2 s + 2 s^2)) (Esser et al. 2024, "Scaling Rectified Flow Transformers", section 3.1)."""
    return 2.0 / (math.pi * (1.0 - 2.0 * levels + 2.0 * levels**2))


def sigma_weights(levels: Tensor) -> Tensor:
    """1 / s^2, as diffusers' ``sigma_sqrt``, but never above :data:`MOST`: at 0 it would be infinite."""
    return torch.clamp(levels**-2.0, max=MOST)
