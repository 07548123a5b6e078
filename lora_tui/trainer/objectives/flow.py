"""Flow matching: the straight way from image to noise, and how noise levels are drawn and shifted on it.

Noise level s (0 image, 1 noise) is timestep / 1000. Sources: Liu et al. 2022, "Flow Straight and Fast" (objective);
Esser et al. 2024, "Scaling Rectified Flow Transformers", section 3.1 (logit-normal, mode) and 5.3.2 (shift).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lora_tui.choices import chosen
from lora_tui.config.schema import NoiseSection
from lora_tui.families.protocol import Model

Sampling = Literal["uniform", "sigmoid", "logit_normal", "mode"]
TOP = 1000.0
#: ``noise.flow_weighting`` -> a function of noise levels, [batch], to weights
FLOW_WEIGHTS = {
    "bell": "lora_tui.trainer.objectives.weights:bell_weights",
    "cosmap": "lora_tui.trainer.objectives.weights:cosmap_weights",
    "sigma_sqrt": "lora_tui.trainer.objectives.weights:sigma_weights",
}


@dataclass(frozen=True)
class FlowSettings:
    """How levels are drawn.

    Attributes:
        sampling: see :func:`draw_level`.
        scale: of the sigmoid's normal number, of the mode's bend.
        mean, deviation: of the logit-normal's normal number.
        shift: multiplies the odds of noise, see :func:`shifted`; none takes the model's own for the image's size.
    """

    sampling: Sampling = "sigmoid"
    scale: float = 1.0
    mean: float = 0.0
    deviation: float = 1.0
    shift: float | None = None


def draw_level(generator: torch.Generator, settings: FlowSettings) -> float:
    """A noise level before the shift.

    ``uniform``; ``sigmoid`` of a normal number times the scale; ``logit_normal`` with a mean and deviation; ``mode``,
    which weighs the middle (scale above 0) or the ends (below).
    """
    if settings.sampling in ("uniform", "mode"):
        level = float(torch.rand((), generator=generator, dtype=torch.float64))
        return mode_level(level, settings.scale) if settings.sampling == "mode" else level
    normal = float(torch.randn((), generator=generator, dtype=torch.float64))
    if settings.sampling == "sigmoid":
        return sigmoid(settings.scale * normal)
    return sigmoid(settings.mean + settings.deviation * normal)


def sigmoid(value: float) -> float:
    """1 / (1 + e^-value), for any value."""
    return 0.5 * (1.0 + math.tanh(0.5 * value))


def mode_level(level: float, scale: float) -> float:
    """Esser et al. 2024, equation 20: a uniform ``level`` bent by ``scale``."""
    return 1.0 - level - scale * (math.cos(math.pi * level / 2.0) ** 2 - 1.0 + level)


def shifted(level: float, shift: float) -> float:
    """``level`` with the odds of noise multiplied by ``shift`` (Esser et al. 2024, equation 23)."""
    return shift * level / (1.0 + (shift - 1.0) * level)


class Flow:
    """See :class:`lora_tui.trainer.objectives.objective.Objective`; timesteps are 1000 times the noise level."""

    def __init__(self, model: Model, section: NoiseSection) -> None:
        self._shift = model.shift
        self._weighting = section.flow_weighting
        self._settings = FlowSettings(
            section.flow_sampling, section.flow_scale, section.flow_mean, section.flow_deviation,
            section.flow_shift or None,
        )  # fmt: skip
        self._range = (section.min_timestep / TOP, section.max_timestep / TOP)

    def draw(self, generator: torch.Generator, width: int, height: int) -> float:
        shift = self._shift(width, height) if self._settings.shift is None else self._settings.shift
        lowest, highest = self._range
        return TOP * (lowest + (highest - lowest) * shifted(draw_level(generator, self._settings), shift))

    def levels(self, count: int) -> list[float]:
        lowest, highest = self._range
        return [TOP * (lowest + (highest - lowest) * (part + 0.5) / count) for part in range(count)]

    def as_tensor(self, timesteps: Sequence[float]) -> Tensor:
        return torch.tensor(timesteps, dtype=torch.float32)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return latents.lerp(noise, (timesteps / TOP).view(-1, *[1] * (latents.dim() - 1)))

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return noise - latents

    def ratios(self, timesteps: Tensor) -> Tensor:
        levels = timesteps / TOP
        return ((1.0 - levels) / levels) ** 2

    def weights(self, timesteps: Tensor) -> Tensor | None:
        return None if self._weighting == "none" else chosen(FLOW_WEIGHTS, self._weighting)(timesteps / TOP)
