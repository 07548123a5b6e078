"""Predicting the noise, or the velocity, of Stable Diffusion's discrete schedule.

Sources of the formulas: Ho et al. 2020, "Denoising Diffusion Probabilistic Models", equation 4 (the closed form of the
forward process); Salimans and Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models", section 4 and
appendix D (velocity).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from lora_tui.config.schema import NoiseSection
from lora_tui.errors import UserError
from lora_tui.families.protocol import Model
from lora_tui.text import _
from lora_tui.trainer.objectives.flow import sigmoid
from lora_tui.trainer.objectives.tables import ZERO_TERMINAL, alphas_cumprod, schedule_for, snr
from lora_tui.trainer.objectives.weights import (
    debiased_weights,
    min_snr_weights,
    p2_weights,
    velocity_like_weights,
    velocity_scale,
)


def share_of(generator: torch.Generator, kind: str) -> float:
    """Where in the range of timesteps one is drawn, 0 (no noise) to 1.

    ``sigmoid`` of a normal number; ``content`` and ``style`` as ai-toolkit's ``content_or_style``, which cubes an even
    number counted from either end.
    """
    if kind == "sigmoid":
        return sigmoid(float(torch.randn((), generator=generator, dtype=torch.float64)))
    even = float(torch.rand((), generator=generator, dtype=torch.float64))
    return 1.0 - even**3 if kind == "content" else even**3


class Diffusion:
    """See :class:`lora_tui.trainer.objectives.objective.Objective`; timesteps are whole numbers.

    What is predicted is the model's word: ``epsilon`` or ``v_prediction``.
    """

    def __init__(self, model: Model, section: NoiseSection) -> None:
        """Take the model's table to its device.

        Raises:
            ValueError: the model's schedule names a table that this does not know.
            UserError: noise is to be predicted where nothing else is left.
        """
        self._velocity = model.prediction == "v_prediction"
        schedule = schedule_for(model, section)
        if schedule.get(ZERO_TERMINAL) and not self._velocity:
            raise UserError(
                _("with zero-terminal SNR a model that predicts noise has nothing to learn at the last timestep."),
                place="noise.zero_terminal_snr",
                remedy=_("Set it to off: this base model predicts noise."),
                code="noise.zero_terminal",
            )
        self._table = alphas_cumprod(schedule).to(model.device)
        usual = alphas_cumprod({**schedule, ZERO_TERMINAL: False}) if section.snr_before_zero else self._table
        self._weighed = usual.to(model.device)  # the table whose SNR weighs
        self._range = (section.min_timestep, section.max_timestep)  # the end is excluded
        self._section = section

    def draw(self, generator: torch.Generator, width: int, height: int) -> float:
        lowest, highest = self._range
        if self._section.timesteps == "uniform":
            return int(torch.randint(lowest, highest, (1,), generator=generator))
        return min(lowest + int(share_of(generator, self._section.timesteps) * (highest - lowest)), highest - 1)

    def levels(self, count: int) -> list[float]:
        lowest, highest = self._range
        return [lowest + int((part + 0.5) * (highest - lowest) / count) for part in range(count)]

    def as_tensor(self, timesteps: Sequence[float]) -> Tensor:
        return torch.tensor(timesteps, dtype=torch.long)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        image, share = self._shares(latents, timesteps)
        return image * latents + share * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        if not self._velocity:
            return noise
        image, share = self._shares(latents, timesteps)
        return image * noise - share * latents

    def ratios(self, timesteps: Tensor) -> Tensor:
        return snr(self._table[timesteps])

    def weights(self, timesteps: Tensor) -> Tensor | None:
        section, velocity = self._section, self._velocity
        ratios = snr(self._weighed[timesteps])
        factors = []
        if section.min_snr_gamma > 0:
            factors.append(min_snr_weights(ratios, section.min_snr_gamma, velocity=velocity))
        if velocity and section.scale_v_pred:
            factors.append(velocity_scale(ratios))
        if not velocity and section.v_pred_like > 0:
            factors.append(velocity_like_weights(ratios, section.v_pred_like))
        if section.debiased:
            factors.append(debiased_weights(ratios, velocity=velocity))
        if section.p2_gamma > 0:
            factors.append(p2_weights(ratios, section.p2_gamma, velocity=velocity))
        return functools.reduce(torch.mul, factors) if factors else None

    def _shares(self, latents: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """The factors of image and noise at ``timesteps``, to be multiplied with tensors shaped as ``latents``."""
        kept = self._table[timesteps].view(-1, *[1] * (latents.dim() - 1))
        return kept.sqrt(), (1.0 - kept).sqrt()
