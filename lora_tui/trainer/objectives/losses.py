"""Errors of a prediction, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lora_tui.choices import chosen
from lora_tui.config.schema import NoiseSection

#: ``noise.loss`` -> a function (predicted, target, threshold) -> error of each element, all float32; the threshold is
#: [batch, 1, 1, 1], and none for those that have no use for it
LOSSES = {
    "l2": "lora_tui.trainer.objectives.losses:squared",
    "l1": "lora_tui.trainer.objectives.losses:absolute",
    "huber": "lora_tui.trainer.objectives.losses:huber",
    "smooth_l1": "lora_tui.trainer.objectives.losses:smooth",
    "log_cosh": "lora_tui.trainer.objectives.losses:log_cosh",
}
#: Those with a threshold.
BENT = ("huber", "smooth_l1")
STEPS = 1000  # timesteps of a schedule, whatever a model calls them

#: (predicted, target, timesteps) -> error of each element
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def loss_for(section: NoiseSection, ratios: Callable[[Tensor], Tensor]) -> Loss:
    """The loss that ``section`` chooses; ``ratios`` gives the SNR at timesteps."""
    error = chosen(LOSSES, section.loss)
    if section.loss not in BENT:
        return lambda predicted, target, timesteps: error(predicted, target, None)

    def bent(predicted: Tensor, target: Tensor, timesteps: Tensor) -> Tensor:
        bend = threshold(section, timesteps, ratios)
        return error(predicted, target, bend.view(-1, *[1] * (predicted.dim() - 1)))

    return bent


def threshold(section: NoiseSection, timesteps: Tensor, ratios: Callable[[Tensor], Tensor]) -> Tensor:
    """Where the loss bends from L2 to L1 at ``timesteps``, [batch]; the schedules and their scales are sd-scripts'."""
    lowest = section.huber_c
    match section.huber_schedule:
        case "exponential":
            return torch.exp(math.log(lowest) / STEPS * timesteps.float()) * section.huber_scale
        case "snr":
            sigmas = ratios(timesteps).rsqrt()
            return (1.0 - lowest) / (1.0 + sigmas) ** 2 + lowest
    return torch.full_like(timesteps, lowest * section.huber_scale, dtype=torch.float32)


def squared(predicted: Tensor, target: Tensor, _bend: Tensor | None = None) -> Tensor:
    return torch.nn.functional.mse_loss(predicted, target, reduction="none")


def absolute(predicted: Tensor, target: Tensor, _bend: Tensor | None = None) -> Tensor:
    return torch.nn.functional.l1_loss(predicted, target, reduction="none")


def smooth(predicted: Tensor, target: Tensor, bend: Tensor) -> Tensor:
    """2 (sqrt(e^2 + c^2) - c): sd-scripts' smooth L1, a pseudo-Huber loss that becomes 2 |e| for large errors."""
    return 2.0 * (torch.sqrt((predicted - target) ** 2 + bend**2) - bend)


def huber(predicted: Tensor, target: Tensor, bend: Tensor) -> Tensor:
    """2 c (sqrt(e^2 + c^2) - c): sd-scripts' Huber, which is e^2 for small errors whatever the threshold."""
    return bend * smooth(predicted, target, bend)


def log_cosh(predicted: Tensor, target: Tensor, _bend: Tensor | None = None) -> Tensor:
    """log(cosh(e)): e^2 / 2 for small errors, |e| - log 2 for large ones; written so that no error is too large."""
    size = (predicted - target).abs()
    return size + torch.nn.functional.softplus(-2.0 * size) - math.log(2.0)
