"""Predicting the noise, or the velocity, of Stable Diffusion's discrete schedule.

Sources of the formulas: Ho et al. 2020, "Denoising Diffusion Probabilistic Models", equation 4 (the closed form of the
forward process); Salimans and Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models", section 4 and
appendix D (velocity).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lora_tui.config.schema import NoiseSection
from lora_tui.families.protocol import Model
from lora_tui.trainer.objectives.tables import alphas_cumprod, snr
from lora_tui.trainer.objectives.weights import min_snr_weights


class Diffusion:
    """See :class:`lora_tui.trainer.objectives.objective.Objective`; timesteps are whole numbers, drawn uniformly.

    What is predicted is the model's word: ``epsilon`` or ``v_prediction``.
    """

    def __init__(self, model: Model, section: NoiseSection) -> None:
        """Take the model's table to its device.

        Raises:
            ValueError: the model's schedule names a table that this does not know.
        """
        self._velocity = model.prediction == "v_prediction"
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
        image, share = self._shares(latents, timesteps)
        return image * latents + share * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        if not self._velocity:
            return noise
        image, share = self._shares(latents, timesteps)
        return image * noise - share * latents

    def weights(self, timesteps: Tensor) -> Tensor | None:
        if self._gamma <= 0:
            return None
        return min_snr_weights(snr(self._table[timesteps]), self._gamma, velocity=self._velocity)

    def _shares(self, latents: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """The factors of image and noise at ``timesteps``, to be multiplied with tensors shaped as ``latents``."""
        kept = self._table[timesteps].view(-1, *[1] * (latents.dim() - 1))
        return kept.sqrt(), (1.0 - kept).sqrt()
